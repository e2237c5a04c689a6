"""``indexq workers``: who works."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import click

from leasequeue.admin import Admin, WorkerFacts
from leasequeue.admin.wording import short_time

from .connected import connected
from .output import json_option, print_json, print_table

EPILOG = """\b
Examples:
  indexq workers
  indexq workers --json

\b
Exit codes: 0, also when there is no worker.
"""


@click.command(epilog=EPILOG)
@json_option
def workers(as_json: bool) -> None:
    """Show the worker processes that are alive."""
    with connected() as broker:
        found = Admin(broker).snapshot().workers
        ((now,),) = broker.ask("now", {})
    if as_json:
        print_json({"workers": [asdict(each) for each in found]})
    elif found:
        rows = [
            [
                each.host,
                str(each.pid),
                str(each.threads),
                str(each.holds),
                ", ".join(each.queues),
                short_time(now - each.started_at),
                f"{short_time(each.silent_seconds)} ago",
                ", ".join(_remarks(each)),
            ]
            for each in found
        ]
        headings = ["Host", "Process", "Threads", "Jobs", "Queues", "Up", "Heartbeat", ""]
        print_table(headings, rows, whole=["Host"])
    else:
        click.echo("No worker is running. Start one with: dramatiq actors", err=True)


def _remarks(worker: WorkerFacts) -> Iterator[str]:
    if worker.draining:
        yield "draining"
    if worker.claiming is False:
        yield "paused by QUEUE_ENABLED"
    if worker.notified is False:
        yield "polling"

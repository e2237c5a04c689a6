"""``indexq queues``: how much waits, and whether it moves."""

from __future__ import annotations

from dataclasses import asdict

import click

from leasequeue.admin import COUNT_LIMIT, QueueReport, Queues
from leasequeue.admin.wording import short_time

from .connected import connected
from .output import json_option, print_json, print_table

EPILOG = """\b
Examples:
  indexq queues
  indexq queues --json | jq '.queues[] | select(.ready > 1000)'

\b
Oldest: for how long the job has been ready that is next. Completed/min: jobs completed a minute over the last five
minutes, or over ARCHIVE_COMPLETED_AFTER where that is shorter. Counts end at 100,000.

\b
Exit codes: 0, whatever is shown.
"""


@click.command(epilog=EPILOG)
@json_option
def queues(as_json: bool) -> None:
    """Show each queue: what is ready, scheduled, running and dead, and how fast it goes."""
    with connected() as broker:
        found = Queues(broker).report()
    if as_json:
        print_json({"queues": [document(each) for each in found]})
    elif found:
        headings = ["Queue", "Ready", "Scheduled", "Running", "Dead", "Oldest", "Completed/min", ""]
        print_table(headings, [_line(each) for each in found], whole=["Queue"])
    else:
        click.echo("No queue yet: nothing was sent and no worker has run.", err=True)


def document(report: QueueReport) -> dict[str, object]:
    """A queue as JSON; times in seconds."""
    return {**asdict(report.facts), "paused_at": report.paused_at, "completed_per_second": report.completed_per_second}


def _line(report: QueueReport) -> list[str]:
    facts = report.facts
    oldest = facts.oldest_ready_seconds
    rate = report.completed_per_second
    return [
        facts.name,
        *(_count(count) for count in (facts.ready, facts.scheduled, facts.running, facts.dead)),
        "" if oldest is None else short_time(oldest),
        "?" if rate is None else f"{rate * 60:,.0f}" if rate * 60 >= 10 or not rate else f"{rate * 60:.1f}",
        "paused" if report.paused_at else "",
    ]


def _count(count: int) -> str:
    return f"{count:,}" + ("+" if count >= COUNT_LIMIT else "")

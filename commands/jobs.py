"""``indexq jobs``: what runs, and what waits, as the queue knows it, with what an index job says of itself."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from indexing.jobs import JobRow, get_job, job_id_of
from leasequeue.admin import Jobs, ListedJob
from leasequeue.admin.wording import short_time

from .arguments import arguments
from .database import Database
from .output import json_option, print_json, print_table, text
from .status import progress

EPILOG = """\b
Examples:
  indexq jobs
  indexq jobs --state scheduled --queue index-repo
  indexq jobs --state ready --limit 100 --json

\b
Ready: could be started now. Scheduled: for later, after a delay or before a retry. For dead jobs see
`indexq dead list`, for the repositories of index jobs `indexq status`.

\b
Exit codes: 0, also when there is none.
"""

STATES = ("running", "ready", "scheduled")


@click.command(epilog=EPILOG)
@click.option("--state", type=click.Choice(STATES), default="running", show_default=True, help="Which jobs.")
@click.option("--queue", type=text, help="Of this queue.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="Show so many.")
@json_option
def jobs(state: str, queue: str | None, limit: int, as_json: bool) -> None:
    """Show what runs: since when, where, and how far it is; or what waits."""
    from broker import broker, settings  # Here: importing it reads the settings.

    with closing(broker), Database(settings) as database:
        admin = Jobs(broker)
        if state == "running":
            found = admin.running(queue, limit=limit)
        else:
            found = admin.waiting(queue, limit=limit, scheduled=state == "scheduled")
        own = _index_jobs(database, found)
        ((now,),) = broker.ask("now", {})
    if as_json:
        print_json({"jobs": [_document(job, own.get(job.message_id)) for job in found]})
    elif found:
        headings = ["Job", "Queue", "Actor", "Arguments", {"running": "For"}.get(state, "Due"), "Where", "Progress"]
        print_table(headings, [_line(job, own.get(job.message_id), now) for job in found], whole=["Job"])
    else:
        click.echo(f"No job is {state}.", err=True)


def _index_jobs(database: Database, found: list[ListedJob]) -> dict[str, JobRow]:
    """The rows of ``index_jobs`` by message id, for jobs that have one."""
    ids = {job.message_id: job_id_of(job.actor_name, job.args, job.kwargs) for job in found}
    rows = {}
    with database.transaction() as cursor:
        for message_id, index_job_id in ids.items():
            row = get_job(cursor, index_job_id) if index_job_id is not None else None
            if row is not None:
                rows[message_id] = row
    return rows


def _document(job: ListedJob, own: JobRow | None) -> dict[str, Any]:
    """A job as JSON; ``index_job`` is null for jobs that index nothing."""
    return {**asdict(job), "index_job": None if own is None else asdict(own)}


def _line(job: ListedJob, own: JobRow | None, now: datetime) -> list[str]:
    if job.state == "running":
        time = short_time(now - job.since)
        where = "" if job.host is None else f"{job.host} (process {job.pid})"
        told = "" if own is None else f"{own.repository_name}: {progress(own)}"
    else:
        is_due = job.available_at <= now
        time = f"{short_time(now - job.available_at)} ago" if is_due else f"in {short_time(job.available_at - now)}"
        where = ""
        told = "" if own is None else own.repository_name
    if job.errors or job.crashes:
        told = f"{told} (after {job.errors} errors, {job.crashes} crashes)".lstrip()
    return [job.message_id, job.queue_name, job.actor_name or "", arguments(job.args, job.kwargs), time, where, told]

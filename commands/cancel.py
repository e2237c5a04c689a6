"""``indexq cancel``: give jobs up that wait or run."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from uuid import UUID

import click
import psycopg2

from indexing.jobs import get_job
from leasequeue import Death, LeaseBroker
from leasequeue.admin import Cancelled, Jobs

from .bulk import some
from .database import Database
from .failures import CommandFailed
from .output import json_option, print_json

EPILOG = """\b
Examples:
  indexq cancel 4f6c0a52-7d0e-4f0b-9a53-0f8a5d1b2c3d
  indexq cancel 4f6c0a52-7d0e-4f0b-9a53-0f8a5d1b2c3d --json

\b
JOB is an id that `indexq jobs` or `indexq status` shows. What waits is not run. What runs is interrupted at
its worker's next heartbeat; whatever it does until then, its index is not published. The job is kept as dead
with reason `cancelled`, and `indexq dead retry` puts it back.

\b
Exit codes: 0 cancelled; 1 a job neither waits nor runs.
"""


@click.command(epilog=EPILOG)
@click.argument("jobs", type=click.UUID, nargs=-1, required=True, metavar="JOB...")
@json_option
def cancel(jobs: tuple[UUID, ...], as_json: bool) -> None:
    """Give up JOBS that wait or run."""
    from actors import broker  # Here: importing it reads the settings.
    from broker import settings

    with closing(broker), Database(settings) as database:
        with database.transaction() as cursor:
            rows = {str(job): get_job(cursor, str(job)) for job in jobs}
        named = {given: row.message_id if row is not None and row.message_id else given for given, row in rows.items()}
        cancelled = Jobs(broker).cancel(list(named.values()))
        for each in cancelled:
            _tell(broker, each)
    done = {each.message_id for each in cancelled}
    if as_json:
        print_json({"cancelled": [asdict(each) for each in cancelled]})
    else:
        for each in cancelled:
            click.echo(f"{each.message_id}: {each.error}.")
    if others := [given for given, message_id in named.items() if message_id not in done]:
        raise CommandFailed(f"expected ids of jobs that wait or run, but these do neither: {some(others)}")


def _tell(broker: LeaseBroker, cancelled: Cancelled) -> None:
    """Have the row of an index job say it, as workers do for the jobs that they give up."""
    if broker.on_death is None:
        return
    try:
        broker.on_death(Death(cancelled.message_id, cancelled.queue_name, "cancelled", cancelled.error))
    except psycopg2.Error as error:
        told = " ".join(str(error).split())
        click.echo(f"indexq: {cancelled.message_id} is cancelled, but index_jobs does not say so: {told}", err=True)

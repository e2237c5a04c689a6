"""``indexq dead list``: what jobs died of, or the jobs themselves."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from leasequeue.admin import COUNT_LIMIT, CauseFacts, DeadFacts, DeadFilter, DeadLetters
from leasequeue.admin.dead import CAUSES
from leasequeue.admin.wording import short_time

from ..arguments import arguments
from ..connected import connected
from ..output import json_option, print_json, print_table
from .filters import filter_of, filter_options

EPILOG = """\b
Examples:
  indexq dead list
  indexq dead list --since 1h --reason crashed
  indexq dead list --error 'connection refused' --jobs
  indexq dead list --jobs --limit 100 --json

\b
Jobs died of the same cause when their actor, reason and first error line are the same but for words with
digits or slashes in them, and words in quotes. Jobs that were put aside (discarded, cancelled) are left out
unless --reason names them.

\b
Exit codes: 0, also when nothing is dead.
"""


@click.command("list", epilog=EPILOG)
@filter_options
@click.option("--jobs", is_flag=True, help="Show single jobs, the newest first, instead of causes with counts.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="Show so many.")
@json_option
def list_dead(jobs: bool, limit: int, as_json: bool, **given: Any) -> None:
    """Show what jobs died of, the most frequent cause first."""
    with connected() as broker:
        letters = DeadLetters(broker)
        wanted = filter_of(broker, given)
        ((now,),) = broker.ask("now", {})
        if jobs:
            _show_jobs(letters, wanted, limit, now, as_json)
        else:
            _show_causes(letters, wanted, limit, now, as_json)


def _show_causes(letters: DeadLetters, wanted: DeadFilter, limit: int, now: datetime, as_json: bool) -> None:
    found = letters.causes(wanted)
    if as_json:
        print_json({"causes": [asdict(each) for each in found[:limit]]})
    elif found:
        headings = ["Cause", "Dead", "Reason", "Queue", "Actor", "Last", "Newest error"]
        print_table(headings, [_cause_line(each, now) for each in found[:limit]], whole=["Cause"])
        if len(found) > limit:
            click.echo(f"{len(found) - limit:,} rarer causes are not shown; see more with --limit", err=True)
        if len(found) == CAUSES:
            click.echo(f"Only {CAUSES:,} causes were looked at, and there are more; use filters", err=True)
    else:
        click.echo("Nothing is dead that matches.", err=True)


def _cause_line(cause: CauseFacts, now: datetime) -> list[str]:
    count = f"{cause.count:,}" + ("+" if cause.count >= COUNT_LIMIT else "")
    last = f"{short_time(now - cause.last_at)} ago"
    return [cause.cause, count, cause.reason, cause.queue_name, cause.actor_name or "", last, cause.error or ""]


def _show_jobs(letters: DeadLetters, wanted: DeadFilter, limit: int, now: datetime, as_json: bool) -> None:
    found = letters.newest(wanted, limit=limit)
    if as_json:
        print_json({"jobs": [asdict(each) for each in found]})
    elif found:
        headings = ["Job", "Reason", "Queue", "Actor", "Arguments", "Died", "Error"]
        print_table(headings, [_job_line(each, now) for each in found], whole=["Job"])
    else:
        click.echo("Nothing is dead that matches.", err=True)


def _job_line(job: DeadFacts, now: datetime) -> list[str]:
    died = f"{short_time(now - job.died_at)} ago"
    told = arguments(job.args, job.kwargs)
    return [job.message_id, job.reason, job.queue_name, job.actor_name or "", told, died, job.error or ""]

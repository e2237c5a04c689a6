"""``indexq status``: what became of the jobs, as they say themselves and as the queue knows it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

import click

from indexing.jobs import JobRow, get_job, latest_jobs
from leasequeue.admin import Admin, JobFacts
from leasequeue.admin.wording import short_time

from .attempts import attempt_line
from .database import Database
from .failures import CommandFailed
from .output import json_option, local_time, print_details, print_json, print_table, short_sha

EPILOG = """\b
Examples:
  indexq status
  indexq status --limit 100 --json
  indexq status 4f6c0a52-7d0e-4f0b-9a53-0f8a5d1b2c3d

\b
Exit codes: 0 shown, whatever became of the job; 1 there is no such job.
"""

#: A job in one of these is over for itself; what the queue still knows of it adds nothing.
ENDED = ("completed", "failed", "merged")

#: A message in one of these expires, unless it is run before.
WAITING = ("scheduled", "ready")


@click.command(epilog=EPILOG)
@click.argument("job", type=click.UUID, required=False)
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="Show so many jobs.")
@json_option
def status(job: UUID | None, limit: int, as_json: bool) -> None:
    """Show the newest jobs, or everything about one JOB."""
    from broker import broker, settings  # Here: importing it reads the settings.

    with closing(broker), Database(settings) as database:
        with database.transaction() as cursor:
            rows = latest_jobs(cursor, limit) if job is None else [_existing(get_job(cursor, str(job)), job)]
        admin = Admin(broker)
        wanted = [row for row in rows if job is not None or row.status != "completed"]
        facts = {row.message_id: admin.job(row.message_id) for row in wanted if row.message_id is not None}
        ((now,),) = broker.ask("now", {})
    documents = [_document(row, facts) for row in rows]
    if as_json:
        print_json({"jobs": documents} if job is None else documents[0])
    elif job is not None:
        print_details(_details(rows[0], facts, now))
    elif rows:
        headings = ["Job", "Repository", "Commit", "State", "Progress", "Age"]
        print_table(headings, [_line(row, facts, now) for row in rows], whole=["Job"])
    else:
        click.echo("No job yet. Make one with: indexq index PATH_OR_URL", err=True)


Facts = Mapping[str, JobFacts | None]


def _existing(row: JobRow | None, job: UUID) -> JobRow:
    if row is None:
        raise CommandFailed(f"expected the id of an index job, got: {job}, which is none; see them with: indexq status")
    return row


def _document(row: JobRow, facts: Facts) -> dict[str, Any]:
    """A job as JSON. ``queue`` is null when its message is kept no longer, or was not asked for since it has ended."""
    queued = facts.get(row.message_id or "")
    return {**asdict(row), "queue": None if queued is None else asdict(queued)}


def _line(row: JobRow, facts: Facts, now: datetime) -> list[str]:
    queued = facts.get(row.message_id or "")
    is_over = row.status in ENDED and not _was_put_back(row, queued)
    state = row.status if is_over else in_the_queue(queued, now)
    told = (row.error or "").partition("\n")[0] if is_over and row.status == "failed" else progress(row)
    commit = short_sha(row.resolved_sha or row.commit_sha)
    return [row.id, row.repository_name, commit, state, told, short_time(now - row.created_at)]


def _was_put_back(row: JobRow, queued: JobFacts | None) -> bool:
    """Whether a job that failed for good waits or runs again, since an operator has put it back."""
    return row.status == "failed" and queued is not None and queued.state in (*WAITING, "running")


def _details(row: JobRow, facts: Facts, now: datetime) -> list[tuple[str, str]]:
    queued = facts.get(row.message_id or "")
    expires_at = queued.expires_at if queued is not None and queued.state in WAITING else None
    stats = row.stats or {}
    commit = row.commit_sha or "head of the default branch"
    told: list[tuple[str, str | None]] = [
        ("Job", row.id),
        ("Repository", f"{row.repository_name} ({row.repository_url})"),
        ("Commit", commit if row.resolved_sha in (None, row.commit_sha) else f"{row.resolved_sha} ({commit})"),
        ("Status", row.status),
        ("Queue", in_the_queue(queued, now)),
        ("Message", row.message_id),
        ("Progress", progress(row)),
        ("Languages", _counts(stats.get("files_by_language"))),
        ("Skipped", _counts(stats.get("skips_by_reason"))),
        ("Retries", str(row.retry_count)),
        ("Crashes", str(queued.crashes) if queued is not None and queued.crashes else None),
        ("Earlier", "\n".join(map(attempt_line, queued.attempts)) if queued is not None else None),
        ("Created", local_time(row.created_at)),
        ("Expires", local_time(expires_at) if expires_at else None),
        ("Started", local_time(row.started_at) if row.started_at else None),
        ("Finished", local_time(row.finished_at) if row.finished_at else None),
        ("Took", short_time(row.finished_at - row.started_at) if row.finished_at and row.started_at else None),
        ("Merged into", row.merged_into),
        ("Error", row.error),
        ("Last error of the queue", queued.error if queued is not None and queued.state != "completed" else None),
    ]
    return [(name, value) for name, value in told if value]


def _counts(counts: Mapping[str, int] | None) -> str:
    ordered = sorted((counts or {}).items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {count:,}" for name, count in ordered)


def in_the_queue(facts: JobFacts | None, now: datetime) -> str:
    """Where a job's message is, in words. ``now`` by the database's clock."""
    if facts is None:
        return "not in the queue"
    if facts.state == "scheduled":
        return f"scheduled for {local_time(facts.available_at)} (in {short_time(facts.available_at - now)})"
    if facts.state == "running":
        return f"running on {facts.host} (process {facts.pid})" if facts.host else "running"
    if facts.state == "dead":
        return f"dead: {facts.reason}"
    return f"merged into {facts.merged_into}" if facts.state == "merged" else facts.state


def progress(row: JobRow) -> str:
    """How far a job is, or what it found."""
    if row.status == "completed":
        return f"{row.files_done:,} files, {row.symbols:,} symbols"
    if row.phase is None:
        return ""
    files = "" if row.files_total is None else f" {row.files_done:,} of {row.files_total:,} files"
    return ", ".join([f"{row.phase}{files}", *read_and_left(row)])


def read_and_left(row: JobRow) -> list[str]:
    """What a running job has read and found, and how long its phase will take, as far as it knows."""
    told = [f"{row.bytes_done / 1e6:,.1f} MB"] if row.bytes_done else []
    if row.symbols:
        told.append(f"{row.symbols:,} symbols")
    if row.rest_seconds is not None and row.status == "processing":
        told.append(f"about {short_time(row.rest_seconds)} left")
    return told

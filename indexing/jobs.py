"""Repositories to index, and the jobs that do it, as rows.

Every function takes a cursor and leaves the transaction to the caller: a job and its message are written together or
not at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from psycopg2.extensions import cursor as Cursor  # noqa: N812 a class, whatever the driver calls it

from indexing import location
from indexing.queries import query
from indexing.report import IndexReport, Progress

Status = Literal["pending", "processing", "completed", "failed", "merged"]

#: The actor whose calls are index jobs: its first argument, ``index_job_id``, names the row.
ACTOR: Final = "index_repo"

#: Longest error kept, in characters.
_MAX_ERROR: Final = 2000


@dataclass(frozen=True)
class RepositoryRow:
    """A row of ``repositories``."""

    id: str
    name: str
    url: str


@dataclass(frozen=True)
class JobRow:
    """A row of ``index_jobs`` with its repository. ``stats`` is an IndexReport by field names."""

    id: str
    repository_id: str
    repository_name: str
    repository_url: str
    commit_sha: str | None
    resolved_sha: str | None
    status: Status
    phase: str | None
    files_total: int | None
    files_done: int
    symbols: int
    stats: Mapping[str, Any] | None
    error: str | None
    retry_count: int
    message_id: str | None
    created_at: datetime
    started_at: datetime | None
    updated_at: datetime
    finished_at: datetime | None
    #: Of the present phase, as far as it can be told: see ``report.Progress``.
    bytes_done: int
    rest_seconds: int | None
    #: The newer job of the repository that stands for this one, when its status is merged.
    merged_into: str | None


def job_id_of(actor_name: object, args: object, kwargs: object) -> str | None:
    """The row of ``index_jobs`` that a queued call is about; None when it is about none, or malformed."""
    if actor_name != ACTOR:
        return None
    given = kwargs.get("index_job_id") if isinstance(kwargs, dict) else None
    if given is None and isinstance(args, list | tuple) and args:
        given = args[0]
    try:
        return str(UUID(str(given)))
    except ValueError:
        return None


def add_repository(cursor: Cursor, url: str, name: str | None = None) -> str:
    """The id of the repository with this URL or absolute path, made if there is none; its name is not changed.

    RepositoryRefused for a URL that could not be indexed, or that has a secret in it.
    """
    place = location.parse(url)
    cursor.execute(query("add_repository"), {"url": place.url, "name": name or place.name})
    return _returned_id(cursor)


def get_repository(cursor: Cursor, repository_id: str) -> RepositoryRow | None:
    """A repository; None when there is none."""
    cursor.execute(query("get_repository"), {"repository_id": repository_id})
    row = cursor.fetchone()
    return None if row is None else RepositoryRow(*row)


def add_job(
    cursor: Cursor,
    repository_id: str,
    commit_sha: str | None = None,
    job_id: str | None = None,
    *,
    message_id: str | None = None,
) -> str:
    """A pending job's id. ``commit_sha``: an id, branch or tag; None: the head of the default branch."""
    values = {"job_id": job_id, "repository_id": repository_id, "commit_sha": commit_sha, "message_id": message_id}
    cursor.execute(query("add_job"), values)
    return _returned_id(cursor)


def merge(cursor: Cursor, job_id: str, message_id: str) -> None:
    """The job's message took the place of one that waited, and its id: the job that this one was for is merged."""
    cursor.execute(query("set_message"), {"job_id": job_id, "message_id": message_id})
    cursor.execute(query("take_over"), {"job_id": job_id, "only_of_message": True})


def take_over(cursor: Cursor, job_id: str) -> None:
    """The job is about to run: those of its repository that were asked for before it and are not over are merged."""
    cursor.execute(query("take_over"), {"job_id": job_id, "only_of_message": False})


def mark_processing(cursor: Cursor, job_id: str, *, retry_count: int = 0) -> bool:
    """A try begins; False when there is no such job."""
    cursor.execute(query("mark_processing"), {"job_id": job_id, "retry_count": retry_count})
    return cursor.rowcount == 1


def report_progress(cursor: Cursor, job_id: str, progress: Progress) -> bool:
    """Where a try is; False, and nothing is written, when the job is not being processed."""
    values = {
        "job_id": job_id,
        "phase": progress.phase,
        "files_total": progress.files_total,
        "files_done": progress.files_done,
        "symbols": progress.symbols,
        "bytes_done": progress.bytes_done,
        "rest_seconds": None if progress.rest_seconds is None else round(progress.rest_seconds),
    }
    cursor.execute(query("report_progress"), values)
    return cursor.rowcount == 1


def mark_completed(cursor: Cursor, job_id: str, report: IndexReport) -> bool:
    """The end; False, and nothing is written, when the job is not being processed."""
    values = {
        "job_id": job_id,
        "resolved_sha": report.commit_sha,
        "files_total": report.files_processed + report.files_skipped,
        "symbols": report.symbols_extracted,
        "stats": json.dumps(report.as_json()),
    }
    cursor.execute(query("mark_completed"), values)
    return cursor.rowcount == 1


def mark_failed(cursor: Cursor, job_id: str, error: str, retry_count: int, *, final: bool) -> bool:
    """A try failed: ``final`` for good, else the job is pending again. False when the job has ended already."""
    readable = location.mask(error).replace("\x00", "\N{REPLACEMENT CHARACTER}")
    readable = readable.encode("utf-8", "replace").decode()[:_MAX_ERROR] or "no message"
    cursor.execute(
        query("mark_failed"), {"job_id": job_id, "error": readable, "retry_count": retry_count, "final": final}
    )
    return cursor.rowcount == 1


def get_job(cursor: Cursor, job_id: str) -> JobRow | None:
    """A job; None when there is none."""
    cursor.execute(query("get_job"), {"job_id": job_id})
    row = cursor.fetchone()
    return None if row is None else JobRow(*row)


def latest_jobs(cursor: Cursor, limit: int = 20) -> list[JobRow]:
    """The newest jobs, newest first."""
    cursor.execute(query("latest_jobs"), {"limit": limit})
    return [JobRow(*row) for row in cursor.fetchall()]


def _returned_id(cursor: Cursor) -> str:
    row = cursor.fetchone()
    assert row is not None
    return str(row[0])

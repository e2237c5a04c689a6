"""The main job: a repository at a commit becomes files and symbols in Postgres.

Thin on purpose. ``indexing`` knows how to index, ``leasequeue`` who may do it and what happens when it fails; this file
tells each of them what the other one says, and keeps ``index_jobs`` true for the caller who looks there; of failures
:mod:`.index_failures` does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import dramatiq
import psycopg2

from broker import broker, settings
from indexing import jobs, location
from indexing.report import Progress
from indexing.run import index_commit
from leasequeue import PermanentError, current_lease

from .bounds import access_of_runs, limits_of_runs
from .index_failures import failure_recorded, failures_before
from .payloads import IndexRequest, JobResult
from .sessions import opened_connection

#: Milliseconds for which the result can be read: as long as the completed job itself.
RESULT_TTL = int(settings.archive_completed_after * 1000) or 1


def _key(index_job_id: str, repository_id: str, commit_sha: str | None = None) -> str:
    """At most one job of a repository waits and one runs: a push storm costs two runs."""
    return str(repository_id)


@dramatiq.actor(
    broker=broker,
    actor_name=jobs.ACTOR,
    queue_name=settings.queue_name,
    store_results=True,
    result_ttl=RESULT_TTL,
    key=_key,
)
def index_repo(index_job_id: str, repository_id: str, commit_sha: str | None = None) -> dict[str, Any]:
    """Index one commit of one repository for one row of ``index_jobs``. Running it again gives the same tables.

    Parameters:
      index_job_id: UUID of the row in ``indexing.index_jobs`` that tells the caller how it goes.
      repository_id: UUID of the row in ``indexing.repositories``.
      commit_sha: full or short id, branch or tag; None: the head of the default branch.

    Returns:
      A :class:`JobResult` as JSON.

    Raises:
      PermanentError: no such job, repository or commit, or it may not be indexed. Dead-lettered at once.
      Exception: anything that may pass: a network, a database. Retried.
    """
    request = IndexRequest.checked(index_job_id, repository_id, commit_sha)
    with opened_connection() as work, opened_connection() as notes, failure_recorded(notes, request):
        repository = _begin(notes, request)
        report = index_commit(
            work,
            repository.url,
            request.repository_id,
            request.commit_sha,
            limits=limits_of_runs(),
            access=access_of_runs(),
            on_progress=_progress_writer(notes, request),
            before_publish=broker.hold_lease,
        )
        with notes, notes.cursor() as cursor:
            broker.hold_lease(cursor)
            jobs.mark_completed(cursor, request.index_job_id, report)
    return JobResult(True, report.files_processed, report.symbols_extracted).as_json()


def _begin(connection: psycopg2.extensions.connection, request: IndexRequest) -> jobs.RepositoryRow:
    with connection, connection.cursor() as cursor:
        broker.hold_lease(cursor)
        repository = jobs.get_repository(cursor, request.repository_id)
        if repository is None:
            raise PermanentError(f"no repository has the id {request.repository_id}")
        if not jobs.mark_processing(cursor, request.index_job_id, retry_count=failures_before()):
            raise PermanentError(f"no index job has the id {request.index_job_id}")
        if current_lease() is not None:  # on RabbitMQ no key keeps the others of the repository from running
            jobs.take_over(cursor, request.index_job_id)
    return repository


def enqueue_index_job(
    cursor: Any,
    repository_id: str,
    commit_sha: str | None = None,
    *,
    index_job_id: str | None = None,
    owner: str | None = None,
) -> dramatiq.Message[Any]:
    """Write an index job and its message in the caller's transaction, which has to be committed. Returns the message.

    A job of the repository that waits already is merged into this one: its message becomes this one's.

    Parameters:
      cursor: of psycopg2, on the database of the queue.
      commit_sha: as for :func:`index_repo`.
      index_job_id: UUID of the new job; None: a fresh one. The message has it as ``kwargs["index_job_id"]``.
      owner: who it is done for: owners take turns. None: the host and account of the repository's URL.

    Call ``broker.ring(message.queue_name)`` behind the commit, or let a worker find the job with its next poll.
    """
    job_id = index_job_id or str(uuid4())
    if owner is None and (repository := jobs.get_repository(cursor, repository_id)) is not None:
        owner = location.owner_of(repository.url)
    message = index_repo.message_with_options(
        kwargs={"index_job_id": job_id, "repository_id": repository_id, "commit_sha": commit_sha}, fairness_key=owner
    )
    jobs.add_job(cursor, repository_id, commit_sha, job_id, message_id=message.message_id)
    stored = broker.enqueue_on(cursor, message)
    if stored.message_id != message.message_id:
        jobs.merge(cursor, job_id, stored.message_id)
    return stored


def _progress_writer(connection: psycopg2.extensions.connection, request: IndexRequest) -> Callable[[Progress], None]:
    def write(progress: Progress) -> None:
        with connection, connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit TO off")  # a figure that a server crash may take
            jobs.report_progress(cursor, request.index_job_id, progress)
            broker.hold_lease(cursor)

    return write

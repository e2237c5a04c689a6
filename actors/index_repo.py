"""The main job: a repository at a commit becomes files and symbols in Postgres.

Thin on purpose. ``indexing`` knows how to index, ``leasequeue`` who may do it and what happens when it fails; this file
tells each of them what the other one says, and keeps ``index_jobs`` true for the caller who looks there.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import dramatiq
import psycopg2
from dramatiq.middleware import CurrentMessage, Interrupt, Middleware, SkipMessage, TimeLimitExceeded

from broker import broker, settings
from indexing import jobs, location
from indexing.access import Access
from indexing.errors import PermanentIndexError
from indexing.limits import Limits
from indexing.report import Progress
from indexing.run import index_commit
from leasequeue import Death, LeaseLost, PermanentError, current_lease
from leasequeue.admin import Admin
from leasequeue.connection import session_defaults

from .payloads import IndexRequest, JobResult

log = logging.getLogger("indexq.index_repo")

#: Seconds to reach the database.
CONNECT_TIMEOUT = 10

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
    with opened_connection() as work, opened_connection() as notes, _failure_recorded(notes, request):
        repository = _begin(notes, request)
        report = index_commit(
            work,
            repository.url,
            request.repository_id,
            request.commit_sha,
            limits=_limits(),
            access=_access(),
            on_progress=_progress_writer(notes, request),
            before_publish=broker.hold_lease,
        )
        with notes, notes.cursor() as cursor:
            broker.hold_lease(cursor)
            jobs.mark_completed(cursor, request.index_job_id, report)
    return JobResult(True, report.files_processed, report.symbols_extracted).as_json()


@contextmanager
def opened_connection() -> Iterator[psycopg2.extensions.connection]:
    """A session of an actor's own: it neither waits for ever for a server that is gone, nor outlives the block."""
    url = settings.supabase_db_url
    connection = psycopg2.connect(url, connect_timeout=CONNECT_TIMEOUT, **session_defaults(url, "indexq index"))
    try:
        yield connection
    finally:
        connection.close()


def _begin(connection: psycopg2.extensions.connection, request: IndexRequest) -> jobs.RepositoryRow:
    with connection, connection.cursor() as cursor:
        broker.hold_lease(cursor)
        repository = jobs.get_repository(cursor, request.repository_id)
        if repository is None:
            raise PermanentError(f"no repository has the id {request.repository_id}")
        if not jobs.mark_processing(cursor, request.index_job_id, retry_count=_failures_before()):
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


def _failures_before() -> int:
    lease = current_lease()
    if lease is not None:
        return lease.errors
    message = CurrentMessage.get_current_message()  # on RabbitMQ
    return int(message.options.get("retries", 0)) if message is not None else 0


def _limits() -> Limits:
    limits = Limits(
        max_file_bytes=settings.index_max_file_bytes,
        max_files=settings.index_max_files,
        fetch_timeout_seconds=settings.git_timeout,
        keep_commits=settings.index_keep_commits,
    )
    if settings.index_parallelism is not None:
        limits = replace(limits, parse_processes=settings.index_parallelism)
    return limits


def _access() -> Access:
    return Access(
        tokens=dict(each.split("=", 1) for each in settings.index_git_tokens),
        askpass=settings.index_askpass or None,
        allowed_hosts=settings.index_allowed_hosts,
        local_directories=settings.index_local_directories or ("/",),
        cache_directory=settings.index_cache_directory or _cache_at_home(),
        cache_bytes=settings.index_cache_bytes,
    )


def _cache_at_home() -> str | None:
    """Where a worker that was told nothing keeps what it fetched; None for a user who may write nowhere."""
    directory = Path(os.environ.get("HOME", "/")) / ".cache" / "indexq"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as trouble:
        log.warning("no_fetch_cache directory=%s: %s; set INDEX_CACHE_DIRECTORY", directory, trouble)
        return None
    return str(directory)


def _progress_writer(connection: psycopg2.extensions.connection, request: IndexRequest) -> Callable[[Progress], None]:
    def write(progress: Progress) -> None:
        with connection, connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit TO off")  # a figure that a server crash may take
            jobs.report_progress(cursor, request.index_job_id, progress)
            broker.hold_lease(cursor)

    return write


@contextmanager
def _failure_recorded(connection: psycopg2.extensions.connection, request: IndexRequest) -> Iterator[None]:
    """Write into ``index_jobs`` how a run failed, and tell the queue whether another one makes sense."""
    try:
        yield
    except (PermanentIndexError, PermanentError) as error:
        _record_failure(connection, request, str(error), final=True)
        raise PermanentError(str(error)) from error
    except Interrupt as interruption:
        # A drain or a lost lease is no failure of the job; its time limit is.
        if isinstance(interruption, TimeLimitExceeded):
            text = f"it took longer than {settings.job_time_limit:g} s"
            _record_failure(connection, request, text, final=_failures_before() >= settings.retry_limit)
        raise
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        _record_failure(connection, request, text, final=_failures_before() >= settings.retry_limit)
        raise


def _record_failure(
    connection: psycopg2.extensions.connection, request: IndexRequest, text: str, *, final: bool
) -> None:
    try:
        connection.rollback()
        with connection, connection.cursor() as cursor:
            broker.hold_lease(cursor)
            jobs.mark_failed(cursor, request.index_job_id, text, retry_count=_failures_before() + 1, final=final)
    except (psycopg2.Error, LeaseLost) as trouble:
        # The queue's own record is what counts; this one is made true by the next run, or when the job is dead.
        log.warning("failure_not_recorded index_job_id=%s: %s", request.index_job_id, trouble)


def record_death(death: Death) -> None:
    """Make ``index_jobs`` say failed also for jobs that died without a run: expired, or their workers died."""
    if death.queue_name != settings.queue_name:
        return
    job = Admin(broker).job(death.message_id)
    if job is None or job.message is None or job.message.get("actor_name") != index_repo.actor_name:
        return
    text = f"{death.reason}: {death.error or 'no error was recorded'}".splitlines()[0]
    _record_end(job.message.get("args", ()), job.message.get("kwargs", {}), text, errors=job.errors)


def _record_end(args: object, kwargs: object, text: str, *, errors: int) -> None:
    index_job_id = jobs.job_id_of(jobs.ACTOR, args, kwargs)
    if index_job_id is None:
        return  # a malformed call: no row is about it
    with opened_connection() as connection, connection, connection.cursor() as cursor:
        jobs.mark_failed(cursor, index_job_id, text, retry_count=errors, final=True)


class RejectionsRecorded(Middleware):
    """The same on RabbitMQ, where a job that is not run again goes to the dead letters by way of this process."""

    def after_nack(self, broker: Any, message: Any) -> None:
        if message.actor_name == index_repo.actor_name:
            was_skipped = isinstance(message._exception, SkipMessage)
            text = "expired: not finished within the time it had" if was_skipped else "rejected"
            _record_end(message.args, message.kwargs, text, errors=message.options.get("retries", 0))


if settings.broker_url:
    broker.add_middleware(RejectionsRecorded())  # type: ignore[no-untyped-call]
else:
    broker.on_death = record_death

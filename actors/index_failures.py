"""Keeps ``index_jobs`` true for jobs that fail: in a run, between runs, or without one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from dramatiq.middleware import CurrentMessage, Interrupt, Middleware, SkipMessage, TimeLimitExceeded

from broker import broker, settings
from indexing import jobs
from indexing.errors import PermanentIndexError
from leasequeue import Death, LeaseLost, PermanentError, current_lease
from leasequeue.admin import Admin

from .payloads import IndexRequest
from .sessions import opened_connection

log = logging.getLogger("indexq.index_repo")


def failures_before() -> int:
    """How often the job of the calling thread has failed before this run."""
    lease = current_lease()
    if lease is not None:
        return lease.errors
    message = CurrentMessage.get_current_message()  # on RabbitMQ
    return int(message.options.get("retries", 0)) if message is not None else 0


@contextmanager
def failure_recorded(connection: psycopg2.extensions.connection, request: IndexRequest) -> Iterator[None]:
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
            _record_failure(connection, request, text, final=failures_before() >= settings.retry_limit)
        raise
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        _record_failure(connection, request, text, final=failures_before() >= settings.retry_limit)
        raise


def _record_failure(
    connection: psycopg2.extensions.connection, request: IndexRequest, text: str, *, final: bool
) -> None:
    try:
        connection.rollback()
        with connection, connection.cursor() as cursor:
            broker.hold_lease(cursor)
            jobs.mark_failed(cursor, request.index_job_id, text, retry_count=failures_before() + 1, final=final)
    except (psycopg2.Error, LeaseLost) as trouble:
        # The queue's own record is what counts; this one is made true by the next run, or when the job is dead.
        log.warning("failure_not_recorded index_job_id=%s: %s", request.index_job_id, trouble)


def record_death(death: Death) -> None:
    """Make ``index_jobs`` say failed also for jobs that died without a run: expired, or their workers died."""
    if death.queue_name != settings.queue_name:
        return
    job = Admin(broker).job(death.message_id)
    if job is None or job.message is None or job.message.get("actor_name") != jobs.ACTOR:
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
        if message.actor_name == jobs.ACTOR:
            was_skipped = isinstance(message._exception, SkipMessage)
            text = "expired: not finished within the time it had" if was_skipped else "rejected"
            _record_end(message.args, message.kwargs, text, errors=message.options.get("retries", 0))

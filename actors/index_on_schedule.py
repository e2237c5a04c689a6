"""What a schedule sends: at each tick an index job of its own, with its own row and history."""

from __future__ import annotations

from uuid import UUID, uuid5

import dramatiq
import psycopg2
from psycopg2 import errorcodes

from broker import broker, settings
from leasequeue import PermanentError, current_lease

from .index_repo import enqueue_index_job
from .sessions import opened_connection


@dramatiq.actor(broker=broker, actor_name="index_on_schedule", queue_name=settings.queue_name)
def index_on_schedule(repository_id: str, commit_sha: str | None = None) -> None:
    """Queue one index job of a repository. Running it again for the same tick changes nothing.

    Parameters:
      repository_id: UUID of the row in ``indexing.repositories``.
      commit_sha: as for ``index_repo``; None: the head of the default branch at the time of the run.

    Raises:
      PermanentError: there is no such repository.
    """
    lease = current_lease()
    assert lease is not None, "it runs under a lease"
    index_job_id = str(uuid5(UUID(lease.message_id), "index job"))
    try:
        with opened_connection() as connection, connection, connection.cursor() as cursor:
            message = enqueue_index_job(cursor, repository_id, commit_sha, index_job_id=index_job_id)
            broker.hold_lease(cursor)
    except psycopg2.Error as error:
        if error.pgcode == errorcodes.UNIQUE_VIOLATION:
            return  # an earlier run of this tick came as far as this
        if error.pgcode in (errorcodes.FOREIGN_KEY_VIOLATION, errorcodes.INVALID_TEXT_REPRESENTATION):
            raise PermanentError(f"no repository has the id {repository_id}") from None
        raise
    broker.ring(message.queue_name)

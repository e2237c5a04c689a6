"""Questions about a queue, and what an operator does to it, for health checks, commands and tests.

:class:`Admin` only asks. What changes something has a class of its own, named after what it is about.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .. import errors, migrations
from .bulk import Batch, in_batches
from .dead import SET_ASIDE, DeadFilter, DeadLetters
from .facts import (
    COUNT_LIMIT,
    Cancelled,
    CauseFacts,
    DeadFacts,
    DeadLetter,
    JobFacts,
    JobState,
    ListedJob,
    QueueFacts,
    QueueReport,
    Snapshot,
    WorkerFacts,
)
from .jobs import Jobs, Kind
from .queues import Queues
from .schedules import ScheduleFacts, Schedules

if TYPE_CHECKING:
    from ..broker import LeaseBroker

__all__ = [
    "COUNT_LIMIT",
    "SET_ASIDE",
    "Admin",
    "Batch",
    "Cancelled",
    "CauseFacts",
    "DeadFacts",
    "DeadFilter",
    "DeadLetter",
    "DeadLetters",
    "JobFacts",
    "JobState",
    "Jobs",
    "Kind",
    "ListedJob",
    "QueueFacts",
    "QueueReport",
    "Queues",
    "ScheduleFacts",
    "Schedules",
    "Snapshot",
    "WorkerFacts",
    "in_batches",
]

#: Seconds that a question may take when the caller does not say.
TIMEOUT = 5.0


class Admin:
    """Asks about the queue of one broker, on the sessions of its senders."""

    def __init__(self, broker: LeaseBroker) -> None:
        self._broker = broker

    def snapshot(self, timeout: float = TIMEOUT) -> Snapshot:
        """The state of all queues and workers.

        Parameters:
          timeout: seconds for all of it together.

        Raises:
          DatabaseUnavailable: the database is away, or was too slow.
          SchemaMissing: there is no queue in this database, or it is older than this code.
        """
        deadline = time.monotonic() + timeout

        def left() -> float:
            return max(0.01, deadline - time.monotonic())

        expected = migrations.latest()
        with self._broker.session(left()) as connection:
            version = migrations.current(connection, self._broker.schema, timeout=left())
            if version < expected:
                raise errors.SchemaMissing(
                    f"expected schema {self._broker.schema} to have version {expected}, got: {version}. "
                    "Has the queue's schema been migrated?"
                )
            ask = self._broker.queries
            names = [row[0] for row in connection.execute(ask["queue_names"], {}, timeout=left())]
            counts = connection.execute(ask["queue_counts"], {"queues": names, "cap": COUNT_LIMIT}, timeout=left())
            workers = connection.execute(ask["workers"], {"lease": self._broker.policy.lease}, timeout=left())
        return Snapshot(version, expected, [QueueFacts(*row) for row in counts], [WorkerFacts(*row) for row in workers])

    def job(self, message_id: str, timeout: float = TIMEOUT) -> JobFacts | None:
        """One job by its id; None when it never was, or is no longer kept."""
        rows = self._broker.ask("job", {"message_id": message_id}, timeout=timeout)
        return JobFacts(*rows[0]) if rows else None

    def is_healthy(self, timeout: float = TIMEOUT) -> bool:
        """Whether the queue can be reached and has the right schema. Never raises."""
        try:
            self.snapshot(timeout)
        except (errors.DatabaseUnavailable, errors.QueueError):
            return False
        return True

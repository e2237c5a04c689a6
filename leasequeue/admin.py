"""Questions about a queue, for health checks, commands and tests. Nothing here changes anything."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from . import errors, migrations

if TYPE_CHECKING:
    from .broker import LeaseBroker

#: Counting stops here: a figure beyond it changes no decision, and counting millions costs seconds.
COUNT_LIMIT = 100_000

#: Seconds that a question may take when the caller does not say.
TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """One queue at one moment. Counts stop at :data:`COUNT_LIMIT`."""

    name: str
    #: Jobs that could be started now.
    ready: int
    #: Jobs for later: sent with a delay, or waiting for a retry.
    delayed: int
    running: int
    dead: int
    #: Seconds since the oldest ready job could have been started; None when none is ready.
    oldest_ready_seconds: float | None


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """One living worker process."""

    worker_id: str
    host: str
    pid: int
    threads: int
    queues: list[str]
    draining: bool
    started_at: datetime
    heartbeat_at: datetime
    #: Seconds since its last heartbeat, by the database's clock.
    silent_seconds: float
    #: Jobs it holds.
    holds: int


@dataclass(frozen=True, slots=True)
class JobFacts:
    """One job, wherever it is."""

    message_id: str
    queue_name: str
    #: queued, consumed (running), rejected (dead) or done.
    state: str
    #: Since when it has been in this state.
    since: datetime
    message: dict[str, Any] | None
    available_at: datetime
    enqueued_at: datetime
    expires_at: datetime | None
    starts: int
    errors: int
    crashes: int
    reason: str | None
    error: str | None
    #: Where it runs.
    host: str | None
    pid: int | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a load balancer and an operator ask first."""

    #: Seconds that one empty question took.
    round_trip_seconds: float
    schema_version: int
    schema_version_expected: int
    queues: list[QueueFacts]
    workers: list[WorkerFacts]


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
            started = time.monotonic()
            connection.execute("SELECT 1", timeout=left())
            round_trip = time.monotonic() - started
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
        return Snapshot(
            round_trip, version, expected, [QueueFacts(*row) for row in counts], [WorkerFacts(*row) for row in workers]
        )

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

"""Does the queue move? One question to the database, and what its answer means."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import migrations
from ..connection import Connection, Row
from .facts import QueueFacts

if TYPE_CHECKING:
    from ..broker import LeaseBroker

#: Counting stops here: once a second, for a probe.
HEALTH_COUNT_LIMIT = 10_000

#: Seconds beyond the poll interval without a good round after which a claim loop is not claiming: two calls that hung.
CLAIMS_WITHIN = 20.0

#: Of the time that a question may take, what its statement gets before the server gives it up.
SERVER_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class WorkerHealth:
    """One living worker process, as the database has it. Seconds by the database's clock."""

    worker_id: str
    host: str
    pid: int
    threads: int
    #: Of its threads, those that are alive; None: it has not said yet.
    live_threads: int | None
    queues: list[str]
    draining: bool
    #: Whether notifications tell it of new jobs; None: it has not said yet.
    notified: bool | None
    #: Whether it claims jobs. One that was switched off lives and stays idle.
    claiming: bool
    started_seconds: float
    #: Since its last heartbeat.
    silent_seconds: float
    #: Jobs that it holds.
    holds: int
    #: Whether one of them may still be within its time limit, and its claim loop is well.
    busy: bool


@dataclass(frozen=True, slots=True)
class HealthFacts:
    """The queue at one moment. Counts stop at :data:`HEALTH_COUNT_LIMIT`."""

    #: Seconds that the question took, connecting included where that was needed.
    answered_in_seconds: float
    writable: bool
    schema: str
    schema_version: int
    schema_version_expected: int
    queues: list[QueueFacts]
    workers: list[WorkerHealth]
    #: Seconds since a living worker has started, or anybody has claimed or finished a job; None when nobody ever has.
    quiet_seconds: float | None
    #: Queues that an operator has paused: that their jobs wait is meant so.
    paused: frozenset[str] = frozenset()

    def stalled(self, threshold: float) -> str | None:
        """Why the queue stands still although there is work, in words; None when it does not.

        Jobs wait longer than ``threshold`` seconds, in a queue that somebody consumes, and for that long nobody has
        claimed or finished anything. A worker that is busy with a job within its time limit is a reason to wait.
        """
        consumed = {name for worker in self.workers if worker.claiming for name in worker.queues}
        late = [
            queue
            for queue in self.queues
            if queue.name in consumed - self.paused
            and queue.oldest_ready_seconds is not None
            and queue.oldest_ready_seconds > threshold
        ]
        if not late or any(worker.busy for worker in self.workers):
            return None
        if self.quiet_seconds is not None and self.quiet_seconds <= threshold:
            return None
        oldest = max(late, key=lambda queue: queue.oldest_ready_seconds or 0.0)
        quiet = "ever" if self.quiet_seconds is None else f"for {self.quiet_seconds:.0f} s"
        return (
            f"{oldest.ready} jobs wait in queue {oldest.name}, the oldest for {oldest.oldest_ready_seconds:.0f} s, "
            f"and no worker anywhere has claimed or finished anything {quiet}"
        )

    def unconsumed(self, threshold: float) -> list[QueueFacts]:
        """Queues whose jobs wait longer than ``threshold`` seconds and from which no living worker takes.

        Not those whose workers were all switched off: that is told of the workers.
        """
        consumed = {name for worker in self.workers for name in worker.queues}
        return [
            queue
            for queue in self.queues
            if queue.name not in consumed | self.paused and (queue.oldest_ready_seconds or 0.0) > threshold
        ]


@dataclass(frozen=True, slots=True)
class TableFacts:
    """One table of the queue, as the server's statistics have it."""

    name: str
    #: With its indexes.
    total_bytes: int
    live_rows: int
    dead_rows: int
    #: For how long the oldest transaction has kept dead rows from being removed; the same for all tables.
    oldest_transaction_seconds: float


class HealthQuestion:
    """Asks on a session of its own, which it keeps: those who send jobs need not share theirs with probes.

    For one thread at a time. Opens nothing before the first question.
    """

    def __init__(self, broker: LeaseBroker) -> None:
        self._broker = broker
        self._connection: Connection | None = None
        self._pid = os.getpid()

    def ask(self, timeout: float, count_limit: int = HEALTH_COUNT_LIMIT) -> HealthFacts:
        """The facts, within ``timeout`` seconds (a name server that hangs is the one thing that takes longer).

        Parameters:
          count_limit: counting stops here.

        Raises:
          DatabaseUnavailable: the database is away, refuses, or was too slow.
          SchemaMissing: there is no queue in this database, or one that is too old to be asked.
          QueueError: the database will not say.
        """
        started = time.monotonic()
        policy = self._broker.policy
        parameters = {
            "cap": count_limit,
            "lease": policy.lease,
            "time_limit": policy.time_limit,
            "claims_within": policy.poll_interval + CLAIMS_WITHIN,
        }
        ((writable, version, queues, workers, quiet, paused),) = self.run("health", parameters, timeout)
        return HealthFacts(
            answered_in_seconds=time.monotonic() - started,
            writable=writable,
            schema=self._broker.schema,
            schema_version=version,
            schema_version_expected=migrations.latest(),
            queues=[QueueFacts(**queue) for queue in queues],
            workers=[WorkerHealth(**worker) for worker in workers],
            quiet_seconds=None if quiet is None else max(0.0, quiet),
            paused=frozenset(paused),
        )

    def tables(self, timeout: float) -> list[TableFacts]:
        """The tables of the queue, within ``timeout`` seconds. Raises what :meth:`ask` raises."""
        return [TableFacts(*row) for row in self.run("tables", {"schema": self._broker.schema}, timeout)]

    def run(self, name: str, parameters: dict[str, Any], timeout: float) -> list[Row]:
        """The rows of one named statement of the queue. Raises what :meth:`ask` raises."""
        return self.execute(self._broker.queries[name], parameters, timeout)

    def execute(self, statement: str, parameters: dict[str, Any], timeout: float) -> list[Row]:
        """The rows of a statement, which the server gives up when it takes longer. Raises what :meth:`ask` raises."""
        started = time.monotonic()
        connection = self._session(timeout)
        left = max(0.01, started + timeout - time.monotonic())
        limit = int(left * SERVER_SHARE * 1000) or 1
        return connection.execute(f"SET LOCAL statement_timeout TO {limit}; {statement}", parameters, timeout=left)

    def close(self) -> None:
        """End the session. The next question opens another one."""
        if self._connection is not None and self._pid == os.getpid():
            self._connection.close()
        self._connection = None

    def _session(self, timeout: float) -> Connection:
        if self._pid != os.getpid():  # forked: the session is our parent's
            self._connection, self._pid = None, os.getpid()
        if self._connection is None or self._connection.is_stale():
            self._connection = None
            self._connection = Connection(self._broker.url, "leasequeue health", connect_timeout=timeout)
        return self._connection

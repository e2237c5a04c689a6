"""What the questions about a queue are answered with: frozen records, times in seconds by the database's clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

#: Counting stops here: a figure beyond it changes no decision, and counting millions costs seconds.
COUNT_LIMIT = 100_000


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

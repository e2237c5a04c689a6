"""What the questions about a queue are answered with: frozen records, times in seconds by the database's clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

#: Counting stops here: a figure beyond it changes no decision, and counting millions costs seconds.
COUNT_LIMIT = 100_000

#: What is told of a job; the table `queue` has words of its own, those of dramatiq-pg. Scheduled: for later, after a
#: delay or before a retry. Ready: could be started now. Merged: the newer job with its key stands for it.
JobState = Literal["scheduled", "ready", "running", "completed", "dead", "merged"]


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """One queue at one moment. Counts stop at :data:`COUNT_LIMIT`."""

    name: str
    #: Jobs that could be started now.
    ready: int
    #: Jobs for later: sent with a delay, or waiting for a retry.
    scheduled: int
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
    #: Seconds since its last heartbeat, by the database's clock.
    silent_seconds: float
    #: Jobs it holds.
    holds: int
    #: Whether notifications tell it of new jobs, and whether it claims any; None: it has not said, or is too old to.
    notified: bool | None = None
    claiming: bool | None = None


@dataclass(frozen=True, slots=True)
class JobFacts:
    """One job, wherever it is."""

    message_id: str
    queue_name: str
    state: JobState
    #: Since when it has been in this state.
    since: datetime
    message: dict[str, Any] | None
    available_at: datetime
    enqueued_at: datetime
    #: Dead then, unless it has been run; None: it is over.
    expires_at: datetime | None
    starts: int
    errors: int
    crashes: int
    reason: str | None
    error: str | None
    #: Where it runs.
    host: str | None
    pid: int | None
    #: It was not run: the newer job with its key stands for it.
    merged_into: str | None
    #: Runs that did not succeed, and what operators did: started, ended, worker, outcome, error. Newest last.
    attempts: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a load balancer and an operator ask first."""

    schema_version: int
    schema_version_expected: int
    queues: list[QueueFacts]
    workers: list[WorkerFacts]


@dataclass(frozen=True, slots=True)
class CauseFacts:
    """Dead jobs of one queue that died of the same: same actor, same reason, same first line of the error but for names
    and numbers in it."""

    queue_name: str
    #: The id of the cause, for filters. The same in every database.
    cause: str
    actor_name: str | None
    reason: str
    #: The first line of the newest error.
    error: str | None
    #: Stops at :data:`COUNT_LIMIT`.
    count: int
    first_at: datetime
    last_at: datetime
    #: The newest of them.
    message_id: str


@dataclass(frozen=True, slots=True)
class DeadFacts:
    """One dead job in a list."""

    message_id: str
    queue_name: str
    actor_name: str | None
    args: Any
    kwargs: Any
    reason: str
    #: Its first line.
    error: str | None
    died_at: datetime
    errors: int
    crashes: int
    redriven: int
    cause: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """All that is kept of a dead job; what an export holds."""

    message_id: str
    queue_name: str
    #: As dramatiq made it: actor_name, args, kwargs, options. None when it was unreadable from the start.
    message: Any
    reason: str
    error: str | None
    first_enqueued_at: datetime
    #: When it was sent, or redriven, last.
    enqueued_at: datetime
    died_at: datetime
    starts: int
    errors: int
    crashes: int
    #: How often it was sent again.
    redriven: int
    #: Earlier runs and deaths, oldest first: started, ended, worker, outcome, error.
    attempts: list[dict[str, Any]]
    cause: str


@dataclass(frozen=True, slots=True)
class QueueReport:
    """One queue as its operator sees it."""

    facts: QueueFacts
    #: Since when nothing is claimed from it; None: it is not paused.
    paused_at: datetime | None
    #: Jobs completed a second over the last minutes; None when completed jobs are not kept long enough to know.
    completed_per_second: float | None


@dataclass(frozen=True, slots=True)
class ListedJob:
    """One job that waits or runs."""

    message_id: str
    queue_name: str
    #: scheduled, ready or running.
    state: JobState
    actor_name: str | None
    args: Any
    kwargs: Any
    #: Since when it has been in this state.
    since: datetime
    #: When it is, or was, due.
    available_at: datetime
    enqueued_at: datetime
    errors: int
    crashes: int
    redriven: int
    #: Where it runs.
    host: str | None
    pid: int | None


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A job that was cancelled."""

    message_id: str
    queue_name: str
    #: What it was: scheduled, ready or running.
    state: JobState
    #: What is recorded as its error.
    error: str

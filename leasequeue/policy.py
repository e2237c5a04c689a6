"""The promises of a queue as numbers. All durations are seconds, all of them measured by the database's clock."""

from __future__ import annotations

from dataclasses import dataclass

MINUTE = 60.0
HOUR = 60 * MINUTE
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Policy:
    """How often, how long and how late. One object for a broker; actors may override what is marked so.

    Raises:
      ValueError: when two of the numbers contradict each other.
    """

    #: Runs after the first one that may end in an error. Actor option ``max_retries``.
    max_retries: int = 3
    #: Pause before the first retry; each next one is twice as long. Actor option ``min_backoff`` (milliseconds).
    min_backoff: float = 1 * MINUTE
    #: The longest pause: 60, 120, 180. Actor option ``max_backoff`` (milliseconds).
    max_backoff: float = 3 * MINUTE
    #: Starts that may end with the worker's death before the job is held responsible.
    crash_limit: int = 3
    #: How long a job whose actor nobody knows goes from worker to worker before it is dead: a rolling deploy.
    unknown_actor_window: float = 10 * MINUTE
    #: From when a job may first run until it is given up. ``None``: never. Actor option ``max_age`` (milliseconds).
    expire_after: float | None = 24 * HOUR
    #: How long one run may take. Actor option ``time_limit`` (milliseconds).
    time_limit: float = 1 * HOUR
    #: How long a completed job can be looked up.
    keep_done: float = 1 * HOUR
    #: How long a dead job can be looked up and sent again. ``None``: for ever.
    keep_dead: float | None = 30 * DAY
    #: A worker that has been silent for this long is presumed dead.
    lease: float = 20.0
    #: How often a worker says that it is alive.
    heartbeat: float = 3.0
    #: What running jobs get to finish after SIGTERM; then they are interrupted and handed back.
    drain: float = 30.0
    #: The longest a ready job is overlooked when no notification arrives.
    poll_interval: float = 2.0
    #: How long ``send()`` may try before it fails.
    enqueue_timeout: float = 5.0
    #: Bytes of one encoded message that ``send()`` lets pass. The SQL function ``enqueue`` has its own, fixed 1 MiB.
    max_message_bytes: int = 1024 * 1024
    #: A background loop without a sign of life for this long is stuck, and its process has to be replaced.
    stuck_after: float = 1 * MINUTE

    def __post_init__(self) -> None:
        if self.lease <= 2 * self.heartbeat:
            raise ValueError(
                f"expected lease to be more than two heartbeats ({2 * self.heartbeat:g} s), so that one late heartbeat "
                f"costs nobody a job, got: {self.lease:g} s"
            )
        if self.stuck_after <= max(self.heartbeat, self.poll_interval):
            raise ValueError(
                "expected stuck_after to be more than heartbeat and poll_interval "
                f"({max(self.heartbeat, self.poll_interval):g} s), for which a loop rests, got: {self.stuck_after:g} s"
            )
        if self.max_backoff < self.min_backoff:
            raise ValueError(
                f"expected max_backoff to be at least min_backoff ({self.min_backoff:g} s), got: {self.max_backoff:g} s"
            )
        for name in ("max_retries", "keep_done", "drain", "unknown_actor_window"):
            if getattr(self, name) < 0:
                raise ValueError(f"expected {name} to be 0 or more, got: {getattr(self, name)}")
        for name in (
            "crash_limit",
            "min_backoff",
            "time_limit",
            "heartbeat",
            "poll_interval",
            "enqueue_timeout",
            "max_message_bytes",
            "stuck_after",
        ):
            if getattr(self, name) <= 0:
                raise ValueError(f"expected {name} to be more than 0, got: {getattr(self, name)}")
        for name in ("expire_after", "keep_dead"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"expected {name} to be more than 0, or None for never, got: {value}")

"""How much of everything a run measures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Counts of jobs and seconds of time: about seven minutes in full, under two for the quick one."""

    #: Measurements of everything; figures are medians.
    rounds: int = 3
    #: Jobs sent by one caller, by eight together, and in bulk.
    sent_by_one: int = 4_000
    sent_by_eight: int = 16_000
    sent_in_bulk: int = 50_000
    #: No-op jobs to run.
    drained: int = 20_000
    #: The same for contenders that would take minutes, and for dramatiq-pg, which breaks at about 12,800.
    drained_slowly: int = 8_000
    #: Single jobs sent to an idle worker in each round, and the pause before each (seconds, at least).
    paced: int = 100
    pause: float = 0.02
    #: Jobs waiting while one is claimed; the first is what the others are held against.
    backlogs: tuple[int, ...] = (1_000, 100_000, 1_000_000, 5_000_000)
    #: Claims timed at each backlog, in all rounds together; fewer than the smallest backlog.
    claims: int = 300
    #: Backlogs at which a worker's memory is looked at, and delayed jobs for the same.
    memory_at: tuple[int, ...] = (1_000_000, 5_000_000)
    delayed: int = 1_000_000
    #: Jobs run while a snapshot is held.
    behind_snapshot: int = 60_000
    #: Rounds of that: each takes as long as three drains.
    snapshot_rounds: int = 2
    #: Seconds after its start before a worker is weighed.
    calm_seconds: float = 2.0
    #: Seconds after its start before a worker counts as idle, for which it is then watched, and numbers of queues that
    #: it serves.
    idle_after: float = 6.0
    idle_seconds: float = 20.0
    idle_queues: tuple[int, ...] = (1, 10, 50)
    #: Seconds of the application's own work in each measurement.
    neighbour_seconds: float = 6.0


FULL = Scale()

QUICK = Scale(
    rounds=2,
    sent_by_one=1_000,
    sent_by_eight=4_000,
    sent_in_bulk=20_000,
    drained=8_000,
    drained_slowly=2_000,
    paced=60,
    backlogs=(1_000, 100_000),
    claims=100,
    memory_at=(100_000,),
    delayed=100_000,
    behind_snapshot=12_000,
    snapshot_rounds=1,
    idle_after=4.0,
    idle_seconds=10.0,
    idle_queues=(1, 50),
    neighbour_seconds=3.0,
)

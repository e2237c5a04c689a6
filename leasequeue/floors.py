"""Where the live part of each queue's index begins.

A claimed job leaves a dead entry at the front of the index. Vacuum removes it, unless somebody's old snapshot is in the
way: then every claim would walk over the remains of all jobs before it, and a queue that did 10,000 jobs a second does
1,000 after a minute. So a claim starts where the last one ended. Jobs that appear below (a transaction that was slow to
commit, a job that was handed back or rescued) are found by a look from the start, made at short intervals.
"""

from __future__ import annotations

from collections.abc import Iterable

#: Seconds between two looks from the start, while there is work above the floor.
LOOK_EVERY = 0.5

#: A look from the start may take this part of the time, so that it comes more rarely where it is slow.
LOOK_SHARE = 0.05

#: Seconds below the last claimed job: more than a time loses as it becomes a float.
MARGIN = 0.001

START = float("-inf")


class Floors:
    """Times of availability (seconds since 1970, the database's) below which a claim need not look. For one thread."""

    def __init__(self) -> None:
        self._floors: dict[str, float] = {}
        self._look_at = 0.0
        self._looking = False
        self._now = 0.0

    def of(self, queues: list[str], now: float) -> list[float]:
        """The floor for each queue of the next claim; ``now`` in monotonic seconds."""
        self._now = now
        self._looking = now >= self._look_at
        if self._looking:
            return [START] * len(queues)
        return [self._floors.get(queue_name, START) for queue_name in queues]

    @property
    def looking(self) -> bool:
        """Whether the next claim, for which floors were asked last, looks from the start."""
        return self._looking

    def look(self) -> None:
        """Look from the start with the next claim: something below can be claimed now. From any thread."""
        self._look_at = 0.0

    def claimed(self, jobs: Iterable[tuple[str, float]], *, seconds: float) -> None:
        """What the claim brought: queue and time of each job. ``seconds``: how long it took."""
        for queue_name, time_due in jobs:
            due = time_due - MARGIN
            if due > self._floors.get(queue_name, START):
                self._floors[queue_name] = due
        if self._looking:
            self._look_at = self._now + max(LOOK_EVERY, seconds / LOOK_SHARE)

    def sure_until(self, now: float) -> float:
        """Seconds for which one may rest after a short answer: it says nothing of what lies below the floor."""
        return float("inf") if self._looking else max(0.0, self._look_at - now)

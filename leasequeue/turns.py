"""Whose turn it is, where jobs have owners.

A job with a ``fairness_key`` gets a turn when it is sent: the one behind its owner's last, or the one that is being
served now. So an owner's thousand jobs have a thousand turns, a newcomer's first shares the turn of whoever is next,
and to claim in the order of turns is to go round the owners. Start-time fair queueing: Goyal, Vin, Cheng, 1996.

Jobs without an owner have no turn. So that they are not put off for ever, some claims go by time alone.
"""

from __future__ import annotations

#: Of so many claims one goes by time alone, while there are jobs with turns.
BY_TIME_EVERY = 4

#: Seconds for which a claimer goes by turns after it met a job that had one.
REMEMBER = 30.0

#: Seconds between two reports of how far the turns have come: a newcomer may be early by what is served meanwhile.
SERVE_EVERY = 0.25

#: Below every turn.
START = 0


class Turns:
    """What one claimer knows of the turns of its queues. For one thread."""

    def __init__(self) -> None:
        self._met_at = float("-inf")
        self._claims = 0
        self._by_turn = False
        self._served: dict[str, int] = {}
        self._told: dict[str, int] = {}
        self._tell_at = 0.0

    def next_claim(self, now: float) -> bool:
        """Whether the next claim goes by turn, and not by time. ``now``: monotonic seconds."""
        self._claims += 1
        self._by_turn = now - self._met_at < REMEMBER and self._claims % BY_TIME_EVERY != 0
        return self._by_turn

    def floors(self, queues: list[str], *, looking: bool) -> list[int]:
        """The turn from which each queue is read: where newcomers are told to begin. ``looking``: from the start."""
        return [START if looking else self._told.get(queue_name, START) for queue_name in queues]

    def claimed(self, turns: list[tuple[str, int]], now: float) -> None:
        """What a claim brought: queue and turn of each job that had one."""
        if not turns:
            return
        self._met_at = now
        if self._by_turn:
            for queue_name, turn in turns:
                self._served[queue_name] = max(turn, self._served.get(queue_name, START))

    def to_tell(self, now: float) -> dict[str, int]:
        """How far each queue has come, when it is time to say so and there is news."""
        if now < self._tell_at or self._served == self._told:
            return {}
        self._tell_at = now + SERVE_EVERY
        self._told = dict(self._served)
        return self._told

"""Queues: how much waits in each and how fast it goes, and stopping and starting them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from .facts import COUNT_LIMIT, QueueFacts, QueueReport

if TYPE_CHECKING:
    from ..broker import LeaseBroker

#: Seconds over which the throughput is measured.
WINDOW = 300.0

#: Seconds that one statement may take.
TIMEOUT = 10.0


class Queues:
    """Asks about, and changes, the queues of one broker. Raises what :class:`.DeadLetters` raises."""

    def __init__(self, broker: LeaseBroker) -> None:
        self._broker = broker

    def report(self) -> list[QueueReport]:
        """All queues that have a job, a worker or a pause, by name."""
        ask = self._broker.ask
        paused: dict[str, datetime] = dict(ask("paused", {}, timeout=TIMEOUT))
        names = {row[0] for row in ask("queue_names", {}, timeout=TIMEOUT)}
        counts = ask("queue_counts", {"queues": sorted(names | set(paused)), "cap": COUNT_LIMIT}, timeout=TIMEOUT)
        keep = self._broker.policy.keep_done
        window = min(WINDOW, keep)
        rates: dict[str, float] = {}
        if window:
            rows = ask("throughput", {"window": window, "keep": keep, "cap": COUNT_LIMIT}, timeout=TIMEOUT)
            rates = {name: count / max(seconds, 1.0) for name, count, seconds in rows}
        facts = [QueueFacts(*row) for row in counts]
        return [
            QueueReport(each, paused.get(each.name), rates.get(each.name, 0.0) if window else None) for each in facts
        ]

    def pause(self, queue_name: str) -> bool:
        """Have nothing claimed from a queue any more; what runs goes on, jobs are accepted. False: it was paused."""
        return bool(self._broker.ask("pause", {"queue_name": queue_name}, timeout=TIMEOUT))

    def resume(self, queue_name: str) -> bool:
        """Have a queue claimed from again, at once. False: it was not paused."""
        was_paused = bool(self._broker.ask("resume", {"queue_name": queue_name}, timeout=TIMEOUT))
        self._broker.ring(queue_name)
        return was_paused

"""The figures behind ``/metrics``: read from the files of this machine, and asked of the database now and then."""

from __future__ import annotations

import time
from collections.abc import Iterable

from prometheus_client.core import Metric

from leasequeue import DatabaseUnavailable, QueueError
from leasequeue.admin import COUNT_LIMIT
from leasequeue.admin.health import HealthFacts, HealthQuestion, TableFacts
from leasequeue.meter import Reading, read_meters

from . import metrics
from .checks import Checks
from .shared import Shared

#: Seconds for the questions to the database, and until an answer leaves without them.
QUESTIONS_WITHIN = 5.0
ANSWER_WITHIN = 6.0

#: Seconds for which figures are good for everybody who collects them.
KEEP_QUEUE = 5.0
KEEP_MACHINE = 1.0


class Figures:
    """On a session of their own: a count of a hundred thousand jobs must not keep a probe waiting."""

    def __init__(self, checks: Checks) -> None:
        self._checks = checks
        self._question = HealthQuestion(checks.broker)
        self._queue = Shared(self._ask, keep=KEEP_QUEUE, within=ANSWER_WITHIN)
        self._readings: list[Reading] = []
        self._read_at = float("-inf")

    def of_machine(self) -> Iterable[Metric]:
        """What the processes of this machine did, and how they are."""
        now = time.monotonic()
        directory = self._checks.broker.facts_directory
        if directory is not None and now - self._read_at >= KEEP_MACHINE:
            self._readings, self._read_at = read_meters(directory), now
        return metrics.of_machine(self._readings, self._checks.pulses(), self._checks.stuck_after)

    async def of_queue(self) -> Iterable[Metric]:
        """How the whole queue stands; only that the database does not answer, when it does not."""
        try:
            (facts, tables), _ = await self._queue.get()
        except (TimeoutError, DatabaseUnavailable, QueueError):
            return metrics.of_queue(None, ())
        return metrics.of_queue(facts, tables)

    def _ask(self) -> tuple[HealthFacts, list[TableFacts]]:
        facts = self._question.ask(QUESTIONS_WITHIN / 2, COUNT_LIMIT)
        return facts, self._question.tables(QUESTIONS_WITHIN / 2)

"""Jobs that wait or run: looking at them, cancelling them, and removing what nobody wants run or looked up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from .dead import DeadFilter, DeadLetters
from .facts import COUNT_LIMIT, Cancelled, ListedJob

if TYPE_CHECKING:
    from ..broker import LeaseBroker

#: Jobs removed by one statement.
BITE = 1_000

#: Seconds that one statement may take.
TIMEOUT = 10.0

#: What can be removed for good: jobs that wait (ready or scheduled), dead ones, those of the dead that were put aside,
#: completed ones.
Kind = Literal["waiting", "dead", "discarded", "completed"]


class Jobs:
    """Asks about, and changes, the jobs of one broker. Raises what :class:`.DeadLetters` raises."""

    def __init__(self, broker: LeaseBroker) -> None:
        self._broker = broker

    def running(self, queue_name: str | None = None, *, limit: int) -> list[ListedJob]:
        """What runs, the longest first."""
        parameters = {"queue_name": queue_name, "limit": limit}
        return [ListedJob(*row) for row in self._broker.ask("running_jobs", parameters, timeout=TIMEOUT)]

    def waiting(self, queue_name: str | None = None, *, limit: int, scheduled: bool = False) -> list[ListedJob]:
        """What could be started, or with ``scheduled`` what is for later, in the order in which it is due."""
        names = [queue_name] if queue_name else [row[0] for row in self._broker.ask("queue_names", {}, timeout=TIMEOUT)]
        found = [
            ListedJob(*row)
            for name in names
            for row in self._broker.ask(
                "waiting_jobs", {"queue_name": name, "limit": limit, "scheduled": scheduled}, timeout=TIMEOUT
            )
        ]
        return sorted(found, key=lambda job: job.available_at)[:limit]

    def cancel(self, message_ids: list[str]) -> list[Cancelled]:
        """Give jobs up that wait or run. They are dead then, with reason ``cancelled``, and can be sent again.

        What runs is interrupted at its worker's next heartbeat; nothing that it does about the job counts any more.
        Returns those that were cancelled: the others wait and run no more, or never did.
        """
        return [Cancelled(*row) for row in self._broker.ask("cancel", {"message_ids": message_ids}, timeout=TIMEOUT)]

    # For good.

    def count(self, queue_name: str, kind: Kind) -> int:
        """How many jobs :meth:`remove` would remove. Stops at :data:`.COUNT_LIMIT` for those waiting and completed."""
        if kind in ("dead", "discarded"):
            return DeadLetters(self._broker).count(_dead(queue_name, kind))
        name = f"count_{kind}"
        ((count,),) = self._broker.ask(name, {"queue_name": queue_name, "cap": COUNT_LIMIT}, timeout=TIMEOUT)
        return int(count)

    def remove(self, queue_name: str, kind: Kind) -> Iterator[int]:
        """Remove the jobs of a queue for good, in short statements; tells how many after each.

        What is sent, dies or ends meanwhile stays. Running jobs are not touched.
        """
        if kind in ("dead", "discarded"):
            for ids in DeadLetters(self._broker).walk(_dead(queue_name, kind)):
                yield len(self._broker.ask("remove_dead", {"message_ids": ids}, timeout=TIMEOUT))
            return
        ((until,),) = self._broker.ask("now", {}, timeout=TIMEOUT)
        floor: datetime | None = None
        while True:
            ((count, floor),) = self._broker.ask(
                f"remove_{kind}",
                {"queue_name": queue_name, "until": until, "floor": floor, "limit": BITE},
                timeout=TIMEOUT,
            )
            if count:
                yield count
            if count < BITE:
                return


def _dead(queue_name: str, kind: Kind) -> DeadFilter:
    return DeadFilter(queue=queue_name, reasons=("discarded", "cancelled") if kind == "discarded" else None)

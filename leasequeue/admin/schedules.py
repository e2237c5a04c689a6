"""Periodic jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..cron import next_tick

if TYPE_CHECKING:
    from dramatiq.message import Message

    from ..broker import LeaseBroker

#: Seconds that one statement may take.
TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class ScheduleFacts:
    """One periodic job."""

    name: str
    cron: str
    time_zone: str
    queue_name: str
    actor_name: str | None
    args: Any
    kwargs: Any
    next_at: datetime
    #: The tick that was sent last, and the id of its job.
    last_at: datetime | None
    last_id: str | None
    created_at: datetime


class Schedules:
    """Asks about, and changes, the periodic jobs of one broker. Raises what :class:`.DeadLetters` raises."""

    def __init__(self, broker: LeaseBroker) -> None:
        self._broker = broker

    def add(self, name: str, cron: str, message: Message[Any], *, time_zone: str = "UTC") -> bool:
        """Send a copy of ``message`` at each tick. Returns whether it replaced a schedule of the same name.

        Each tick is sent once, by whichever worker comes first, within a heartbeat. Ticks that were missed are made up
        for by one job.

        Parameters:
          cron: minute, hour, day of the month, month, day of the week, read in ``time_zone``.
          time_zone: an IANA name.

        Raises:
          CronError: ``cron`` or ``time_zone`` cannot be read.
        """
        ((now,),) = self._broker.ask("now", {}, timeout=TIMEOUT)
        parameters = {
            "name": name,
            "cron": cron,
            "time_zone": time_zone,
            "queue_name": message.queue_name,
            "message": self._broker.complete(message).encode().decode(),
            "next_at": next_tick(cron, time_zone, now),
        }
        ((is_replaced,),) = self._broker.ask("add_schedule", parameters, timeout=TIMEOUT)
        return bool(is_replaced)

    def remove(self, name: str) -> bool:
        """Send no more of its jobs; those sent stay. False: there is none of this name."""
        return bool(self._broker.ask("remove_schedule", {"name": name}, timeout=TIMEOUT))

    def all(self) -> list[ScheduleFacts]:
        """Every periodic job, by name."""
        return [ScheduleFacts(*row) for row in self._broker.ask("schedules", {}, timeout=TIMEOUT)]

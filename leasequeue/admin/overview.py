"""What a person wants to see at once: what runs, what died of what, and how much was done in the last hour."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .. import errors
from .dead import CAUSES, DeadFilter
from .facts import CauseFacts
from .health import HealthQuestion

#: Rows of one list: more are not read by anybody.
RUNNING_LIMIT = 50
CAUSES_LIMIT = 20

#: Dead letters that are looked at for each cause.
DEAD_CAP = 20_000

#: Minutes of the chart.
MINUTES = 60


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that runs."""

    message_id: str
    queue_name: str
    actor_name: str | None
    message: dict[str, Any] | None
    running_seconds: float
    attempt: int
    #: Where; None when its worker is gone from the table.
    host: str | None
    pid: int | None


@dataclass(frozen=True, slots=True)
class Overview:
    """The lists, cut at their limits."""

    running: list[RunningJob]
    causes: list[CauseFacts]
    #: By the database's clock.
    asked_at: datetime
    #: Completed and dead jobs of each minute, the oldest first, :data:`MINUTES` of them; None: too many to count.
    done: list[int] | None
    dead: list[int] | None


def ask_overview(question: HealthQuestion, timeout: float) -> Overview:
    """The overview, within ``timeout`` seconds for each of its four questions. Raises what the question raises."""
    ((asked_at,),) = question.run("now", {}, timeout)
    running = question.run("running_now", {"limit": RUNNING_LIMIT}, timeout)
    causes = question.run("dead_causes", {**DeadFilter().parameters(), "limit": CAUSES, "cap": DEAD_CAP}, timeout)
    done: list[int] | None = [0] * MINUTES
    dead: list[int] | None = [0] * MINUTES
    try:
        for minutes_ago, done_then, dead_then in question.run("last_hour", {}, timeout):
            assert done is not None
            assert dead is not None
            done[MINUTES - 1 - minutes_ago], dead[MINUTES - 1 - minutes_ago] = done_then, dead_then
    except errors.DatabaseUnavailable:
        done = dead = None
    shown = [CauseFacts(*row) for row in causes[:CAUSES_LIMIT]]
    return Overview([RunningJob(*row) for row in running], shown, asked_at, done, dead)

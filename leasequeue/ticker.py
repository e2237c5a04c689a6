"""Sends the jobs of schedules that are due."""

from __future__ import annotations

import logging
import uuid

from .connection import Connection
from .cron import CronError, next_tick, ticks_between
from .loop import CALL_TIMEOUT
from .policy import Policy
from .queries import Queries

#: The names of ticks are made below this one: the same tick has the same job id wherever it is computed.
_TICKS = uuid.UUID("3b0f2c1e-94a7-4f0e-8d5c-6f1b7a2e9c40")


class Ticker:
    """Used by the keeper of each worker: whoever comes first sends a tick, the others find it sent.

    Ticks that were missed, because no worker ran or the database was away, are made up for by one job.
    """

    def __init__(self, queries: Queries, policy: Policy) -> None:
        self._queries = queries
        self._policy = policy
        self._log = logging.getLogger("leasequeue.ticker")
        self._complained: set[tuple[str, str]] = set()

    def tick(self, connection: Connection) -> int:
        """Send what is due. Returns how many jobs this process has sent."""
        sent = 0
        for name, cron, zone, due_at, now in connection.execute(
            self._queries["due_schedules"], {}, timeout=CALL_TIMEOUT
        ):
            try:
                following = next_tick(cron, zone, now)
                count = ticks_between(cron, zone, due_at, now)
            except CronError as error:
                if (name, str(error)) not in self._complained:
                    self._complained.add((name, str(error)))
                    self._log.error("schedule_unreadable schedule=%s: %s", name, error)
                continue
            message_id = str(uuid.uuid5(_TICKS, f"{due_at.timestamp()} {name}"))
            parameters = {
                "name": name,
                "due_at": due_at,
                "next_at": following,
                "message_id": message_id,
                "expire_after": self._policy.expire_after,
            }
            if not connection.execute(self._queries["send_tick"], parameters, timeout=CALL_TIMEOUT):
                continue
            sent += 1
            self._log.info(
                "schedule_ticked schedule=%s job_id=%s due_at=%s late_seconds=%.1f missed=%d",
                name,
                message_id,
                due_at.isoformat(),
                (now - due_at).total_seconds(),
                count - 1,
            )
        return sent

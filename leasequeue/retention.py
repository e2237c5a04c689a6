"""Removes what nobody will look up again, as fast as it comes and without anybody noticing."""

from __future__ import annotations

import logging
import time
from datetime import datetime

from .connection import Connection
from .loop import CALL_TIMEOUT
from .policy import MINUTE, Policy
from .queries import Queries

#: Seconds until the next look after one that found nothing, or that somebody else was at it; and after one that did.
LOOK_EVERY = 1 * MINUTE
LOOK_SOON = 5.0

#: Part of a heartbeat that removing may take: the heartbeat waits for it.
SHARE = 1 / 3

#: Rows in one statement. It begins with few and follows the time they take (seconds), so that each stays well below
#: 0.2 s, however slow the disk and however wide the rows.
FIRST_BITE, SMALLEST_BITE, LARGEST_BITE = 500, 50, 4_000
QUICK, SLOW = 0.02, 0.05


class Retention:
    """Used by the keeper of each worker, once a heartbeat. One of them at a time removes something."""

    def __init__(self, queries: Queries, policy: Policy) -> None:
        self._queries = queries
        self._policy = policy
        self._log = logging.getLogger("leasequeue.retention")
        self._next_at = time.monotonic() + LOOK_SOON
        self._bite = FIRST_BITE
        self._is_mine = True

    def work(self, connection: Connection) -> int:
        """Remove what is past its time, for a part of a heartbeat. Returns how many rows were removed."""
        now = time.monotonic()
        if now < self._next_at:
            return 0
        deadline = now + self._policy.heartbeat * SHARE
        self._is_mine = True
        removed = self._remove(connection, "purge_done", {}, deadline)
        if self._policy.keep_dead is not None:
            for (queue_name,) in connection.execute(self._queries["dead_queues"], {}, timeout=CALL_TIMEOUT):
                parameters = {"queue_name": queue_name, "keep": self._policy.keep_dead}
                removed += self._remove(connection, "purge_dead", parameters, deadline)
        seconds = time.monotonic() - now
        if time.monotonic() >= deadline and self._is_mine:
            pause = 0.0  # there is more: go on with the next heartbeat
        else:
            pause = LOOK_SOON if removed and self._is_mine else LOOK_EVERY
        self._next_at = time.monotonic() + pause
        if removed:
            self._log.debug("rows_purged rows=%d seconds=%.3f bite=%d", removed, seconds, self._bite)
        return removed

    def _remove(self, connection: Connection, statement: str, parameters: dict[str, object], deadline: float) -> int:
        removed = 0
        floor: datetime | None = None
        while self._is_mine and (started := time.monotonic()) < deadline:
            limit = self._bite
            ((count, reached, self._is_mine),) = connection.execute(
                self._queries[statement], {**parameters, "floor": floor, "limit": limit}, timeout=CALL_TIMEOUT
            )
            removed += count
            if count < limit:
                break
            floor = reached
            self._follow(time.monotonic() - started)
        return removed

    def _follow(self, seconds: float) -> None:
        if seconds < QUICK:
            self._bite = min(self._bite * 2, LARGEST_BITE)
        elif seconds > SLOW:
            self._bite = max(self._bite // 2, SMALLEST_BITE)

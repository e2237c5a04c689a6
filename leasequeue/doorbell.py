"""Waking sleeping workers: an empty notification, rung rarely. Only how soon a job starts depends on it."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterable

from . import errors
from .connection import Connection
from .queries import Queries, quote_identifier

#: Seconds within which one process rings once for a queue. While it goes on sending, each next pause is twice as long,
#: up to the longest: workers have enough to do. Claimers look again on their own until that long after the last ring.
SHORTEST_PAUSE = 0.005
LONGEST_PAUSE = 0.05

#: Seconds that a ring may take before it is given up.
RING_TIMEOUT = 2.0

#: Bytes that Postgres allows in the name of a channel.
_CHANNEL_LIMIT = 63


def channel_name(schema: str, queue_name: str) -> str:
    """The channel on which workers of a queue listen; a long name is replaced by its digest."""
    channel = f"{schema}.{queue_name}"
    if len(channel.encode()) > _CHANNEL_LIMIT:
        return "leasequeue." + hashlib.sha256(channel.encode()).hexdigest()[:32]
    return channel


def listen_to(connection: Connection, channels: Iterable[str], *, timeout: float) -> None:
    """Have rings on these channels delivered to a session, in one round trip, or none when there are no channels."""
    statements = "".join(f"LISTEN {quote_identifier(channel)};" for channel in sorted(channels))
    if statements:
        connection.execute(statements, timeout=timeout)


class Doorbell:
    """Rings for the queues of one schema. Used by any thread."""

    def __init__(self, queries: Queries, schema: str) -> None:
        self._queries = queries
        self._schema = schema
        self._lock = threading.Lock()
        #: Per queue: when it was rung last (monotonic seconds), and the pause that follows.
        self._last: dict[str, tuple[float, float]] = {}

    def channel(self, queue_name: str) -> str:
        """The channel of a queue."""
        return channel_name(self._schema, queue_name)

    def ring(self, connection: Connection, queue_name: str) -> None:
        """Wake a worker of the queue, unless that was done a moment ago. A failed ring is no error: workers poll."""
        now = time.monotonic()
        with self._lock:
            rung_at, pause = self._last.get(queue_name, (float("-inf"), SHORTEST_PAUSE))
            if now - rung_at < pause:
                return
            is_stream = now - rung_at < 2 * pause
            self._last[queue_name] = (now, min(2 * pause, LONGEST_PAUSE) if is_stream else SHORTEST_PAUSE)
        try:
            connection.execute(self._queries["ring"], {"channel": self.channel(queue_name)}, timeout=RING_TIMEOUT)
        except errors.DatabaseUnavailable:
            return

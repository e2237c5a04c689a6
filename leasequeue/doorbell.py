"""Waking sleeping workers: an empty notification, rung rarely. Only how soon a job starts depends on it."""

from __future__ import annotations

import hashlib
import threading
import time

from . import errors
from .connection import Connection
from .queries import Queries

#: Seconds within which one process rings once for a queue. Claimers look again behind it on their own.
DEBOUNCE = 0.005

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


class Doorbell:
    """Rings for the queues of one schema. Used by any thread."""

    def __init__(self, queries: Queries, schema: str) -> None:
        self._queries = queries
        self._schema = schema
        self._lock = threading.Lock()
        self._rung_at: dict[str, float] = {}

    def channel(self, queue_name: str) -> str:
        """The channel of a queue."""
        return channel_name(self._schema, queue_name)

    def ring(self, connection: Connection, queue_name: str) -> None:
        """Wake a worker of the queue, unless that was done a moment ago. A failed ring is no error: workers poll."""
        now = time.monotonic()
        with self._lock:
            if now - self._rung_at.get(queue_name, float("-inf")) < DEBOUNCE:
                return
            self._rung_at[queue_name] = now
        try:
            connection.execute(self._queries["ring"], {"channel": self.channel(queue_name)}, timeout=RING_TIMEOUT)
        except errors.DatabaseUnavailable:
            return

"""Hears the doorbell where the session that claims cannot: on a session of its own, by another URL."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

from . import pooling
from .alarm import Alarm
from .connection import Connection
from .doorbell import listen_to
from .loop import CALL_TIMEOUT, Loop
from .policy import MINUTE, Policy
from .queries import Queries

if TYPE_CHECKING:
    from .session import WorkerSession

#: Seconds between two looks at whether the process consumes another queue by now; a session that ends wakes at once.
LOOK_EVERY = 10.0


class Listener(Loop):
    """Used where a ``direct_url`` was given: claims go through a pooler, notifications arrive directly.

    Nothing waits for it. While its session is not there, jobs are found by polling.
    """

    role = "listen"
    # Polling does its work meanwhile, so it need not hurry, nor tell of it again and again.
    longest_pause = 30.0
    complain_every = 10 * MINUTE

    def __init__(
        self,
        session: WorkerSession,
        queries: Queries,
        *,
        direct_url: str,
        url: str,
        channel_of: Callable[[str], str],
        policy: Policy,
    ) -> None:
        super().__init__(direct_url, session.label)
        self._session = session
        self._queries = queries
        self._queue_url = url
        self._channel_of = channel_of
        self._policy = policy
        self._way: pooling.Way | None = None
        self._listening: frozenset[str] = frozenset()
        self._alarm = Alarm()

    @property
    def way(self) -> pooling.Way | None:
        """How the queue's URL reaches the database, and whether notifications arrive; None: not known yet."""
        connection, way = self._connection, self._way
        if way is None or (connection is not None and not connection.closed):
            return way
        return pooling.Way(way.kind, notified=False)

    def wake(self) -> None:
        self._alarm.ring()

    def greet(self, connection: Connection) -> None:
        self._listening = frozenset()
        role = f"leasequeue test {self._label}"
        with closing(Connection(self._queue_url, role)) as one, closing(Connection(self._queue_url, role)) as other:
            pooling.check_same_database(one, connection, self._queries)
            way = pooling.find_way_apart(connection, one, other, self._queries)
        if self._way is None:
            pooling.announce(way, self._log, poll_interval=self._policy.poll_interval, lease=self._policy.lease)
        self._way = way

    def round(self) -> None:
        connection = self.connection()
        if self._way is not None and self._way.notified:
            wanted = frozenset(self._channel_of(name) for name in self._session.held.queue_names())
            listen_to(connection, wanted - self._listening, timeout=CALL_TIMEOUT)
            self._listening = wanted
        if connection.wait(self._alarm.fileno(), LOOK_EVERY):
            self._session.hear_ring()
        self._alarm.clear()

    def finish(self) -> None:
        self._alarm.close()

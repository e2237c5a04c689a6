"""A few sessions for the threads that send jobs and ask questions."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, Queue

from . import errors
from .connection import CONNECT_TIMEOUT, Connection

#: Seconds for which a session that worked is not looked at again: a look is a system call.
TRUSTED_FOR = 0.5


class Pool:
    """At most ``size`` sessions, made when they are needed and kept; the one used last is used next.

    A session that broke while it was idle is noticed before it is lent, so its caller never sees that. After a fork the
    child begins with an empty pool: two processes on one session would read each other's answers.

    Tickets and idle sessions are kept in containers whose operations are atomic: this is on the path of every send.
    """

    def __init__(self, url: str, role: str, size: int) -> None:
        if size < 1:
            raise ValueError(f"expected a pool of at least one session, got: {size}")
        self._url = url
        self._role = role
        self.size = size
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        # No SimpleQueue: its time limit can be missed (see the keeper's round).
        self._tickets: Queue[None] = Queue()
        for _ in range(self.size):
            self._tickets.put(None)
        #: Sessions, and when each was used last (monotonic seconds).
        self._idle: list[tuple[Connection, float]] = []

    @property
    def used(self) -> int:
        """Sessions that are lent at this moment."""
        return self.size - self._tickets.qsize()

    @contextmanager
    def connection(self, timeout: float) -> Iterator[Connection]:
        """Lend a session for the length of a block; otherwise as :meth:`take`."""
        connection = self.take(timeout)
        try:
            yield connection
        finally:
            self.give(connection)

    def take(self, timeout: float) -> Connection:
        """Lend a session, to be returned with :meth:`give` whatever happened with it.

        Parameters:
          timeout: seconds to wait for one to become free and, if it must be made, to connect.

        Raises:
          DatabaseUnavailable: none became free, or none could be made, in time.
        """
        if self._pid != os.getpid():
            self._reset()
        deadline = time.monotonic() + timeout
        try:
            self._tickets.get(timeout=max(0.0, timeout))
        except Empty:
            raise errors.DatabaseUnavailable(
                f"all {self.size} sessions with the database were in use for {timeout:g} s"
            ) from None
        try:
            connection = self._idle_one()
            if connection is None:
                left = min(CONNECT_TIMEOUT, max(0.01, deadline - time.monotonic()))
                connection = Connection(self._url, self._role, connect_timeout=left)
        except BaseException:
            self._tickets.put(None)
            raise
        return connection

    def give(self, connection: Connection) -> None:
        """Take a session back. One that broke is forgotten."""
        if not connection.closed:
            self._idle.append((connection, time.monotonic()))
        self._tickets.put(None)

    def close(self) -> None:
        """End the idle sessions. The pool can be used again."""
        if self._pid != os.getpid():
            return
        idle, self._idle = self._idle, []
        for connection, _ in idle:
            connection.close()

    def _idle_one(self) -> Connection | None:
        while True:
            try:
                connection, used_at = self._idle.pop()
            except IndexError:
                return None
            if time.monotonic() - used_at < TRUSTED_FOR or not connection.is_stale():
                return connection
            connection.close()

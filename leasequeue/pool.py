"""A few sessions for the threads that send jobs and ask questions."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from . import errors
from .connection import CONNECT_TIMEOUT, Connection


class Pool:
    """At most ``size`` sessions, made when they are needed and kept; the one used last is used next.

    A session that broke while it was idle is noticed before it is lent, so its caller never sees that. After a fork the
    child begins with an empty pool: two processes on one session would read each other's answers.
    """

    def __init__(self, url: str, role: str, size: int) -> None:
        if size < 1:
            raise ValueError(f"expected a pool of at least one session, got: {size}")
        self._url = url
        self._role = role
        self._size = size
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._free = threading.Semaphore(self._size)
        self._idle: list[Connection] = []

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
        if not self._free.acquire(timeout=max(0.0, timeout)):
            raise errors.DatabaseUnavailable(
                f"All {self._size} sessions with the database were in use for {timeout:g} s."
            )
        try:
            connection = self._idle_one()
            if connection is None:
                left = min(CONNECT_TIMEOUT, max(0.01, deadline - time.monotonic()))
                connection = Connection(self._url, self._role, connect_timeout=left)
        except BaseException:
            self._free.release()
            raise
        return connection

    def give(self, connection: Connection) -> None:
        """Take a session back. One that broke is forgotten."""
        if not connection.closed:
            with self._lock:
                self._idle.append(connection)
        self._free.release()

    def close(self) -> None:
        """End the idle sessions. The pool can be used again."""
        if self._pid != os.getpid():
            return
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _idle_one(self) -> Connection | None:
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if not connection.is_stale():
                return connection
            connection.close()

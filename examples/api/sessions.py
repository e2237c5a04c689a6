"""A few database sessions for the threads that answer requests, each request a transaction of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2 import extensions

from leasequeue import DatabaseUnavailable
from leasequeue.connection import session_defaults, translate

#: Sessions of one process. A request holds one for some milliseconds, so few are enough for hundreds a second.
SIZE = 8

#: Seconds that a request waits for a free session, and for a new one to be made.
WAIT = 2.0

#: Milliseconds that one statement may take; a lock that somebody holds counts.
STATEMENT_TIMEOUT = 2_000

#: Milliseconds after which a server that acknowledges nothing is given up, whatever it was asked: somebody waits.
SILENCE_TIMEOUT = 5_000


class Sessions:
    """Made when they are needed, and kept. Opens nothing before the first transaction."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._free = threading.BoundedSemaphore(SIZE)
        self._idle: list[extensions.connection] = []

    @contextmanager
    def transaction(self) -> Iterator[extensions.cursor]:
        """A cursor for one transaction, committed when the block ends well.

        Raises:
          DatabaseUnavailable: no session was free or could be made, or the one that was lent broke.
          QueueError: the database said no.
        """
        if not self._free.acquire(timeout=WAIT):
            raise DatabaseUnavailable(f"all {SIZE} sessions were in use for {WAIT:g} s")
        try:
            session = self._take()
            try:
                with session.cursor() as cursor:
                    # By hand, since psycopg2's own BEGIN would be a round trip of its own.
                    cursor.execute(f"BEGIN; SET LOCAL statement_timeout = {STATEMENT_TIMEOUT}")
                    yield cursor
                    cursor.execute("COMMIT")
            except BaseException:
                # Whatever it was, a session that is known to be good is worth more than one saved handshake.
                session.close()
                raise
            finally:
                self._give(session)
        except psycopg2.Error as error:
            raise translate(error) from None
        finally:
            self._free.release()

    def close(self) -> None:
        """End the idle sessions."""
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> extensions.connection:
        try:
            return self._idle.pop()
        except IndexError:
            session: extensions.connection = psycopg2.connect(
                self._url,
                connect_timeout=int(WAIT),
                **{**session_defaults(self._url, "indexq api"), "tcp_user_timeout": SILENCE_TIMEOUT},
            )
            session.autocommit = True
            return session

    def _give(self, session: extensions.connection) -> None:
        if not session.closed:
            self._idle.append(session)
            return
        # The server may have gone, and the others with it: the next request makes one instead of finding that out.
        self.close()

"""A command's own session with the database, on which nothing waits for ever and Ctrl+C works at once."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final

import psycopg2
from psycopg2 import extensions

from leasequeue import DatabaseUnavailable
from leasequeue.connection import session_defaults, translate
from settings import Settings, check_connection

#: Seconds for one answer of the database, a commit included.
ANSWER_SECONDS: Final = 10.0


class Database:
    """One session, opened when it is needed and again after it broke. For one thread, and one at a time a process.

    Use it in a ``with`` block: while it is entered, psycopg2 waits by :func:`_wait` in this process. A blocking libpq
    call would neither see Ctrl+C nor the end of a server's patience.
    """

    def __init__(self, settings: Settings) -> None:
        self._url = settings.supabase_db_url
        self._connection: extensions.connection | None = None

    def __enter__(self) -> Database:
        # Has the best words for what is wrong, and a deadline that covers the name server too.
        check_connection(self._url)
        extensions.set_wait_callback(_wait)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drop()
        extensions.set_wait_callback(None)

    @contextmanager
    def transaction(self) -> Iterator[extensions.cursor]:
        """A cursor for one transaction, committed when the block ends well.

        Raises what leasequeue raises, chosen by SQLSTATE: DatabaseUnavailable when the server is away or silent.
        """
        try:
            if self._connection is None:
                self._connection = psycopg2.connect(self._url, **session_defaults(self._url, "indexq command"))
            with self._connection.cursor() as cursor:
                yield cursor
            self._connection.commit()
        except psycopg2.Error as error:
            self._drop()
            raise translate(error) from None
        except BaseException:
            self._drop()  # Rolls back, also where the session broke or the wait for it was interrupted.
            raise

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _wait(connection: extensions.connection) -> None:
    """Drive libpq until it has its answer. psycopg2 closes a session whose wait was left by an exception."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while (state := connection.poll()) != extensions.POLL_OK:
        waiter = select.poll()
        waiter.register(connection.fileno(), select.POLLIN if state == extensions.POLL_READ else select.POLLOUT)
        left = deadline - time.monotonic()
        if left <= 0 or not waiter.poll(left * 1000):
            raise DatabaseUnavailable(f"it did not answer within {ANSWER_SECONDS:g} s")

"""One session with Postgres on which no call can hang: psycopg2 in its asynchronous mode, driven with a deadline.

A blocking libpq call waits for as long as the kernel does, which for a server that is stopped but not dead is for ever.
Here every wait is a ``poll`` with what is left of the caller's time. A session whose state is unknown (deadline passed,
thread interrupted in mid-call) is closed at once: nothing that was read for one caller can reach another.

Each call is one statement, or a batch that Postgres runs as one transaction; nothing is left open between calls, so a
transaction pooler may stand in between. Errors leave as :mod:`.errors`, chosen by SQLSTATE in :mod:`.sqlstate`.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import Any

import psycopg2
import psycopg2.extensions

from . import errors
from .sqlstate import PASSING, RECONNECT, UNIQUE_VIOLATION, Trouble, classify

Row = tuple[Any, ...]

#: Seconds to make a connection, when the caller does not say.
CONNECT_TIMEOUT = 5.0

#: The oldest major version of Postgres that this is tested with.
OLDEST_SERVER = 15

#: Bytes of a statement that an idle session's socket takes in one piece.
SURELY_SENT = 4096

#: A dead peer is noticed by the kernel after idle + count * interval = 10 s, also between calls.
_KEEPALIVE = {
    "keepalives": "1",
    "keepalives_idle": "4",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}


def session_defaults(url: str, role: str) -> dict[str, Any]:
    """What each session says for itself, ours and those of applications, unless its URL says something else.

    So no session waits for a server that is gone until its worker is presumed dead (``Policy.lease``, 20 s by default).

    Parameters:
      role: what the session is for; shown by ``pg_stat_activity`` as ``application_name``.
    """
    given = psycopg2.extensions.parse_dsn(url)
    return {name: value for name, value in {**_KEEPALIVE, "application_name": role}.items() if name not in given}


class Connection:
    """A session for one thread at a time.

    Parameters:
      url: libpq connection string or URI. What it sets itself wins over the keepalive defaults.
      role: what this session is for; shown by ``pg_stat_activity`` as ``application_name``.
      connect_timeout: seconds to reach the server and log in.

    Raises:
      DatabaseUnavailable: when the server cannot be reached, refuses, or does not answer in time.
    """

    def __init__(self, url: str, role: str, *, connect_timeout: float = CONNECT_TIMEOUT) -> None:
        given = psycopg2.extensions.parse_dsn(url)
        try:
            self._raw = psycopg2.connect(url, async_=True, **session_defaults(url, role))
        except psycopg2.Error as error:
            raise _not_reached(given, translate(error)) from None
        self._poll = select.poll()
        self._fd = -1
        self._event = 0
        #: Monotonic seconds of the last answer to anything.
        self.answered_at = 0.0
        #: Told how many seconds each call took that was answered.
        self.observe: Callable[[float], None] | None = None
        try:
            self._drive(time.monotonic() + connect_timeout)
        except psycopg2.Error as error:
            self.close()
            raise _not_reached(given, translate(error)) from None
        except errors.DatabaseUnavailable as error:
            self.close()
            raise _not_reached(given, error) from None
        except BaseException:
            self.close()
            raise
        #: The server process behind this session; behind a pooler, that of the moment.
        self.backend_pid: int = self._raw.info.backend_pid

    @property
    def closed(self) -> bool:
        """Whether this session is known to be of no use any more."""
        return bool(self._raw.closed)

    def check_server(self) -> None:
        """Raises :class:`ServerTooOld` when the server is older than :data:`OLDEST_SERVER`."""
        major, minor = divmod(self._raw.info.server_version, 10_000)
        if major < OLDEST_SERVER:
            raise errors.ServerTooOld(
                f"expected PostgreSQL {OLDEST_SERVER} or newer, got: {major}.{minor}; upgrade the server"
            )

    def execute(self, sql: str, parameters: dict[str, Any] | None = None, *, timeout: float) -> list[Row]:
        """Run one statement (or a batch; then the last one's rows come back) and return its rows.

        Parameters:
          sql: with ``%(name)s`` places when there are parameters.
          timeout: seconds until the session is given up and :class:`DatabaseUnavailable` is raised.
        """
        try:
            started = time.monotonic()
            cursor = self._raw.cursor()
            cursor.execute(sql, parameters)
            self._drive(started + timeout, is_sent=len(cursor.query) < SURELY_SENT)
            if self.observe is not None:
                self.observe(self.answered_at - started)
            return cursor.fetchall() if cursor.description is not None else []
        except psycopg2.Error as error:
            if self.closed or isinstance(error, psycopg2.InterfaceError) or classify(error.pgcode) in RECONNECT:
                self.close()
            raise translate(error) from None
        except BaseException:
            self.close()
            raise

    def wait(self, wake_fd: int, timeout: float) -> bool:
        """Sleep until a notification arrives, ``wake_fd`` becomes readable or ``timeout`` seconds are over.

        Returns whether there was a notification; its channel and payload are of no interest. Raises
        :class:`DatabaseUnavailable` when the session ended meanwhile.
        """
        if not self._raw.notifies:
            sleeper = select.poll()
            sleeper.register(self._raw.fileno(), select.POLLIN)
            sleeper.register(wake_fd, select.POLLIN)
            ready = sleeper.poll(max(0.0, timeout) * 1000)
            if any(fd != wake_fd for fd, _ in ready):
                self._take_notices()
        rung = bool(self._raw.notifies)
        self._raw.notifies.clear()
        return rung

    def is_stale(self) -> bool:
        """Whether the server has ended this idle session (one system call, no round trip)."""
        if self.closed:
            return True
        waiting = select.poll()
        waiting.register(self._raw.fileno(), select.POLLIN)
        if not waiting.poll(0):
            return False
        try:
            self._take_notices()
        except errors.DatabaseUnavailable:
            return True
        return False

    def close(self) -> None:
        """End the session, whatever state it is in. Never raises, never waits."""
        try:
            self._raw.close()
        except psycopg2.Error:
            return

    def _take_notices(self) -> None:
        try:
            self._raw.poll()
        except psycopg2.Error as error:
            self.close()
            raise translate(error) from None

    def _drive(self, deadline: float, *, is_sent: bool = False) -> None:
        """Let libpq work until it is done, waiting at most until ``deadline`` (monotonic seconds).

        ``is_sent``: there is nothing to do but to wait for the answer, which saves asking libpq first.
        """
        raw, poll = self._raw, self._poll
        while (state := psycopg2.extensions.POLL_READ if is_sent else raw.poll()) != psycopg2.extensions.POLL_OK:
            is_sent = False
            event = select.POLLIN if state == psycopg2.extensions.POLL_READ else select.POLLOUT
            fd = raw.fileno()
            if fd != self._fd:
                # While connecting, libpq may go from one socket to the next: several hosts, or IPv6 and IPv4.
                poll = self._poll = select.poll()
                self._fd = fd
                self._event = 0
            if event != self._event:
                poll.register(fd, event)
                self._event = event
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                self.close()
                raise errors.DatabaseUnavailable("the database did not answer in time")
        self.answered_at = time.monotonic()


def translate(error: psycopg2.Error) -> Exception:
    """The leasequeue error for a driver error. The text is the server's first line: no statement, no parameter."""
    # Without an SQLSTATE it is libpq that speaks, and its first line names the server that could not be reached.
    said = str(error) if error.pgcode is None else error.diag.message_primary or str(error)
    text = (said.strip().splitlines() or ["no reason was given"])[0]
    trouble = classify(error.pgcode)
    if trouble is Trouble.OTHER and isinstance(error, psycopg2.InterfaceError | psycopg2.OperationalError):
        trouble = Trouble.CONNECTION
    return error_for(trouble, error.pgcode, text, error.diag.message_detail)


def error_for(trouble: Trouble, sqlstate: str | None, text: str, detail: str | None) -> Exception:
    """The leasequeue error for what a server said, whichever driver heard it."""
    if trouble in PASSING:
        unavailable = errors.DatabaseUnavailable(text)
        unavailable.trouble = trouble
        return unavailable
    if trouble is Trouble.SCHEMA:
        return errors.SchemaMissing(f"{text}. Has the queue's schema been migrated?")
    if trouble is Trouble.ACCESS:
        return errors.AccessDenied(text)
    if sqlstate == UNIQUE_VIOLATION:
        return errors.AlreadyQueued(text)
    if trouble is Trouble.DATA:
        return errors.MessageRefused(f"{text} ({detail})" if detail else text)
    return errors.QueueError(f"{text} (SQLSTATE {sqlstate})")


def _not_reached(given: dict[str, str], error: Exception) -> Exception:
    """The error with the place it is about: for somebody who has not seen the URL, and must not see its password."""
    if not isinstance(error, errors.DatabaseUnavailable):
        return error
    place = f"{given.get('host', 'the local socket')}:{given.get('port', '5432')}/{given.get('dbname', '')}"
    unreachable = errors.DatabaseUnavailable(f"no session with the database {place}: {error}")
    unreachable.trouble = error.trouble
    return unreachable

"""What stands between us and the server, found out by asking it: nothing, a session pooler or a transaction pooler."""

from __future__ import annotations

import logging
import socket
from contextlib import closing
from dataclasses import dataclass
from enum import Enum

from . import errors
from .connection import Connection, Row
from .queries import Queries, quote_identifier

#: Seconds for each answer, and for a notification to arrive: a server that is busy takes its time, too.
TIMEOUT = 5.0
NOTIFICATION_TIMEOUT = 2.0

#: How often each session is asked for its server process. One that has it to itself always names the same one.
ROUNDS = 3

#: The channel on which it is tried: not one of a queue, since behind a transaction pooler a LISTEN stays with a server
#: session that is somebody else's a moment later.
CHANNEL = "leasequeue.test"


class Kind(Enum):
    """How a session with the database reaches it."""

    DIRECT = "direct"
    SESSION_POOLER = "session_pooler"
    TRANSACTION_POOLER = "transaction_pooler"

    @property
    def words(self) -> str:
        """As a person says it."""
        return "direct" if self is Kind.DIRECT else f"through a {self.value.replace('_', ' ')}"


@dataclass(frozen=True, slots=True)
class Way:
    """What was found out about the way to the database."""

    kind: Kind
    #: Whether a LISTEN delivers.
    notified: bool


def find_way(one: Connection, other: Connection, queries: Queries) -> Way:
    """What lies between these two sessions, opened with the same URL, and their server.

    What a session pooler cannot be told from by server processes alone is told by what it delivers. Raises
    ``DatabaseUnavailable`` when one of the sessions breaks.
    """
    kind = kind_of(one, other, queries)
    notified = kind is not Kind.TRANSACTION_POOLER and hears(one, other)
    if kind is Kind.SESSION_POOLER and not notified:
        kind = Kind.TRANSACTION_POOLER
    return Way(kind, notified)


def find_way_apart(listening: Connection, one: Connection, other: Connection, queries: Queries) -> Way:
    """The same where ``listening`` was opened with another URL than everything else: the kind is that of the latter."""
    return Way(kind_of(one, other, queries), notified=hears(listening, one))


def kind_of(one: Connection, other: Connection, queries: Queries) -> Kind:
    """How ``one`` reaches the server.

    A pooler tells its client a process number that is not the server's. One that lends a server session for the length
    of a transaction gives the same one to both, or now this one and now that one to either. With much luck it does
    neither: ``SESSION_POOLER`` is likely, the other two are certain.
    """

    def backend(connection: Connection) -> int:
        ((pid,),) = connection.execute(queries["backend"], {}, timeout=TIMEOUT)
        return int(pid)

    first = backend(one)
    if first == one.backend_pid:
        return Kind.DIRECT
    of_one, of_other = {first}, set[int]()
    for _ in range(ROUNDS):
        of_one.add(backend(one))
        of_other.add(backend(other))
    is_shared = len(of_one) > 1 or len(of_other) > 1 or of_one & of_other
    return Kind.TRANSACTION_POOLER if is_shared else Kind.SESSION_POOLER


def hears(listening: Connection, ringing: Connection) -> bool:
    """Whether LISTEN, which always says that it worked, delivers."""
    channel = quote_identifier(CHANNEL)
    never, button = socket.socketpair()
    try:
        listening.execute(f"LISTEN {channel}", timeout=TIMEOUT)
        ringing.execute("SELECT pg_notify(%(channel)s, '')", {"channel": CHANNEL}, timeout=TIMEOUT)
        heard = listening.wait(never.fileno(), NOTIFICATION_TIMEOUT)
        listening.execute(f"UNLISTEN {channel}", timeout=TIMEOUT)
        return heard
    finally:
        never.close()
        button.close()


def check_same_database(one: Connection, other: Connection, queries: Queries) -> None:
    """Raises :class:`WrongDatabase` when two sessions lead to different databases, or to different servers."""

    def database(connection: Connection) -> Row:
        (row,) = connection.execute(queries["identity"], {}, timeout=TIMEOUT)
        return row

    here, there = database(one), database(other)
    if here != there:
        raise errors.WrongDatabase(
            f"expected direct_url to lead to the database of url, {here[0]} on the server that was started at "
            f"{here[2]:%Y-%m-%d %H:%M:%S %Z}, got: {there[0]} on the one that was started at "
            f"{there[2]:%Y-%m-%d %H:%M:%S %Z}. Correct the one that is wrong, or leave direct_url out."
        )


def url_for_migrations(url: str, direct_url: str | None, queries: Queries, log: logging.Logger) -> str:
    """``direct_url``; or ``url`` where there is no other, or it cannot be reached now: a migration passes any pooler.

    Raises :class:`WrongDatabase` when the two lead to different databases.
    """
    if direct_url is None:
        return url
    try:
        with (
            closing(Connection(direct_url, "leasequeue test")) as direct,
            closing(Connection(url, "leasequeue test")) as ordinary,
        ):
            check_same_database(ordinary, direct, queries)
    except errors.DatabaseUnavailable as error:
        log.warning("direct_url_unavailable: %s; url is used in its place", error)
        return url
    return direct_url


def announce(way: Way, log: logging.Logger, *, poll_interval: float, lease: float) -> None:
    """Say once what does not work on this way, and what takes its place."""
    if not way.notified:
        log.warning(
            "notifications_unavailable connection=%s: LISTEN delivers nothing, so jobs are found by polling, within "
            "%g s; a worker that dies is noticed by its silence, after %g s",
            way.kind.value,
            poll_interval,
            lease,
        )
    elif way.kind is not Kind.DIRECT:
        log.info(
            "pooler_found connection=%s: notifications arrive; a worker that dies is noticed by its silence, after "
            "%g s",
            way.kind.value,
            lease,
        )

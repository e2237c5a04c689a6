"""What stands between us and the server, found out by asking it."""

from __future__ import annotations

import socket
from enum import Enum

from ..connection import Connection
from ..queries import Queries, quote_identifier

#: Seconds for each answer, and for a notification to arrive.
TIMEOUT = 5.0
NOTIFICATION_TIMEOUT = 2.0

#: The channel on which it is tried.
CHANNEL = "leasequeue.doctor"


class Kind(Enum):
    """How a session with the database reaches it."""

    DIRECT = "direct"
    SESSION_POOLER = "through a session pooler"
    TRANSACTION_POOLER = "through a transaction pooler"


def kind_of(one: Connection, other: Connection, queries: Queries) -> Kind:
    """The kind of the connection, asked of two sessions that were opened with the same URL.

    A pooler tells its client a process number that is not the server's. One that lends a server session for the
    length of a transaction gives the same one to both, or another one to the first while the second is in one.
    """

    def backend(connection: Connection) -> int:
        ((pid,),) = connection.execute(queries["backend"], {}, timeout=TIMEOUT)
        return int(pid)

    before = backend(one)
    if before == one.backend_pid:
        return Kind.DIRECT
    other.execute("BEGIN", timeout=TIMEOUT)
    try:
        busy, after = backend(other), backend(one)
    finally:
        if not other.closed:
            other.execute("ROLLBACK", timeout=TIMEOUT)
    return Kind.SESSION_POOLER if busy != before and after == before else Kind.TRANSACTION_POOLER


def hears_notifications(one: Connection, other: Connection) -> bool:
    """Whether LISTEN, which always says that it worked, delivers."""
    channel = quote_identifier(CHANNEL)
    never, button = socket.socketpair()
    try:
        one.execute(f"LISTEN {channel}", timeout=TIMEOUT)
        other.execute("SELECT pg_notify(%(channel)s, '')", {"channel": CHANNEL}, timeout=TIMEOUT)
        heard = one.wait(never.fileno(), NOTIFICATION_TIMEOUT)
        one.execute(f"UNLISTEN {channel}", timeout=TIMEOUT)
        return heard
    finally:
        never.close()
        button.close()

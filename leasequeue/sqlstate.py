"""What an SQLSTATE means to a queue: one table, asked by every loop.

Codes: https://www.postgresql.org/docs/current/errcodes-appendix.html. The longest matching prefix decides, so that
a class (two characters) can have exceptions.
"""

from __future__ import annotations

from enum import Enum


class Trouble(Enum):
    """A kind of database trouble and what helps against it."""

    #: The session is gone or was never made. Reconnect.
    CONNECTION = "connection"
    #: A standby, or a primary that was told to refuse writes. Reconnect: the name may lead to another node now.
    READ_ONLY = "read_only"
    #: No more sessions to be had, or out of memory or locks. Wait longer, then reconnect.
    OVERLOAD = "overload"
    #: Lost a race (serialization, deadlock, lock timeout, cancelled by a timeout). Try again on the same session.
    CONFLICT = "conflict"
    #: The disk is full. Writes fail until somebody acts; keep trying, slowly.
    DISK_FULL = "disk_full"
    #: The value cannot be stored. The same call fails for ever.
    DATA = "data"
    #: The schema or a table, column, function or type of it is missing.
    SCHEMA = "schema"
    #: The role may not do this, or the password is wrong.
    ACCESS = "access"
    #: Anything else: a defect, ours or the server's.
    OTHER = "other"


_BY_PREFIX = {
    "08": Trouble.CONNECTION,
    "57P": Trouble.CONNECTION,  # admin shutdown, crash shutdown, cannot connect now, database dropped
    "57014": Trouble.CONFLICT,  # query cancelled: statement_timeout among others
    "25006": Trouble.READ_ONLY,
    "53": Trouble.OVERLOAD,  # 53300 too many connections, 53200 out of memory (lock table)
    "53100": Trouble.DISK_FULL,
    "40": Trouble.CONFLICT,
    "55P03": Trouble.CONFLICT,  # lock_timeout, NOWAIT
    "22": Trouble.DATA,
    "23": Trouble.DATA,
    "54": Trouble.DATA,  # program limits: jsonb too large, row too wide
    "3F": Trouble.SCHEMA,
    "42P01": Trouble.SCHEMA,
    "42703": Trouble.SCHEMA,
    "42704": Trouble.SCHEMA,
    "42883": Trouble.SCHEMA,
    "28": Trouble.ACCESS,
    "42501": Trouble.ACCESS,
    "3D000": Trouble.ACCESS,
}

#: A row with this key exists.
UNIQUE_VIOLATION = "23505"

#: Trouble after which a session is not worth keeping.
RECONNECT = frozenset({Trouble.CONNECTION, Trouble.READ_ONLY, Trouble.OVERLOAD})

#: Trouble that may be gone when the same call is made again.
PASSING = RECONNECT | {Trouble.CONFLICT, Trouble.DISK_FULL}


def classify(sqlstate: str | None) -> Trouble:
    """The kind of trouble behind an SQLSTATE. ``None``: the driver had no answer from a server, so the connection."""
    if sqlstate is None:
        return Trouble.CONNECTION
    for length in (5, 3, 2):
        trouble = _BY_PREFIX.get(sqlstate[:length])
        if trouble is not None:
            return trouble
    return Trouble.OTHER

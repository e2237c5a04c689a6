"""Connections that are not ours: how a statement is run on whatever the caller has, told by what it can do.

No driver is imported but psycopg2, which leasequeue itself needs: whoever hands over a connection has its driver.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from psycopg2 import extensions

from . import errors
from .connection import error_for
from .sender import Statement
from .sqlstate import classify

#: What libpq calls a session without a transaction: ``PQTRANS_IDLE``.
IDLE = 0

#: SQLSTATE of a transaction that must be rolled back.
FAILED_TRANSACTION = "25P02"

#: psycopg prepares what it has seen a few times, which a transaction pooler may not know of the next time.
UNPREPARED = {"prepare": False}

#: How a place for a parameter is written, by DB-API's name of the style.
PLACES = {"pyformat": "%(jobs)s", "format": "%s", "numeric_dollar": "$1"}


class Psycopg:
    """A connection of psycopg2 or psycopg."""

    is_async: Literal[False] = False

    def __init__(self, connection: Any) -> None:
        if getattr(connection, "async_", 0):
            raise TypeError("expected a connection of psycopg2 that waits, got one made with async_=True: use psycopg")
        self._connection = connection
        is_psycopg2 = isinstance(connection, extensions.connection)
        #: The caller's cursors may make of rows what they like; ours give tuples.
        self._plain_rows = {"cursor_factory": extensions.cursor} if is_psycopg2 else {"row_factory": _plain_rows}
        self._unprepared = {} if is_psycopg2 else UNPREPARED

    def execute(self, statement: Statement) -> str:
        with _told_apart():
            _refuse_autocommit(self._connection)
            with self._connection.cursor(**self._plain_rows) as cursor:
                cursor.execute(statement.sql, {"jobs": statement.jobs}, **self._unprepared)
                return _only(cursor.fetchone())


class AsyncPsycopg:
    """An AsyncConnection of psycopg."""

    is_async: Literal[True] = True

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def execute(self, statement: Statement) -> str:
        with _told_apart():
            _refuse_autocommit(self._connection)
            async with self._connection.cursor(row_factory=_plain_rows) as cursor:
                await cursor.execute(statement.sql, {"jobs": statement.jobs}, **UNPREPARED)
                return _only(await cursor.fetchone())


class Asyncpg:
    """A connection of asyncpg."""

    is_async: Literal[True] = True

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def execute(self, statement: Statement) -> str:
        with _told_apart():
            if not self._connection.is_in_transaction():
                raise errors.NoTransaction(
                    "expected an open transaction, got a connection of asyncpg without one, on which each statement "
                    "commits by itself: send inside of `async with connection.transaction()`"
                )
            return str(await self._connection.fetchval(_written(statement.sql, "numeric_dollar"), statement.jobs))


class Alchemy:
    """A Session or Connection of SQLAlchemy, whichever driver is behind it."""

    is_async: Literal[False] = False

    def __init__(self, owner: Any) -> None:
        self._owner = owner

    def execute(self, statement: Statement) -> str:
        with _told_apart():
            return _run_on_alchemy(self._owner, statement)


class AsyncAlchemy:
    """An AsyncSession or AsyncConnection of SQLAlchemy."""

    is_async: Literal[True] = True

    def __init__(self, owner: Any) -> None:
        self._owner = owner

    async def execute(self, statement: Statement) -> str:
        with _told_apart():
            return str(await self._owner.run_sync(_run_on_alchemy, statement))


Caller = Psycopg | Alchemy
AsyncCaller = AsyncPsycopg | AsyncAlchemy | Asyncpg


def caller_of(connection: Any) -> Caller | AsyncCaller:
    """The way to run statements on a connection. Raises ``TypeError`` for what is none."""
    if hasattr(connection, "run_sync"):
        return AsyncAlchemy(connection)
    if hasattr(connection, "exec_driver_sql") or (hasattr(connection, "get_bind") and hasattr(connection, "flush")):
        return Alchemy(connection)
    if hasattr(connection, "is_in_transaction") and hasattr(connection, "fetchrow"):
        return Asyncpg(connection)
    if hasattr(connection, "cursor") and hasattr(getattr(connection, "info", None), "transaction_status"):
        return AsyncPsycopg(connection) if inspect.iscoroutinefunction(connection.commit) else Psycopg(connection)
    raise TypeError(
        "expected a connection of psycopg2, psycopg or asyncpg, or a session or connection of SQLAlchemy, "
        f"got: {type(connection).__module__}.{type(connection).__qualname__}"
    )


def _plain_rows(cursor: object) -> Callable[[Any], tuple[Any, ...]]:
    """A row factory of psycopg: tuples."""
    return tuple


def _only(row: tuple[Any, ...] | None) -> str:
    assert row is not None, "each statement answers with one row"
    return str(row[0])


def _refuse_autocommit(connection: Any) -> None:
    """In autocommit mode a transaction is one that the caller began: without it, each send would be final at once."""
    if connection.closed:
        raise errors.NoTransaction("expected an open connection, got one that is closed")
    if connection.autocommit and connection.info.transaction_status == IDLE:
        raise errors.NoTransaction(
            "expected a transaction, got a connection in autocommit mode that has begun none: "
            "begin one, set autocommit to False, or send without transaction()"
        )


def _run_on_alchemy(owner: Any, statement: Statement) -> str:
    connection = owner if hasattr(owner, "exec_driver_sql") else owner.connection()
    dialect = connection.dialect
    if dialect.name != "postgresql" or dialect.paramstyle not in PLACES:
        raise TypeError(f"expected SQLAlchemy on Postgres by a usual driver, got: {dialect.name}+{dialect.driver}")
    if getattr(connection.connection.dbapi_connection, "autocommit", False):
        raise errors.NoTransaction(
            "expected a transaction, got a connection of SQLAlchemy with isolation level AUTOCOMMIT: "
            "take one with another level, or send without transaction()"
        )
    values: Any = {"jobs": statement.jobs} if dialect.paramstyle == "pyformat" else (statement.jobs,)
    return str(connection.exec_driver_sql(_written(statement.sql, dialect.paramstyle), values).scalar_one())


def _written(sql: str, style: str) -> str:
    """The statement as a driver reads it; written with ``%(jobs)s``, and ``%%`` for a percent sign."""
    sql = sql.replace("%(jobs)s", PLACES[style])
    return sql if "format" in style else sql.replace("%%", "%")


@contextmanager
def _told_apart() -> Iterator[None]:
    """Drivers' errors as ours, by their SQLSTATE, whatever the driver. The text holds no statement and no parameter."""
    try:
        yield
    except (errors.QueueError, TypeError):
        raise
    except Exception as error:
        raised = _translated(error)
        if raised is None:
            raise
        raise raised from None


def _translated(error: Exception) -> Exception | None:
    cause = getattr(error, "orig", None) or error
    sqlstate = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    diagnosis = getattr(cause, "diag", None)
    text = (str(getattr(diagnosis, "message_primary", None) or cause).strip().splitlines() or ["no reason was given"])[
        0
    ]
    if sqlstate is None:
        is_drivers = type(cause).__module__.partition(".")[0] in ("psycopg2", "psycopg", "asyncpg", "sqlalchemy")
        return errors.NoTransaction(f"expected a usable connection, got: {text}") if is_drivers else None
    if sqlstate == FAILED_TRANSACTION:
        return errors.NoTransaction(
            "expected a transaction that takes statements, got one in which a statement has failed: roll it back first"
        )
    detail = getattr(diagnosis, "message_detail", None) or getattr(cause, "detail", None)
    return error_for(classify(sqlstate), sqlstate, text, detail)

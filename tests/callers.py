"""Connections of every kind that ``broker.transaction()`` takes, with one way to use them in tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
import psycopg
import psycopg2
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

SYNC = ("psycopg2", "psycopg", "session+psycopg2", "session+psycopg", "connection+psycopg2", "connection+psycopg")
ASYNC = ("psycopg", "asyncpg", "session+asyncpg", "session+psycopg", "connection+asyncpg")


class Caller:
    """``connection`` is what goes into ``broker.transaction()``."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def run(self, statement: str) -> None:
        if hasattr(self.connection, "cursor"):
            with self.connection.cursor() as cursor:
                cursor.execute(statement)
        else:
            self.connection.execute(sqlalchemy.text(statement))

    def commit(self) -> None:
        self.connection.commit()

    def rollback(self) -> None:
        self.connection.rollback()


class AsyncCaller:
    """The same for asynchronous ones; those of asyncpg have begun a transaction."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    async def run(self, statement: str) -> None:
        is_alchemy = hasattr(self.connection, "run_sync")
        await self.connection.execute(sqlalchemy.text(statement) if is_alchemy else statement)

    async def commit(self) -> None:
        if isinstance(self.connection, asyncpg.Connection):
            await self.connection.execute("COMMIT")
        else:
            await self.connection.commit()


def alchemy_url(url: str, driver: str) -> str:
    return url.replace("postgresql://", f"postgresql+{driver}://")


@contextmanager
def opened(kind: str, url: str) -> Iterator[Caller]:
    what, _, driver = kind.partition("+")
    if not driver:
        connection: Any = psycopg2.connect(url) if what == "psycopg2" else psycopg.connect(url)
        try:
            yield Caller(connection)
        finally:
            connection.close()
        return
    engine = sqlalchemy.create_engine(alchemy_url(url, driver), poolclass=sqlalchemy.NullPool)
    with Session(engine) if what == "session" else engine.connect() as owner:
        yield Caller(owner)


@asynccontextmanager
async def async_opened(kind: str, url: str) -> AsyncIterator[AsyncCaller]:
    what, _, driver = kind.partition("+")
    if kind == "psycopg":
        async with await psycopg.AsyncConnection.connect(url) as connection:
            yield AsyncCaller(connection)
            await connection.rollback()  # psycopg commits at the end of such a block
    elif kind == "asyncpg":
        raw = await asyncpg.connect(url)
        try:
            await raw.execute("BEGIN")
            yield AsyncCaller(raw)
        finally:
            await raw.close()
    else:
        engine = create_async_engine(alchemy_url(url, driver), poolclass=sqlalchemy.NullPool)
        try:
            async with AsyncSession(engine) if what == "session" else engine.connect() as owner:
                yield AsyncCaller(owner)
        finally:
            await engine.dispose()

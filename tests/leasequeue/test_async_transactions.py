"""Sends in the transaction of an asynchronous connection, whatever the driver."""

from __future__ import annotations

import asyncio
from typing import Any

import callers
import dramatiq
import pytest
from dramatiq import group
from sqlalchemy.ext.asyncio import create_async_engine

from leasequeue import (
    LeaseBroker,
    MessageRefused,
    NoTransaction,
    send_many,
)

from .conftest import Stored


@pytest.mark.parametrize("kind", callers.ASYNC)
def test_an_asynchronous_send_is_seen_at_the_commit_and_obeys_savepoints(
    broker: LeaseBroker, actor: Any, database: str, stored: Stored, kind: str
) -> None:
    async def send() -> Any:
        async with callers.async_opened(kind, database) as caller:
            async with broker.transaction(caller.connection) as transaction:
                message = await transaction.run(actor.send, 1)
                await caller.run("SAVEPOINT before")
                await transaction.run(actor.send, 2)
                await caller.run("ROLLBACK TO SAVEPOINT before")
                await transaction.run(group([actor.message(3), actor.message(4)], broker=broker).run)
                await transaction.run(send_many, actor, [(5,)])
                await transaction.run(actor.send_with_options, args=(6,), delay=60_000)
                assert stored() == []
            await caller.commit()
            return message

    assert isinstance(asyncio.run(send()), dramatiq.Message)
    assert stored() == [1, 3, 4, 5, 6]


@pytest.mark.parametrize("kind", callers.ASYNC)
def test_an_asynchronous_transaction_that_fails_leaves_nothing_and_says_why(
    broker: LeaseBroker, actor: Any, database: str, stored: Stored, kind: str
) -> None:
    async def send() -> None:
        async with (
            callers.async_opened(kind, database) as caller,
            broker.transaction(caller.connection) as transaction,
        ):
            await transaction.run(actor.send, 1)
            with pytest.raises(MessageRefused, match="unsupported Unicode escape sequence"):
                await transaction.run(actor.send, "\x00")
            with pytest.raises(NoTransaction, match="roll it back first"):
                await transaction.run(actor.send, 2)

    asyncio.run(send())
    assert stored() == []


def test_an_asynchronous_send_tells_which_job_it_became(
    broker: LeaseBroker, actor: Any, database: str, stored: Stored
) -> None:
    waiting = actor.send_with_options(args=(1,), key="a")

    async def send() -> tuple[Any, Any]:
        async with callers.async_opened("asyncpg", database) as caller:
            async with broker.transaction(caller.connection) as transaction:
                merged = await transaction.run(actor.send_with_options, args=(2,), key="a")
                keyed = actor.message_with_options(args=(3,), key="a")
                many = await transaction.run(broker.enqueue_many, [keyed])
            await caller.commit()
            return merged, many

    merged, many = asyncio.run(send())
    assert (merged.message_id, merged.options["merged"]) == (waiting.message_id, True)
    assert [each.message_id for each in many] == [waiting.message_id]
    assert stored() == [3]


def test_what_fails_half_way_through_a_run_stores_nothing_of_it(
    broker: LeaseBroker, actor: Any, database: str, stored: Stored
) -> None:
    def fail() -> None:
        actor.send(1)
        raise ZeroDivisionError

    async def send() -> None:
        async with callers.async_opened("session+asyncpg", database) as caller:
            async with broker.transaction(caller.connection) as transaction:
                with pytest.raises(ZeroDivisionError):
                    await transaction.run(fail)
                await transaction.run(actor.send, 2)
            await caller.commit()

    asyncio.run(send())
    assert stored() == [2]


def test_a_plain_send_in_an_asynchronous_block_is_refused_and_after_it_is_ordinary(
    broker: LeaseBroker, actor: Any, database: str, stored: Stored
) -> None:
    async def send() -> None:
        async with callers.async_opened("psycopg", database) as caller:
            async with broker.transaction(caller.connection) as transaction:
                with pytest.raises(RuntimeError, match=r"await transaction.run\(actor.send"):
                    actor.send(1)
                with pytest.raises(RuntimeError, match=r"await transaction.run\(actor.send"):
                    await asyncio.to_thread(actor.send, 2)
                with pytest.raises(TypeError, match="got one that is asynchronous"):
                    _ = await transaction.run(asyncio.sleep, 0)
                leaving = asyncio.Event()

                async def outlive() -> None:
                    await leaving.wait()
                    actor.send(3)

                task = asyncio.create_task(outlive())
                await asyncio.sleep(0)
            leaving.set()
            await task

    asyncio.run(send())
    assert stored() == [3]


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_an_asynchronous_connection_in_autocommit_mode_is_refused(
    broker: LeaseBroker, actor: Any, database: str, stored: Stored, driver: str
) -> None:
    async def send() -> None:
        engine = create_async_engine(callers.alchemy_url(database, driver), isolation_level="AUTOCOMMIT")
        async with engine.connect() as final, broker.transaction(final) as transaction:
            with pytest.raises(NoTransaction, match="isolation level AUTOCOMMIT"):
                await transaction.run(actor.send, 1)
        await engine.dispose()

    asyncio.run(send())
    assert stored() == []


def test_tasks_have_blocks_of_their_own(broker: LeaseBroker, actor: Any, database: str, stored: Stored) -> None:
    async def send(number: int, both_are_in: asyncio.Barrier) -> None:
        async with callers.async_opened("asyncpg", database) as caller:
            async with broker.transaction(caller.connection) as transaction:
                await both_are_in.wait()
                await transaction.run(actor.send, number)
            if number == 1:
                await caller.commit()

    async def both() -> None:
        both_are_in = asyncio.Barrier(2)
        await asyncio.gather(send(1, both_are_in), send(2, both_are_in))

    asyncio.run(both())
    assert stored() == [1]


def test_the_wrong_kind_of_block_is_refused_in_words(broker: LeaseBroker, one: callers.Caller, database: str) -> None:
    async def confuse() -> None:
        async with callers.async_opened("psycopg", database) as caller:
            with pytest.raises(TypeError, match=r"expected `async with .* for an AsyncConnection, got `with`"):
                broker.transaction(caller.connection).__enter__()
        with pytest.raises(TypeError, match=r"for a connection that blocks, got `async with`"):
            await broker.transaction(one.connection).__aenter__()
        with broker.transaction(one.connection) as transaction, pytest.raises(TypeError, match="expected a plain send"):
            await transaction.run(lambda: None)

    asyncio.run(confuse())


def test_a_connection_of_asyncpg_without_a_transaction_is_refused(
    broker: LeaseBroker, actor: Any, database: str, stored: Stored
) -> None:
    async def send() -> None:
        async with callers.async_opened("asyncpg", database) as caller:
            await caller.connection.execute("COMMIT")
            async with broker.transaction(caller.connection) as transaction:
                with pytest.raises(NoTransaction, match="each statement commits by itself"):
                    await transaction.run(actor.send, 1)
                async with caller.connection.transaction():
                    await transaction.run(actor.send, 2)

    asyncio.run(send())
    assert stored() == [2]

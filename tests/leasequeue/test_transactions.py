"""Sends in the caller's transaction exist when that commits, and never when it rolls back, whatever the driver."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import callers
import dramatiq
import psycopg
import psycopg2
import pytest
import sqlalchemy
from dramatiq import group, pipeline
from psycopg2.extras import RealDictCursor
from sql_access import Sql
from waiting import wait_until

from leasequeue import (
    LeaseBroker,
    MessageRefused,
    MessageTooLarge,
    NoTransaction,
    Policy,
    SchemaMissing,
    send_many,
)
from leasequeue.late_bell import RING_AFTER, LateBell

from .conftest import Stored


@pytest.fixture(params=callers.SYNC)
def caller(request: pytest.FixtureRequest, database: str) -> Iterator[callers.Caller]:
    with callers.opened(request.param, database) as opened:
        yield opened


def test_a_job_is_seen_at_the_callers_commit_and_not_before(
    broker: LeaseBroker, actor: Any, caller: callers.Caller, stored: Stored
) -> None:
    with broker.transaction(caller.connection):
        actor.send(1)
        assert stored() == []
    assert stored() == []
    caller.commit()
    assert stored() == [1]


def test_a_rollback_leaves_nothing_and_a_savepoint_only_what_was_outside_of_it(
    broker: LeaseBroker, actor: Any, caller: callers.Caller, stored: Stored
) -> None:
    with broker.transaction(caller.connection):
        actor.send(1)
    caller.rollback()
    with broker.transaction(caller.connection):
        actor.send(2)
        caller.run("SAVEPOINT before")
        actor.send(3)
        caller.run("ROLLBACK TO SAVEPOINT before")
        actor.send(4)
    caller.commit()
    assert stored() == [2, 4]


def test_an_error_in_the_block_leaves_the_transaction_to_its_owner(
    broker: LeaseBroker, actor: Any, caller: callers.Caller, stored: Stored
) -> None:
    def fail() -> None:
        with broker.transaction(caller.connection):
            actor.send(1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert stored() == []
    caller.commit()
    assert stored() == [1]
    actor.send(2)
    assert stored() == [1, 2]


def test_delays_many_groups_and_pipelines_go_with_the_transaction(
    broker: LeaseBroker, actor: Any, caller: callers.Caller, stored: Stored, sql: Sql
) -> None:
    with broker.transaction(caller.connection):
        send_many(actor, [(3,), (1,), (2,)])
        group([actor.message(10), actor.message(11)], broker=broker).run()
        pipeline([actor.message(20), actor.message()], broker=broker).run()
        actor.send_with_options(args=(30,), delay=3_600_000)
        assert stored() == []
    caller.commit()
    assert stored() == [3, 1, 2, 10, 11, 20, 30]
    assert sql("SELECT count(*) FROM dramatiq.queue WHERE available_at > now() + interval '59 min'") == [(1,)]
    assert sql("SELECT count(*) FROM dramatiq.queue WHERE expires_at - available_at < interval '24 h'") == [(0,)]


def test_the_same_message_again_replaces_it_and_many_leave_it(
    broker: LeaseBroker, actor: Any, one: callers.Caller, stored: Stored
) -> None:
    message = actor.message(1)
    with broker.transaction(one.connection):
        broker.enqueue(message)
        broker.enqueue(message.copy(args=(2,)))
        broker.enqueue_many([message.copy(args=(3,))])
    one.commit()
    assert stored() == [2]


def test_a_job_with_a_key_is_merged_and_its_sender_is_told(
    broker: LeaseBroker, actor: Any, caller: callers.Caller, stored: Stored, sql: Sql
) -> None:
    waiting = actor.send_with_options(args=(1,), key="a", fairness_key="me")
    with broker.transaction(caller.connection):
        merged = actor.send_with_options(args=(2,), key="a", fairness_key="me")
        other = actor.send_with_options(args=(3,), key="b", fairness_key="me")
        many = broker.enqueue_many([actor.message_with_options(args=(number,), key="b") for number in (4, 5)])
        late = actor.send_with_options(args=(6,), key="c", delay=3_600_000)
    assert stored() == [1]
    caller.commit()
    assert (merged.message_id, merged.options["merged"]) == (waiting.message_id, True)
    assert [each.message_id for each in many] == [other.message_id] * 2
    assert "merged" not in other.options
    assert stored() == [2, 5, 6]
    assert sql("SELECT count(*) FROM dramatiq.queue WHERE turn IS NOT NULL") == [(2,)]
    ((due, expires),) = sql(
        "SELECT available_at > now() + interval '59 min', expires_at - available_at = interval '24 h'"
        " FROM dramatiq.queue WHERE message_id = %s",
        late.message_id,
    )
    assert (due, expires) == (True, True)


def test_the_callers_own_kinds_of_rows_are_not_in_the_way(
    broker: LeaseBroker, actor: Any, database: str, stored: Stored
) -> None:
    def no_rows(cursor: object) -> Any:
        raise AssertionError("expected a cursor of its own")

    with closing(psycopg2.connect(database, cursor_factory=RealDictCursor)) as one:
        with broker.transaction(one):
            actor.send_with_options(args=(1,), key="a")
        one.commit()
    with closing(psycopg.connect(database, row_factory=no_rows)) as other:
        with broker.transaction(other):
            actor.send_with_options(args=(2,), key="a")
        other.commit()
    assert stored() == [2]


def test_nothing_is_prepared_on_the_callers_session(broker: LeaseBroker, actor: Any, database: str) -> None:
    with closing(psycopg.connect(database)) as connection:
        with broker.transaction(connection):
            for number in range(10):
                actor.send(number)
        assert connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)


def test_a_message_that_is_too_large_is_refused_before_the_transaction_knows(
    make_broker: Callable[..., LeaseBroker], one: callers.Caller, stored: Stored
) -> None:
    broker = make_broker(policy=Policy(max_message_bytes=1000))
    with broker.transaction(one.connection):
        with pytest.raises(MessageTooLarge):
            broker.enqueue(dramatiq.Message("default", "anything", ("x" * 1000,), {}, {}))
        broker.enqueue(dramatiq.Message("default", "anything", (1,), {}, {}))
    one.commit()
    assert stored() == [1]


@pytest.mark.direct("the test listens, and tells sessions apart")
def test_a_worker_is_woken_behind_the_block_by_another_session_and_not_by_the_commit(
    broker: LeaseBroker, actor: Any, caller: callers.Caller, database: str, sql: Sql
) -> None:
    with closing(psycopg2.connect(database)) as listener:
        listener.autocommit = True
        with listener.cursor() as cursor:
            cursor.execute('LISTEN "dramatiq.default"')

        def heard() -> list[int]:
            listener.poll()
            return [notice.pid for notice in listener.notifies]

        with broker.transaction(caller.connection):
            for number in range(3):
                actor.send(number)
            caller.run("SET LOCAL application_name TO 'the caller'")
            ((pid,),) = sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'the caller'")
            assert heard() == [], "nobody rings before the block is left"
        caller.commit()
        wait_until(lambda: len(heard()) == len(RING_AFTER), 10, "nobody rang")
        assert pid not in heard()


def test_a_transaction_that_delays_its_jobs_wakes_nobody(broker: LeaseBroker, actor: Any, one: callers.Caller) -> None:
    with broker.transaction(one.connection):
        actor.send_with_options(args=(1,), delay=1000)
    assert not broker._late_bell.is_busy


def test_blocks_in_quick_succession_ring_as_often_as_the_last_one() -> None:
    rung: list[str] = []
    bell = LateBell(rung.append)
    for _ in range(100):
        bell.ring_soon(["a"])
    bell.ring_soon(["b"])
    wait_until(lambda: not bell.is_busy, 10, "it does not end")
    assert rung.count("b") == len(RING_AFTER)
    assert len(RING_AFTER) <= rung.count("a") <= 2 * len(RING_AFTER)


def test_nested_blocks_send_to_the_inner_connection_and_then_to_the_outer_one_again(
    broker: LeaseBroker, actor: Any, database: str, stored: Stored
) -> None:
    with callers.opened("psycopg", database) as outer, callers.opened("psycopg2", database) as inner:
        with broker.transaction(outer.connection):
            actor.send(1)
            with broker.transaction(inner.connection):
                actor.send(2)
            actor.send(3)
        inner.commit()
        assert stored() == [2]
        outer.rollback()
    assert stored() == [2]


def test_another_broker_is_not_part_of_the_block(
    broker: LeaseBroker, make_broker: Callable[..., LeaseBroker], actor: Any, one: callers.Caller, stored: Stored
) -> None:
    with broker.transaction(one.connection):
        make_broker().enqueue(actor.message(1))
        assert stored() == [1]
        actor.send(2)
        assert stored() == [1]


def test_other_threads_are_not_part_of_the_block_and_have_blocks_of_their_own(
    broker: LeaseBroker, actor: Any, database: str, stored: Stored
) -> None:
    both_are_in = threading.Barrier(3)

    def send(number: int) -> None:
        with callers.opened("psycopg2", database) as mine:
            with broker.transaction(mine.connection):
                both_are_in.wait(10)
                actor.send(number)
            (mine.commit if number % 2 else mine.rollback)()

    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(send, number) for number in (1, 2)]
        both_are_in.wait(10)
        pool.submit(actor.send, 5).result(10)
        for each in running:
            each.result(10)
    assert sorted(stored()) == [1, 5]


def test_a_connection_in_autocommit_mode_is_refused_unless_a_transaction_was_begun(
    broker: LeaseBroker, actor: Any, database: str, stored: Stored
) -> None:
    for connect in (psycopg2.connect, psycopg.connect):
        with closing(connect(database)) as connection:
            connection.autocommit = True
            with broker.transaction(connection), pytest.raises(NoTransaction, match="in autocommit mode"):
                actor.send(1)
            with broker.transaction(connection), connection.cursor() as cursor:
                cursor.execute("BEGIN")
                actor.send(2)
                cursor.execute("ROLLBACK")
    engine = sqlalchemy.create_engine(callers.alchemy_url(database, "psycopg2"), isolation_level="AUTOCOMMIT")
    refused = pytest.raises(NoTransaction, match="isolation level AUTOCOMMIT")
    with engine.connect() as final, broker.transaction(final), refused:
        actor.send(3)
    engine.dispose()
    assert stored() == []


def test_a_failed_or_closed_transaction_is_told_in_words(
    broker: LeaseBroker, actor: Any, caller: callers.Caller
) -> None:
    with broker.transaction(caller.connection):
        with pytest.raises(Exception, match="division by zero"):
            caller.run("SELECT 1 / 0")
        with pytest.raises(NoTransaction, match="in which a statement has failed: roll it back first"):
            actor.send(1)
        caller.rollback()
        actor.send(2)
        caller.commit()
        caller.connection.close()
        if type(caller.connection).__name__ != "Session":  # a closed one of these begins anew
            with pytest.raises(NoTransaction, match="closed"):
                actor.send(3)


def test_what_the_database_refuses_is_refused_as_by_any_send(
    broker: LeaseBroker, actor: Any, caller: callers.Caller, sql: Sql
) -> None:
    with broker.transaction(caller.connection):
        with pytest.raises(MessageRefused, match="unsupported Unicode escape sequence"):
            actor.send("\x00")
        caller.rollback()
        sql("DROP SCHEMA dramatiq CASCADE")
        with pytest.raises(SchemaMissing, match="Has the queue's schema been migrated"):
            actor.send(1)


def test_an_error_shows_neither_the_statement_nor_what_was_sent(
    broker: LeaseBroker, actor: Any, caller: callers.Caller
) -> None:
    secret = "pl4in-" + "w0rds"
    with broker.transaction(caller.connection), pytest.raises(MessageRefused) as refused:
        actor.send(secret + "\x00")
    told = "".join(traceback.format_exception(refused.value))
    assert secret not in told
    assert "jsonb_array_elements" not in told


def test_what_is_no_connection_is_refused_by_name(broker: LeaseBroker, one: callers.Caller) -> None:
    with pytest.raises(TypeError, match=r"expected a connection of .*, got: psycopg2.extensions.cursor"):
        broker.transaction(one.connection.cursor())
    engine = sqlalchemy.create_engine("sqlite://")
    refused = pytest.raises(TypeError, match="expected SQLAlchemy on Postgres by a usual driver, got: sqlite")
    with engine.connect() as elsewhere, broker.transaction(elsewhere), refused:
        broker.enqueue(dramatiq.Message("default", "anything", (), {}, {}))


def test_a_block_is_for_one_use_and_for_the_place_where_it_was_entered(
    broker: LeaseBroker, one: callers.Caller
) -> None:
    transaction = broker.transaction(one.connection)
    with transaction:
        pass
    with pytest.raises(RuntimeError, match="got one that was entered before"), transaction:
        pass
    left = broker.transaction(one.connection)
    with ThreadPoolExecutor(1) as other:
        other.submit(left.__enter__).result(10)
        with pytest.raises(RuntimeError, match="got another thread or task"):
            left.__exit__(None, None, None)


def test_a_run_that_fails_in_a_block_is_retried_and_what_it_sent_is_not_sent(
    broker: LeaseBroker, actor: Any, database: str, start_worker: Callable[..., dramatiq.Worker], sql: Sql
) -> None:
    attempts: list[int] = []

    @dramatiq.actor(broker=broker, actor_name="order", min_backoff=10)
    def order() -> None:
        attempts.append(1)
        with callers.opened("psycopg2", database) as mine:
            with broker.transaction(mine.connection):
                actor.send(len(attempts))
                if len(attempts) == 1:
                    raise ZeroDivisionError
            mine.commit()

    order.send()
    start_worker(broker)
    broker.join("default", timeout=20_000)
    assert len(attempts) == 2
    done = sql("SELECT message ->> 'actor_name', message -> 'args' FROM dramatiq.done ORDER BY 1")
    assert done == [("order", []), ("remember", [2])]

"""Sending from any language: the SQL functions, as a client without Python meets them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

import dramatiq
import psycopg2
import pytest
from dramatiq import Worker
from psycopg2 import errorcodes
from sql_access import Sql
from waiting import wait_until

from leasequeue import LeaseBroker, MessageTooLarge, Policy
from leasequeue.doorbell import channel_name


@pytest.fixture
def stranger(direct_database: str, sql: Sql) -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
    """Asks as a role that may call the functions and has no right on any table."""
    sql("DROP ROLE IF EXISTS stranger")
    sql("CREATE ROLE stranger")
    sql("GRANT USAGE ON SCHEMA dramatiq TO stranger")
    sql("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA dramatiq TO stranger")
    with closing(psycopg2.connect(direct_database)) as connection:  # it keeps its role
        connection.autocommit = True

        def ask(statement: str, *values: Any) -> list[tuple[Any, ...]]:
            with connection.cursor() as cursor:
                cursor.execute("SET ROLE stranger")
                cursor.execute(statement, values)
                return cursor.fetchall()

        yield ask
    sql("DROP OWNED BY stranger")
    sql("DROP ROLE stranger")


Ask = Callable[..., list[tuple[Any, ...]]]


def test_a_job_from_sql_is_run_as_one_from_python(
    broker: LeaseBroker, start_worker: Callable[..., Worker], stranger: Ask
) -> None:
    @dramatiq.actor(broker=broker, store_results=True)
    def add(left: int, right: int) -> int:
        return left + right

    ((job_id, merged),) = stranger("""SELECT * FROM dramatiq.enqueue('add', '[40]', '{"right": 2}')""")
    assert not merged
    assert stranger("SELECT state, queue, actor FROM dramatiq.job(%s)", job_id) == [("ready", "default", "add")]
    start_worker(broker)
    wait_until(lambda: stranger("SELECT state FROM dramatiq.job(%s)", job_id) == [("completed",)], 10, "not run")
    assert stranger("SELECT result FROM dramatiq.job(%s)", job_id) == [(42,)]


def test_who_may_call_the_functions_sees_no_table(stranger: Ask) -> None:
    for table in ("queue", "done", "worker", "share"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            stranger(f"SELECT * FROM dramatiq.{table}")


def test_nobody_may_call_the_functions_unless_told(database: str, sql: Sql) -> None:
    names = sql(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'dramatiq'::regnamespace "
        "AND has_function_privilege('pg_monitor', oid, 'EXECUTE') AND proname NOT IN ('cause', 'with_attempt')"
    )
    assert names == []


def test_a_key_and_a_delay_mean_the_same_as_in_python(broker: LeaseBroker, stranger: Ask, sql: Sql) -> None:
    ((first, _),) = stranger("SELECT * FROM dramatiq.enqueue('index', '[1]', key => 'r', delay => interval '1 hour')")
    assert stranger("SELECT state FROM dramatiq.job(%s)", first) == [("scheduled",)]
    again = broker.enqueue(dramatiq.Message("default", "index", (2,), {}, {"key": "r"}))
    assert again.message_id == first
    assert stranger("SELECT * FROM dramatiq.enqueue('index', '[3]', key => 'r')") == [(first, True)]
    assert sql("SELECT message -> 'args', available_at <= now() FROM dramatiq.queue") == [([3], True)]


def test_a_job_that_nobody_knows_is_no_row(stranger: Ask) -> None:
    assert stranger("SELECT * FROM dramatiq.job(%s)", str(uuid4())) == []


@pytest.mark.parametrize(
    ("call", "code", "words"),
    [
        ("enqueue(NULL)", errorcodes.INVALID_PARAMETER_VALUE, "expected the name of an actor, got: NULL"),
        ("enqueue('')", errorcodes.INVALID_PARAMETER_VALUE, "expected the name of an actor, got: ''"),
        ("enqueue('a', '{}')", errorcodes.INVALID_PARAMETER_VALUE, "expected args to be a JSON array, got: object"),
        ("enqueue('a', NULL)", errorcodes.INVALID_PARAMETER_VALUE, "expected args to be a JSON array, got: NULL"),
        ("enqueue('a', kwargs => '[]')", errorcodes.INVALID_PARAMETER_VALUE, "kwargs to be a JSON object, got: array"),
        (
            "enqueue('a', options => '3')",
            errorcodes.INVALID_PARAMETER_VALUE,
            "to be a JSON object, got: number",
        ),
        (
            """enqueue('a', options => '{"max_retry": 1}')""",
            errorcodes.INVALID_PARAMETER_VALUE,
            "expected an option of max_age, max_backoff, max_retries, min_backoff, time_limit, got: 'max_retry'",
        ),
        (
            """enqueue('a', options => '{"max_age": -1}')""",
            errorcodes.INVALID_PARAMETER_VALUE,
            "expected option max_age to be a whole number, 0 or more (milliseconds), got: -1",
        ),
        (
            """enqueue('a', options => '{"max_retries": "3"}')""",
            errorcodes.INVALID_PARAMETER_VALUE,
            'expected option max_retries to be a whole number, 0 or more, got: "3"',
        ),
        ("enqueue('a', queue => 'no spaces')", errorcodes.INVALID_PARAMETER_VALUE, "got: 'no spaces'"),
        ("enqueue('a', queue => 'default.DQ')", errorcodes.INVALID_PARAMETER_VALUE, "got: 'default.DQ'"),
        ("enqueue('a', delay => '-1 s')", errorcodes.INVALID_PARAMETER_VALUE, "expected a delay from 0 to 10 years"),
        ("enqueue('a', key => '')", errorcodes.INVALID_PARAMETER_VALUE, "1 to 500 characters, got: 0 and NULL"),
        ("enqueue('a', '[1')", errorcodes.INVALID_TEXT_REPRESENTATION, "invalid input syntax for type json"),
        (
            "enqueue('a', to_jsonb(ARRAY[repeat('x', 1048576)]))",
            errorcodes.PROGRAM_LIMIT_EXCEEDED,
            "expected a message of at most 1048576 bytes, got: 1048",
        ),
    ],
)
def test_bad_input_is_a_clear_error_and_stores_nothing(
    call: str, code: str, words: str, stranger: Ask, sql: Sql
) -> None:
    with pytest.raises(psycopg2.Error) as refused:
        stranger(f"SELECT * FROM dramatiq.{call}")
    assert refused.value.pgcode == code
    assert words in str(refused.value)
    assert sql("SELECT count(*) FROM dramatiq.queue") == [(0,)]


def test_a_transaction_that_rolls_back_sends_nothing(database: str, sql: Sql) -> None:
    with closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT job_id FROM dramatiq.enqueue('a')")
        connection.rollback()
    assert sql("SELECT count(*) FROM dramatiq.queue") == [(0,)]


@pytest.mark.parametrize("queue", ["default", "a" * 60])
def test_a_ring_wakes_those_who_listen_to_the_queue(queue: str, direct_database: str, stranger: Ask) -> None:
    with closing(psycopg2.connect(direct_database)) as listener:
        listener.autocommit = True
        with listener.cursor() as cursor:
            cursor.execute(f'LISTEN "{channel_name("dramatiq", queue)}"')
        stranger("SELECT dramatiq.ring(%s)", queue)

        def rung() -> bool:
            listener.poll()
            return bool(listener.notifies)

        wait_until(rung, 10, "nobody rang")


def test_a_message_over_the_limit_is_refused_with_its_size(make_broker: Callable[..., LeaseBroker], sql: Sql) -> None:
    broker = make_broker(policy=Policy(max_message_bytes=1_000))
    fits: dramatiq.Message[None] = dramatiq.Message("default", "a", ("x" * 700,), {}, {})
    broker.enqueue(fits)
    too_large: dramatiq.Message[None] = dramatiq.Message("default", "a", ("x" * 1_000,), {}, {})
    with pytest.raises(MessageTooLarge, match="expected a message of at most 1000 bytes, got: 1"):
        broker.enqueue(too_large)
    with pytest.raises(MessageTooLarge):
        broker.enqueue_many([fits.copy(message_id=str(uuid4())), too_large])
    assert sql("SELECT count(*) FROM dramatiq.queue") == [(1,)]

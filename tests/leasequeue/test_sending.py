"""What a caller of ``send()`` meets when the database is away, slow, or all its sessions are in use."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable

import dramatiq
import psycopg2
import pytest
from answer_thief import AnswerThief
from sql_access import Sql
from throwaway_postgres import ThrowawayPostgres
from waiting import wait_until

from leasequeue import DatabaseUnavailable, LeaseBroker, Policy, migrations, sender
from leasequeue.pool import Pool


def anything() -> dramatiq.Message[None]:
    return dramatiq.Message("default", "anything", (), {}, {})


def test_a_send_to_a_database_that_is_away_fails_within_its_bound(make_broker: Callable[..., LeaseBroker]) -> None:
    broker = make_broker(url="postgresql://u:sesame@127.0.0.1:1/none", policy=Policy(enqueue_timeout=0.5))
    started = time.monotonic()
    with pytest.raises(DatabaseUnavailable, match=r"could not be sent within 0.5 s: .* It is not stored.") as refused:
        broker.enqueue(anything())
    assert time.monotonic() - started < 2
    assert "sesame" not in str(refused.value)


def test_a_send_goes_through_a_restart_of_the_database(
    make_broker: Callable[..., LeaseBroker],
    throwaway_server: Callable[..., ThrowawayPostgres],
    through_pooler: Callable[[str], str],
) -> None:
    server = throwaway_server()
    migrations.migrate(server.url, schema="dramatiq")
    broker = make_broker(url=through_pooler(server.url))
    broker.enqueue(anything())
    server.stop(immediate=True)
    server.start()
    broker.enqueue(anything())
    assert broker.ask("unfinished", {"queue_name": "default"}) == [(True,)]


def test_a_send_whose_answer_was_lost_is_stored_once(
    make_broker: Callable[..., LeaseBroker], database: str, sql: Sql
) -> None:
    with AnswerThief(database) as network:
        broker = make_broker(url=network.url)
        broker.enqueue(anything())
        network.steal("INSERT 0 1")
        message = broker.enqueue(anything())
        assert network.stolen.is_set()
    assert sql("SELECT count(*) FROM dramatiq.queue WHERE message_id = %s", message.message_id) == [(1,)]
    assert sql("SELECT count(*) FROM dramatiq.queue") == [(2,)]


def test_a_send_that_is_held_up_by_a_lock_gives_up_in_time(
    make_broker: Callable[..., LeaseBroker], database: str
) -> None:
    broker = make_broker(policy=Policy(enqueue_timeout=0.5))
    holder = psycopg2.connect(database)
    try:
        with holder.cursor() as cursor:
            cursor.execute("LOCK TABLE dramatiq.queue IN ACCESS EXCLUSIVE MODE")
        started = time.monotonic()
        with pytest.raises(DatabaseUnavailable, match="It may or may not be stored"):
            broker.enqueue(anything())
        assert time.monotonic() - started < 3
    finally:
        holder.close()


def test_a_pool_lends_no_more_than_it_has_and_says_so(database: str) -> None:
    pool = Pool(database, "test", 1)
    lent = pool.take(5)
    with pytest.raises(DatabaseUnavailable, match="all 1 sessions with the database were in use"):
        pool.take(0.1)
    pool.give(lent)
    with pool.connection(5) as again:
        assert again is lent
    pool.close()


@pytest.mark.direct("it ends the server's process of a session, which is the pooler's")
def test_a_session_that_broke_is_not_lent_again(database: str, sql: Sql) -> None:
    pool = Pool(database, "test pool", 1)
    with pool.connection(5) as first:
        sql("SELECT pg_terminate_backend(%s)", first.backend_pid)
        wait_until(lambda: sql("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", first.backend_pid) == [(0,)])
        with pytest.raises(DatabaseUnavailable):
            first.execute("SELECT 1", timeout=5)
    with pool.connection(5) as second:
        assert second.execute("SELECT 1", timeout=5) == [(1,)]
    pool.close()


def test_a_forked_process_makes_sessions_of_its_own(make_broker: Callable[..., LeaseBroker], sql: Sql) -> None:
    broker = make_broker()
    broker.enqueue(anything())
    child = multiprocessing.get_context("fork").Process(target=lambda: broker.enqueue(anything()))
    child.start()
    child.join(20)
    assert child.exitcode == 0
    broker.enqueue(anything())
    assert sql("SELECT count(*) FROM dramatiq.queue") == [(3,)]


def test_a_bulk_send_of_several_statements_stores_everything_in_its_order(
    broker: LeaseBroker, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "BULK_MESSAGES", 3)
    messages: list[dramatiq.Message[None]] = [
        dramatiq.Message("default", "anything", (number,), {}, {}) for number in range(10)
    ]
    broker.enqueue_many(messages)
    stored = sql("SELECT message_id::text FROM dramatiq.queue ORDER BY available_at")
    assert [message_id for (message_id,) in stored] == [message.message_id for message in messages]


def test_a_bulk_send_says_what_cannot_be_encoded_behind_what_could(
    broker: LeaseBroker, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "BULK_MESSAGES", 3)
    messages: list[dramatiq.Message[None]] = [
        dramatiq.Message("default", "anything", (number,), {}, {}) for number in range(5)
    ]
    with pytest.raises(TypeError, match="not JSON serializable"):
        broker.enqueue_many([*messages, dramatiq.Message("default", "anything", (object(),), {}, {})])
    assert sql("SELECT count(*) FROM dramatiq.queue") == [(3,)]


def test_a_job_sent_on_the_callers_transaction_exists_when_that_commits(
    broker: LeaseBroker, database: str, sql: Sql
) -> None:
    caller = psycopg2.connect(database)
    try:
        with caller, caller.cursor() as cursor:
            broker.enqueue_on(cursor, anything())
            assert sql("SELECT count(*) FROM dramatiq.queue") == [(0,)]
        assert sql("SELECT count(*) FROM dramatiq.queue") == [(1,)]
    finally:
        caller.close()


def test_a_job_sent_on_the_callers_transaction_is_gone_with_a_rollback_or_a_savepoint(
    broker: LeaseBroker, database: str, sql: Sql
) -> None:
    caller = psycopg2.connect(database)
    kept = anything()
    try:
        with caller.cursor() as cursor:
            broker.enqueue_on(cursor, anything())
            caller.rollback()
            broker.enqueue_on(cursor, kept)
            cursor.execute("SAVEPOINT before")
            broker.enqueue_on(cursor, anything())
            cursor.execute("ROLLBACK TO SAVEPOINT before")
            caller.commit()
    finally:
        caller.close()
    assert sql("SELECT message_id::text FROM dramatiq.queue") == [(kept.message_id,)]

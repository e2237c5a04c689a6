"""Periodic jobs: when they are due, and that each tick is one job."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import dramatiq
import pytest
from dramatiq.message import Message
from sql_access import Sql
from waiting import wait_until

from leasequeue import LeaseBroker, Policy
from leasequeue.admin import Schedules
from leasequeue.connection import Connection
from leasequeue.cron import CronError, next_tick, ticks_between
from leasequeue.ticker import Ticker

MESSAGE: Message[Any] = Message("default", "work", (1,), {"key": "b"}, {"max_retries": 7})


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        ("30 2 * * *", "UTC", "2026-03-28T02:30:00+00:00", "2026-03-29T02:30:00+00:00"),
        ("*/15 * * * *", "UTC", "2026-03-28T02:31:07+00:00", "2026-03-28T02:45:00+00:00"),
        ("0 9 * * MON", "America/New_York", "2026-11-24T12:00:00+00:00", "2026-11-30T09:00:00-05:00"),
        ("0 0 29 2 *", "UTC", "2026-03-01T00:00:00+00:00", "2028-02-29T00:00:00+00:00"),
        ("30 2 * * *", "Europe/Vienna", "2026-03-28T12:00:00+00:00", "2026-03-29T03:00:00+02:00"),
        ("30 2 * * *", "Europe/Vienna", "2026-10-25T00:30:00+00:00", "2026-10-26T02:30:00+01:00"),
        ("0 * * * *", "Europe/Vienna", "2026-10-25T00:30:00+00:00", "2026-10-25T02:00:00+01:00"),
    ],
    ids=["daily", "quarters", "Monday in New York", "leap day", "in the gap", "not twice", "each hour goes on"],
)
def test_a_schedule_is_due_by_the_clock_of_its_zone(cron: str, zone: str, after: str, expected: str) -> None:
    assert next_tick(cron, zone, at(after)) == at(expected)


@pytest.mark.parametrize(
    ("cron", "zone", "told"),
    [
        ("* * * *", "UTC", r"'\* \* \* \*' \(4 fields\)"),
        ("* * * * * *", "UTC", "6 fields"),
        ("61 * * * *", "UTC", "bad minute"),
        ("0 0 31 2 *", "UTC", "bad day-of-month"),
        ("@daily", "UTC", "1 fields"),
        ("0 0 * * *", "Vienna", "expected a time zone by its IANA name, .* got: 'Vienna'"),
        ("0 0 * * *", "../../etc/passwd", "expected a time zone"),
        ("0 0 * * *", "", "expected a time zone"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_was_expected(cron: str, zone: str, told: str) -> None:
    with pytest.raises(CronError, match=told):
        next_tick(cron, zone, at("2026-01-01T00:00:00+00:00"))


def test_missed_ticks_are_counted_up_to_a_bound() -> None:
    first = at("2026-01-01T00:00:00+00:00")
    assert ticks_between("0 * * * *", "UTC", first, first) == 1
    assert ticks_between("0 * * * *", "UTC", first, first + timedelta(hours=3, minutes=59)) == 4
    assert ticks_between("* * * * *", "UTC", first, first + timedelta(days=300)) == 1000


def test_a_tick_is_one_job_as_the_schedule_has_it(broker: LeaseBroker, database: str, sql: Sql) -> None:
    schedules = Schedules(broker)
    assert not schedules.add("often", "* * * * *", MESSAGE)
    (before,) = schedules.all()
    assert timedelta(0) < before.next_at - datetime.now(UTC) <= timedelta(minutes=1)
    connection = Connection(database, "test")
    ticker = Ticker(broker.queries, broker.policy)
    assert ticker.tick(connection) == 0, "it is not due yet"

    sql("UPDATE dramatiq.schedule SET next_at = date_trunc('minute', now())")
    ((due_at,),) = sql("SELECT next_at FROM dramatiq.schedule")
    assert ticker.tick(connection) == 1
    assert ticker.tick(connection) == 0

    ((message_id, queue_name, message, left),) = sql(
        "SELECT message_id::text, queue_name, message, expires_at - enqueued_at FROM dramatiq.queue"
    )
    assert (queue_name, left) == ("default", timedelta(days=1))
    assert (message["actor_name"], message["args"], message["kwargs"]) == ("work", [1], {"key": "b"})
    assert (message["message_id"], message["options"]) == (message_id, {"max_retries": 7})
    (after,) = schedules.all()
    assert (after.last_at, after.last_id) == (due_at, message_id)
    assert after.next_at == due_at + timedelta(minutes=1)
    connection.close()


def test_ticks_that_nobody_sent_in_time_are_made_up_for_by_one_job(
    broker: LeaseBroker, database: str, sql: Sql, caplog: pytest.LogCaptureFixture
) -> None:
    Schedules(broker).add("hourly", "0 * * * *", MESSAGE)
    sql("UPDATE dramatiq.schedule SET next_at = date_trunc('hour', now()) - interval '5 hours'")
    connection = Connection(database, "test")

    with caplog.at_level("INFO", "leasequeue.ticker"):
        assert Ticker(broker.queries, broker.policy).tick(connection) == 1

    assert "missed=5" in caplog.text
    assert sql("SELECT count(*) FROM dramatiq.queue") == [(1,)]
    assert sql("SELECT next_at > now() FROM dramatiq.schedule") == [(True,)]
    connection.close()


def test_many_workers_that_see_the_same_tick_send_it_once(broker: LeaseBroker, database: str, sql: Sql) -> None:
    for number in range(5):
        Schedules(broker).add(f"schedule {number}", "* * * * *", MESSAGE)
    connections = [Connection(database, "test") for _ in range(8)]
    barrier = threading.Barrier(len(connections))
    sent: list[int] = []

    def race(connection: Connection) -> None:
        ticker = Ticker(broker.queries, broker.policy)
        for _ in range(10):
            barrier.wait(10)
            sent.append(ticker.tick(connection))
            barrier.wait(10)
            if connection is connections[0]:
                sql("UPDATE dramatiq.schedule SET next_at = last_at + interval '1 ms' WHERE last_at < next_at")
            barrier.wait(10)

    sql("UPDATE dramatiq.schedule SET next_at = now() - interval '1 hour'")
    threads = [threading.Thread(target=race, args=(connection,)) for connection in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sum(sent) == 50
    assert sql("SELECT count(*) FROM dramatiq.queue") == [(50,)]
    for connection in connections:
        connection.close()


def test_a_worker_runs_what_is_due_within_a_heartbeat_and_an_unreadable_schedule_stops_no_other(
    make_broker: Callable[..., LeaseBroker],
    start_worker: Callable[..., dramatiq.Worker],
    sql: Sql,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = make_broker(policy=Policy(poll_interval=30, heartbeat=0.1, lease=1))
    ran: list[int] = []
    dramatiq.actor(lambda number, key: ran.append(number), broker=broker, actor_name="work")
    schedules = Schedules(broker)
    schedules.add("often", "0 0 * * *", MESSAGE)
    sql(
        "INSERT INTO dramatiq.schedule (name, cron, time_zone, queue_name, message, next_at) "
        "VALUES ('broken', 'x', 'UTC', 'default', '{}', now() - interval '1 day')"
    )
    start_worker(broker)

    sql("UPDATE dramatiq.schedule SET next_at = now() WHERE name = 'often'")

    wait_until(lambda: ran == [1], 5)
    assert caplog.text.count("schedule_unreadable schedule=broken") == 1


def test_a_schedule_is_replaced_by_its_name_and_removed_by_it(broker: LeaseBroker) -> None:
    schedules = Schedules(broker)
    schedules.add("one", "0 0 * * *", MESSAGE)
    assert schedules.add("one", "0 12 * * *", MESSAGE, time_zone="Europe/Vienna")

    (facts,) = schedules.all()
    assert (facts.cron, facts.time_zone) == ("0 12 * * *", "Europe/Vienna")
    assert schedules.remove("one")
    assert not schedules.remove("one")
    assert schedules.all() == []
    with pytest.raises(CronError):
        schedules.add("one", "never", MESSAGE)


def test_ticks_of_a_job_with_a_key_are_merged_into_the_one_that_waits(broker: LeaseBroker, sql: Sql) -> None:
    @dramatiq.actor(broker=broker, key=lambda name: name)
    def tidy(name: str) -> None: ...

    Schedules(broker).add("tidy", "* * * * *", tidy.message("a"))
    for _ in range(2):
        sql("UPDATE dramatiq.schedule SET next_at = next_at - interval '10 minutes'")
        with closing(Connection(broker.url, "test")) as connection:
            assert Ticker(broker.queries, broker.policy).tick(connection) == 1
    assert sql("SELECT key, message #>> '{args,0}' FROM dramatiq.queue") == [('["tidy", "a"]', "a")]

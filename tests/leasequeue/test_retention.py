"""What is kept and for how long: rows are moved in time, nobody waits for a clock."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import dramatiq
import psycopg2
import pytest
from dead_jobs import bury
from sql_access import Sql
from waiting import wait_until

from leasequeue import LeaseBroker, Policy, retention
from leasequeue.connection import Connection
from leasequeue.retention import Retention

StartWorker = Callable[..., dramatiq.Worker]

#: A worker that keeps house ten times a second.
QUICK = Policy(poll_interval=0.05, heartbeat=0.1, lease=1.0)

FILL = (
    "INSERT INTO dramatiq.done SELECT gen_random_uuid(), 'default', '{}', NULL, NULL, now(), now(), now(), 1, 0, 0,"
    " now() + %s::interval - n * interval '1 ms' FROM generate_series(1, %s) AS n"
)


class Stopwatch(Connection):
    """A session that notes how long each statement took."""

    seconds: list[float]

    def execute(self, sql: str, parameters: dict[str, Any] | None = None, *, timeout: float) -> list[tuple[Any, ...]]:
        started = time.monotonic()
        try:
            return super().execute(sql, parameters, timeout=timeout)
        finally:
            self.seconds.append(time.monotonic() - started)


@pytest.fixture
def connection(database: str) -> Iterator[Stopwatch]:
    opened = Stopwatch(database, "test")
    opened.seconds = []
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def _look_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "LOOK_SOON", 0.0)


@pytest.fixture
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """With each heartbeat, also when there was nothing to do."""
    monkeypatch.setattr(retention, "LOOK_EVERY", 0.0)


def test_what_is_past_its_time_goes_and_nothing_else(broker: LeaseBroker, connection: Stopwatch, sql: Sql) -> None:
    sql(FILL, "-1 s", 10)
    sql(FILL, "1 hour", 20)
    bury(sql, 3, age="30 days 1 minute")
    bury(sql, 2, age="30 days 1 minute", queue="nobody works here", reason="discarded")
    kept = bury(sql, 4, age="29 days 23 hours")
    sql("INSERT INTO dramatiq.queue (message_id, state, mtime) VALUES (gen_random_uuid(), 'queued', '2000-01-01')")

    assert Retention(broker.queries, broker.policy).work(connection) == 15

    assert sql("SELECT count(*) FROM dramatiq.done") == [(20,)]
    assert sql("SELECT message_id::text FROM dramatiq.queue WHERE state = 'rejected' ORDER BY mtime") == [
        (each,) for each in kept
    ]
    assert sql("SELECT count(*) FROM dramatiq.queue WHERE state = 'queued'") == [(1,)]


def test_dead_jobs_are_kept_for_ever_when_the_policy_says_so(
    make_broker: Callable[..., LeaseBroker], connection: Stopwatch, sql: Sql
) -> None:
    broker = make_broker(policy=Policy(keep_dead=None))
    bury(sql, 3, age="3000 days")

    assert Retention(broker.queries, broker.policy).work(connection) == 0
    assert sql("SELECT count(*) FROM dramatiq.queue") == [(3,)]


def test_a_mountain_goes_in_short_statements_for_a_part_of_each_heartbeat(
    broker: LeaseBroker, connection: Stopwatch, sql: Sql
) -> None:
    sql(FILL, "-1 s", 60_000)
    retention_ = Retention(broker.queries, broker.policy)

    rounds = []
    while sql("SELECT EXISTS (SELECT FROM dramatiq.done)") == [(True,)]:
        started = time.monotonic()
        assert retention_.work(connection) > 0
        rounds.append(time.monotonic() - started)

    assert statistics.median(connection.seconds) < 0.2
    assert max(connection.seconds) < 2.0, "also where other tests take the processor"
    assert statistics.median(rounds) < broker.policy.heartbeat / 3 + 0.2
    assert len(connection.seconds) > 15, "not all at once"


def test_one_purger_works_at_a_time_and_the_others_find_it_at_work(
    broker: LeaseBroker, connection: Stopwatch, database: str, sql: Sql
) -> None:
    sql(FILL, "-1 s", 100)
    with closing(psycopg2.connect(database)) as other:
        other.cursor().execute("SELECT FROM dramatiq.chore WHERE name = 'purge' FOR UPDATE")
        waiting = Retention(broker.queries, broker.policy)
        assert waiting.work(connection) == 0
        other.rollback()
    assert waiting.work(connection) == 0, "it looks again in a minute only"
    assert Retention(broker.queries, broker.policy).work(connection) == 100


@pytest.mark.usefixtures("look_often")
def test_a_worker_under_load_keeps_a_plateau(
    make_broker: Callable[..., LeaseBroker], start_worker: StartWorker, sql: Sql
) -> None:
    broker = make_broker(policy=Policy(poll_interval=0.05, heartbeat=0.1, lease=1.0, keep_done=0.5))
    actor = dramatiq.actor(lambda: None, broker=broker, actor_name="nothing", queue_name="default")
    start_worker(broker)
    seen = []
    for _ in range(12):
        broker.enqueue_many([actor.message() for _ in range(1_000)])
        wait_until(lambda: sql("SELECT count(*) FROM dramatiq.queue") == [(0,)], 20)
        seen.append(sql("SELECT count(*) FROM dramatiq.done")[0][0])
    assert max(seen) < 11_000, "older ones go while new ones come"
    wait_until(lambda: sql("SELECT count(*) FROM dramatiq.done") == [(0,)], 5)


@pytest.mark.usefixtures("look_often")
def test_a_completed_job_can_be_looked_up_for_as_long_as_the_policy_says(
    make_broker: Callable[..., LeaseBroker], start_worker: StartWorker, sql: Sql
) -> None:
    broker = make_broker(policy=QUICK)
    actor = dramatiq.actor(lambda: None, broker=broker, actor_name="nothing")
    actor.send()
    start_worker(broker)
    wait_until(lambda: sql("SELECT keep_until - finished_at = interval '1 hour' FROM dramatiq.done") == [(True,)])

    sql("UPDATE dramatiq.done SET keep_until = keep_until - interval '59 minutes'")
    actor.send()
    wait_until(lambda: sql("SELECT count(*) FROM dramatiq.done") == [(2,)])
    sql(
        "UPDATE dramatiq.done SET keep_until = keep_until - interval '61 seconds'"
        " WHERE keep_until < now() + interval '2 minutes'"
    )
    wait_until(lambda: sql("SELECT count(*) FROM dramatiq.done") == [(1,)], 5)


def test_a_job_that_is_not_finished_in_a_day_is_dead_and_not_forgotten(
    make_broker: Callable[..., LeaseBroker], start_worker: StartWorker, sql: Sql
) -> None:
    broker = make_broker(policy=QUICK)
    ran: list[int] = []
    actor = dramatiq.actor(ran.append, broker=broker, actor_name="remember")
    actor.send(1)
    move = (
        "UPDATE dramatiq.queue SET available_at = available_at - %s::interval,"
        " enqueued_at = enqueued_at - %s::interval, expires_at = expires_at - %s::interval"
    )
    sql(move, *["23 hours 59 minutes"] * 3)
    start_worker(broker)
    broker.join("default", timeout=5_000)
    assert ran == [1], "there is a minute left"

    sql("INSERT INTO dramatiq.paused VALUES ('default')")
    actor.send(2)
    sql(move, *["24 hours"] * 3)
    sql("DELETE FROM dramatiq.paused")

    wait_until(lambda: sql("SELECT state::text, reason FROM dramatiq.queue") == [("rejected", "expired")], 5)
    assert ran == [1]

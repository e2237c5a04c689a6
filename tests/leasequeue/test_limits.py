"""Rate limiters, barriers and completion callbacks of groups, on the queue's database and on nothing else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import dramatiq
import psycopg2
import pytest
from dramatiq.errors import RateLimitExceeded
from dramatiq.middleware import GroupCallbacks
from dramatiq.rate_limits import Barrier, BucketRateLimiter, ConcurrentRateLimiter, WindowRateLimiter
from sql_access import Sql
from waiting import let_pass, wait_until

from leasequeue import LeaseBroker, SchemaMissing
from leasequeue.limits import PostgresLimits

from .conftest import POLICY

StartWorker = Callable[..., dramatiq.Worker]


@pytest.fixture
def limits(make_broker: Callable[..., LeaseBroker]) -> PostgresLimits:
    # As many sessions as a fleet may have, so that callers really meet in the database.
    return PostgresLimits(make_broker(sender_sessions=8))


def acquired(limiter: dramatiq.rate_limits.RateLimiter, times: int) -> int:
    """How many of so many callers, eight at a time, are let through."""

    def is_let_through(number: int) -> bool:
        with limiter.acquire(raise_on_failure=False) as let_through:
            return bool(let_through)

    with ThreadPoolExecutor(8) as callers:
        return sum(callers.map(is_let_through, range(times)))


def test_a_concurrent_limiter_lets_so_many_in_and_the_next_when_one_has_left(limits: PostgresLimits) -> None:
    limiter = ConcurrentRateLimiter(limits, "printer", limit=2)
    with limiter.acquire():
        with limiter.acquire(), pytest.raises(RateLimitExceeded), limiter.acquire():
            pass
        with limiter.acquire():
            pass


def test_never_more_than_the_limit_are_inside_when_many_come_at_once(limits: PostgresLimits) -> None:
    limiter = ConcurrentRateLimiter(limits, "printer", limit=3)
    inside, most, lock = 0, 0, threading.Lock()

    def enter(number: int) -> None:
        nonlocal inside, most
        with limiter.acquire(raise_on_failure=False) as let_in:
            if let_in:
                with lock:
                    inside += 1
                    most = max(most, inside)
                let_pass(0.03)
                with lock:
                    inside -= 1

    with ThreadPoolExecutor(12) as callers:
        list(callers.map(enter, range(60)))

    assert most == 3


def test_a_mutex_whose_holder_died_is_free_again_when_its_time_is_over(limits: PostgresLimits, sql: Sql) -> None:
    assert limits.add("mutex", 1, ttl=60_000)
    assert not limits.add("mutex", 1, ttl=60_000)

    sql("UPDATE dramatiq_limits.counter SET expires_at = now()")

    assert limits.add("mutex", 1, ttl=60_000)


def test_a_window_lets_through_exactly_its_limit_when_many_come_at_once(limits: PostgresLimits, sql: Sql) -> None:
    assert acquired(WindowRateLimiter(limits, "mails", limit=20, window=60), 100) == 20
    assert acquired(WindowRateLimiter(limits, "other mails", limit=5, window=60), 10) == 5

    sql("UPDATE dramatiq_limits.counter SET expires_at = now()")

    assert acquired(WindowRateLimiter(limits, "mails", limit=20, window=60), 30) == 20
    assert sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]


def test_a_window_sums_what_was_counted_while_a_caller_waited_for_its_turn(
    limits: PostgresLimits, database: str, sql: Sql
) -> None:
    limits.migrate()
    window = ["mails@1"]
    with closing(psycopg2.connect(database)) as other, ThreadPoolExecutor(1) as callers:
        with other, other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('dramatiq_limits mails', 0))")
            late = callers.submit(limits.incr_and_sum, "mails@1", lambda: window, 1, 1, 60_000)
            wait_until(
                lambda: late.done() or sql("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"),
                message="the caller to wait",
            )
            window.append("mails@2")
            cursor.execute("INSERT INTO dramatiq_limits.counter VALUES ('mails@2', 1, now() + interval '1 hour')")
        assert late.result(10) is False


def test_a_bucket_lets_through_its_limit(limits: PostgresLimits) -> None:
    # An hour long, so that the test does not end in another bucket than it began in.
    assert acquired(BucketRateLimiter(limits, "mails", limit=7, bucket=3_600_000), 20) == 7


def test_a_barrier_holds_everybody_until_the_last_has_come(limits: PostgresLimits, sql: Sql) -> None:
    barrier = Barrier(limits, "race", ttl=60_000)
    assert barrier.create(parties=3)
    assert not barrier.create(parties=3)
    with ThreadPoolExecutor(2) as runners:
        waiting = [runners.submit(barrier.wait, timeout=10_000) for _ in range(2)]
        missing = "SELECT value FROM dramatiq_limits.counter WHERE key = 'race'"
        wait_until(lambda: sql(missing) == [(1,)], message="two of three to have come")
        assert not any(each.done() for each in waiting)

        assert barrier.wait()
        assert [each.result(10) for each in waiting] == [True, True]


def test_who_waits_at_a_barrier_for_too_long_is_told(limits: PostgresLimits) -> None:
    barrier = Barrier(limits, "race")
    barrier.create(parties=2)
    began = time.monotonic()
    assert not barrier.wait(timeout=200)
    assert time.monotonic() - began < 2


def test_a_group_calls_back_once_when_its_last_job_is_done(
    broker: LeaseBroker, limits: PostgresLimits, start_worker: StartWorker
) -> None:
    broker.add_middleware(GroupCallbacks(limits))  # type: ignore[no-untyped-call]
    done: list[int] = []
    called: list[int] = []

    @dramatiq.actor(broker=broker)
    def work(number: int) -> None:
        done.append(number)

    @dramatiq.actor(broker=broker)
    def call_back() -> None:
        called.append(len(done))

    group = dramatiq.group([work.message(number) for number in range(10)], broker=broker)
    group.add_completion_callback(call_back.message())
    group.run()
    start_worker(broker, threads=4)
    broker.join("default", timeout=10_000)

    assert called == [10]


def test_what_has_expired_is_removed_by_and_by(
    limits: PostgresLimits, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        limits.add(f"key {number}", 1, ttl=60_000)
    sql("UPDATE dramatiq_limits.counter SET expires_at = now()")
    monkeypatch.setattr("leasequeue.limits.PURGE_INTERVAL", 0)

    limits.add("fresh", 1, ttl=60_000)

    assert sql("SELECT key FROM dramatiq_limits.counter") == [("fresh",)]


def test_without_auto_migrate_a_missing_schema_is_an_error(make_broker: Callable[..., LeaseBroker], sql: Sql) -> None:
    limits = PostgresLimits(make_broker(policy=POLICY), auto_migrate=False)
    with pytest.raises(SchemaMissing):
        limits.add("key", 1, ttl=1000)

    assert [each.path.stem for each in limits.migrate()] == ["0001_limits"]
    assert limits.add("key", 1, ttl=1000)


def test_a_schema_with_a_name_that_postgres_would_cut_off_is_refused(broker: LeaseBroker) -> None:
    with pytest.raises(ValueError, match="at most 63 bytes"):
        PostgresLimits(broker, schema="x" * 64)

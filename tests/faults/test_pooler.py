"""Through a pgbouncer in transaction mode: no session is ours for longer than a statement, and everything holds."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from types import ModuleType

import psycopg2
import pytest
from dramatiq.message import Message
from sql_access import Sql
from throwaway_pgbouncer import PROGRAM, Pooler
from waiting import let_pass, wait_until

from leasequeue import LeaseBroker, Policy, migrations

from .conftest import Workers
from .ledger import DONE, RUNNING, check_invariants, has

StartWorkers = Callable[..., Workers]

pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed: apt-get install pgbouncer"),
    pytest.mark.direct("it starts poolers of its own"),
]


def advisory_locks(url: str) -> int:
    """Advisory locks that anybody holds on the server."""
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
            row = cursor.fetchone()
            assert row is not None
            return int(row[0])
    finally:
        connection.close()


@pytest.fixture
def pooler(database: str) -> Iterator[Pooler]:
    """A pooler before the test's database."""
    with Pooler(database) as running:
        yield running
    assert advisory_locks(database) == 0


@pytest.fixture
def pooled(pooler: Pooler, database: str) -> str:
    """The URL of the test's database through the pooler; the ledger goes on the direct way."""
    return pooler.url_of(database)


def test_jobs_are_sent_retried_delayed_and_finished(
    pooled: str, fault_actors: ModuleType, start_workers: StartWorkers, sql: Sql
) -> None:
    workers = start_workers(url=pooled, processes=2, min_backoff=0.1, max_backoff=0.1)
    sender = LeaseBroker(url=pooled)
    try:
        for number in range(100):
            sender.enqueue(fault_actors.work.message(f"job {number}", 0.0))
        sender.enqueue_many([fault_actors.nothing.message() for _ in range(1000)])
        sender.enqueue(fault_actors.nothing.message(), delay=500)
        sender.enqueue(fault_actors.fail.message("fails"))
        wait_until(has(sql, DONE, 1101), 30, "not all were run")
        wait_until(has(sql, "SELECT errors FROM dramatiq.queue WHERE state = 'rejected'", 4), 10, "no dead letter")
        check_invariants(sql, sent=1102)
        assert workers.text().count("notifications_unavailable") == 2  # once for each process
    finally:
        sender.close()


def test_a_schema_is_made_through_the_pooler(empty_database: str) -> None:
    with Pooler(empty_database) as pooler:
        assert len(migrations.migrate(pooler.url_of(empty_database), schema="dramatiq")) == migrations.latest()
    assert advisory_locks(empty_database) == 0


def test_the_jobs_of_a_killed_worker_are_run_again_within_a_lease_and_a_heartbeat(
    pooled: str, fault_actors: ModuleType, start_workers: StartWorkers, sql: Sql
) -> None:
    killed = start_workers(url=pooled, heartbeat=0.5, lease=3.0)
    fault_actors.work.send("survivor", 1.0)
    wait_until(has(sql, RUNNING, 1), 10, "the job was not started")
    assert sql("SELECT backend_pid FROM dramatiq.worker") == [(None,)]
    start_workers(url=pooled, heartbeat=0.5, lease=3.0)
    killed.send_signal(signal.SIGKILL, group=True)
    wait_until(has(sql, "SELECT count(*) FROM ledger.run", 2), 3.0 + 2 * 0.5 + 1, "it was not taken over")
    wait_until(has(sql, DONE, 1), 10, "the job was not finished")
    check_invariants(sql, sent=1)


def test_a_drain_hands_back_through_the_pooler(
    pooled: str, fault_actors: ModuleType, start_workers: StartWorkers, sql: Sql
) -> None:
    workers = start_workers(url=pooled, drain=0.2)
    fault_actors.work.send("long", 60)
    wait_until(has(sql, RUNNING, 1), 10, "the job was not started")
    workers.send_signal(signal.SIGTERM)
    assert workers.wait(20) == 0
    assert sql("SELECT state::text, starts, errors, crashes FROM dramatiq.queue") == [("queued", 0, 0, 0)]


def test_claims_go_on_when_the_poolers_sessions_with_the_server_are_cut_again_and_again(
    pooled: str, fault_actors: ModuleType, start_workers: StartWorkers, sql: Sql
) -> None:
    workers = start_workers(url=pooled, processes=2, heartbeat=0.4, lease=4.0)
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND {}"
    ours = "pid <> pg_backend_pid() AND application_name LIKE 'leasequeue%%'"
    sent = 0
    for _ in range(8):
        for _ in range(10):
            fault_actors.work.send(f"job {sent}", 0.02)
            sent += 1
        sql(cut.format(ours))
        at_least = f"SELECT (count(*) >= {sent - 10})::integer FROM dramatiq.done"
        wait_until(has(sql, at_least, 1), 10, "they do not claim any more")
    wait_until(has(sql, DONE, sent), 10, "something is left")
    assert workers.text().count("notifications_unavailable") == 2  # a new session is no news
    assert sql("SELECT max(crashes) FROM dramatiq.done") == [(0,)]
    check_invariants(sql, sent=sent)


def test_a_pooler_that_dies_and_comes_back_costs_nobody_a_job_and_needs_no_restart(
    pooler: Pooler, pooled: str, fault_actors: ModuleType, start_workers: StartWorkers, sql: Sql
) -> None:
    start_workers(url=pooled, processes=2, heartbeat=0.3, lease=1.5)
    for number in range(2):
        fault_actors.work.send(f"in flight {number}", 1.0)
    wait_until(has(sql, RUNNING, 2), 10, "the jobs were not started")
    pooler.stop()
    let_pass(4.5)  # three leases
    pooler.start()
    fault_actors.work.send("afterwards", 0.0)
    wait_until(has(sql, DONE, 3), 15, "claims did not resume")
    assert sql("SELECT max(starts), max(errors), max(crashes) FROM dramatiq.done") == [(1, 0, 0)]
    check_invariants(sql, sent=3)


def test_more_senders_than_the_pool_has_sessions_are_all_served(pooled: str, sql: Sql) -> None:
    brokers = [LeaseBroker(url=pooled, policy=Policy(enqueue_timeout=20)) for _ in range(12)]

    def send(broker: LeaseBroker) -> None:
        for _ in range(20):
            broker.enqueue(Message("default", "anything", (), {}, {}))

    threads = [threading.Thread(target=send, args=(broker,)) for broker in brokers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for broker in brokers:
        broker.close()
    assert sql("SELECT count(*) FROM dramatiq.queue") == [(240,)]

"""The database goes away, hangs, refuses writes or drops sessions: nobody is judged for it, and work goes on."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import psycopg2
import pytest
from sql_access import Sql
from throwaway_postgres import ThrowawayPostgres
from waiting import let_pass, wait_until

from leasequeue import migrations

from .conftest import Workers, load_fault_actors
from .ledger import DONE, RUNNING, check_invariants, has

StartWorkers = Callable[..., Workers]

SESSIONS = (
    "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'leasequeue%%' AND datname = current_database()"
)


@pytest.fixture
def own_server(throwaway_server: Callable[..., ThrowawayPostgres]) -> ThrowawayPostgres:
    """A server that only this test has, with the queue's schema."""
    server = throwaway_server()
    migrations.migrate(server.url, schema="dramatiq")
    return server


@pytest.fixture
def own_url(own_server: ThrowawayPostgres, through_pooler: Callable[[str], str]) -> str:
    """That server as its workers have it."""
    return through_pooler(own_server.url)


@pytest.fixture
def own_actors(own_server: ThrowawayPostgres, own_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The actors' module on that server."""
    yield from load_fault_actors(own_url, own_server.url, monkeypatch)


def sql_on(server: ThrowawayPostgres) -> Sql:
    """Asks a server that comes and goes: a new session for each statement."""

    def run(statement: str, *values: object) -> list[tuple[Any, ...]]:
        connection = psycopg2.connect(server.url)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, values)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    return run


def test_after_an_outage_of_three_leases_every_worker_keeps_its_job_and_ends_that_could_not_be_written_are(
    own_server: ThrowawayPostgres, own_url: str, own_actors: ModuleType, start_workers: StartWorkers
) -> None:
    sql = sql_on(own_server)
    for _ in range(2):
        start_workers(url=own_url, processes=2, threads=1, heartbeat=0.3, lease=1.5)
    for number in range(2):
        # Longer than it takes until the last one is found, where nothing rings.
        own_actors.work.send(f"ends meanwhile {number}", 3.5)
        own_actors.work.send(f"ends later {number}", 9.5)
    wait_until(lambda: sql(RUNNING) == [(4,)], 10, "the jobs were not started")

    own_server.stop(immediate=True)
    let_pass(4.5)  # three leases
    own_server.start()

    wait_until(lambda: sql(DONE) == [(4,)], 30, "the jobs did not end")
    assert sql("SELECT max(starts), max(errors), max(crashes) FROM dramatiq.done") == [(1, 0, 0)]
    assert sql("SELECT count(*) FROM ledger.run") == [(4,)]
    check_invariants(sql, sent=4)


def test_a_worker_that_died_in_an_outage_is_told_from_those_that_come_back(
    own_server: ThrowawayPostgres, own_url: str, own_actors: ModuleType, start_workers: StartWorkers
) -> None:
    sql = sql_on(own_server)
    lost = start_workers(url=own_url, threads=1, heartbeat=0.3, lease=1.5)
    own_actors.work.send("of the dead", 2.0)
    wait_until(lambda: sql(RUNNING) == [(1,)], 10, "the job was not started")
    start_workers(url=own_url, threads=1, heartbeat=0.3, lease=1.5)
    own_actors.work.send("of the living", 9.0)
    wait_until(lambda: sql(RUNNING) == [(2,)], 10, "the job was not started")

    own_server.stop(immediate=True)
    lost.send_signal(signal.SIGKILL, group=True)
    own_server.start()

    wait_until(lambda: sql(DONE) == [(2,)], 40, "the jobs did not end")
    assert sql("SELECT job, count(*) FROM ledger.run GROUP BY 1 ORDER BY 1") == [
        ("of the dead", 2),
        ("of the living", 1),
    ]
    check_invariants(sql, sent=2)


@pytest.mark.direct("it ends sessions by name, and the pooler's have no name of ours: test_pooler.py")
def test_workers_claim_again_soon_after_each_of_many_random_disconnections(
    fault_actors: ModuleType, start_workers: StartWorkers, sql: Sql
) -> None:
    workers = start_workers(processes=2, threads=2, heartbeat=0.4, lease=4.0)
    wait_until(lambda: len(sql(SESSIONS)) >= 4, 10, "they are not connected")
    chance = random.Random(1)
    sent = 0
    for _ in range(12):
        for _ in range(10):
            fault_actors.work.send(f"job {sent}", 0.02)
            sent += 1
        pids = [pid for (pid,) in sql(SESSIONS)]
        for pid in chance.sample(pids, min(len(pids), chance.randint(1, 4))):
            sql("SELECT pg_terminate_backend(%s)", pid)
        wait_until(
            has(sql, f"SELECT (count(*) >= {sent - 10})::integer FROM dramatiq.done", 1),
            10,
            "they do not claim any more",
        )
    wait_until(lambda: sql(DONE) == [(sent,)], 10, "something is left")

    sessions = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name ~ '^leasequeue (claim|finish|keep)'"
    )
    wait_until(lambda: sql(sessions) == [(6,)], 10, "sessions leak, or a loop has not come back")
    assert "leasequeue" not in str([line for line in workers.text().splitlines() if "[ERROR]" in line])
    assert sql("SELECT max(crashes) FROM dramatiq.done") == [(0,)]
    check_invariants(sql, sent=sent)


def test_claims_go_on_after_a_time_in_which_the_server_refused_writes(
    own_server: ThrowawayPostgres, own_url: str, own_actors: ModuleType, start_workers: StartWorkers
) -> None:
    sql = sql_on(own_server)
    start_workers(url=own_url, heartbeat=0.4, lease=2.0)
    own_server.reload({"default_transaction_read_only": "on"})
    message = own_actors.nothing.message()
    sql(
        "BEGIN READ WRITE; INSERT INTO dramatiq.queue (message_id, state, message) VALUES (%s, 'queued', %s); COMMIT",
        message.message_id,
        message.encode().decode(),
    )
    let_pass(4.0)  # two leases
    assert sql("SELECT state::text FROM dramatiq.queue") == [("queued",)]
    own_server.reload({"default_transaction_read_only": "off"})
    wait_until(lambda: sql(DONE) == [(1,)], 15, "claims did not resume")


@pytest.mark.direct("it stops the server's process of a session, which is the pooler's: whoever sends may get it next")
def test_a_session_that_hangs_is_given_up_and_the_job_is_run_all_the_same(
    fault_actors: ModuleType, start_workers: StartWorkers, sql: Sql
) -> None:
    start_workers(heartbeat=0.5, lease=5.0)
    claiming = (
        "SELECT pid FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE 'leasequeue claim%%'"
    )
    ((pid,),) = wait_until(lambda: sql(claiming), 10, "nobody claims")
    os.kill(pid, signal.SIGSTOP)
    try:
        fault_actors.work.send("it", 0)
        # The call is given up after 10 s; then there is a new session.
        wait_until(lambda: sql(DONE) == [(1,)], 20, "the claim loop hangs")
    finally:
        os.kill(pid, signal.SIGCONT)
    check_invariants(sql, sent=1)


def test_no_job_waits_longer_than_a_poll_while_the_listening_session_is_killed_again_and_again(
    fault_actors: ModuleType, start_workers: StartWorkers, sql: Sql
) -> None:
    start_workers(poll_interval=1.0)
    for number in range(8):
        sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'leasequeue claim%%'"
        )
        fault_actors.nothing.send()
        wait_until(has(sql, DONE, number + 1), 5, "a job was overlooked")
    ((longest,),) = sql("SELECT extract(epoch FROM max(started_at - enqueued_at))::float8 FROM dramatiq.done")
    assert longest < 1.0 + 0.5


def test_a_table_that_somebody_locks_holds_nobody_up_for_longer_than_the_lock(
    fault_actors: ModuleType, start_workers: StartWorkers, sql: Sql, database: str
) -> None:
    start_workers(heartbeat=0.4, lease=2.0)
    fault_actors.work.send("in flight", 0.5)
    wait_until(lambda: sql(RUNNING) == [(1,)], 10, "the job was not started")
    holder = psycopg2.connect(database)
    try:
        with holder.cursor() as cursor:
            cursor.execute("LOCK TABLE dramatiq.queue IN ACCESS EXCLUSIVE MODE")
        let_pass(3.0)  # more than a lease
    finally:
        holder.close()
    fault_actors.work.send("behind the lock", 0)
    wait_until(lambda: sql(DONE) == [(2,)], 15, "work does not go on")
    assert sql("SELECT max(starts), max(crashes) FROM dramatiq.done") == [(1, 0)]
    check_invariants(sql, sent=2)

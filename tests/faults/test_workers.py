"""Real workers, really signalled and killed: nothing is lost, and nothing that finished is run again."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import ModuleType

import psycopg2
import pytest
from dramatiq.message import Message
from sql_access import Sql
from throwaway_postgres import ThrowawayPostgres
from waiting import wait_until

from leasequeue import LeaseBroker, migrations

from .conftest import Workers

StartWorkers = Callable[..., Workers]

RUNNING = "SELECT count(*) FROM ledger.run WHERE ended_at IS NULL"


def test_sigterm_lets_a_job_in_flight_finish_and_the_master_exits_with_0(
    fault_actors: ModuleType, start_workers: StartWorkers, sql: Sql
) -> None:
    workers = start_workers()
    fault_actors.work.send("in flight", 2)
    wait_until(lambda: sql(RUNNING) == [(1,)], 10, "the job was not started")

    workers.send_signal(signal.SIGTERM)
    assert workers.wait(20) == 0

    assert sql("SELECT job, ended_at IS NOT NULL FROM ledger.run") == [("in flight", True)]
    assert sql("SELECT starts, errors, crashes FROM dramatiq.done") == [(1, 0, 0)]
    assert sql("SELECT count(*) FROM dramatiq.queue") == [(0,)]
    assert sql("SELECT count(*) FROM dramatiq.worker") == [(0,)]


def test_a_job_that_outlasts_the_drain_is_handed_back_without_a_charge_and_run_by_the_next_worker(
    fault_actors: ModuleType, start_workers: StartWorkers, sql: Sql
) -> None:
    workers = start_workers(drain=1.0)
    fault_actors.work.send("long", 8)
    wait_until(lambda: sql(RUNNING) == [(1,)], 10, "the job was not started")

    workers.send_signal(signal.SIGTERM)
    assert workers.wait(20) == 0
    assert sql("SELECT state::text, starts, errors, crashes FROM dramatiq.queue") == [("queued", 0, 0, 0)]

    start_workers()
    wait_until(lambda: sql("SELECT starts, errors FROM dramatiq.done") == [(1, 0)], 30, "it was not run again")


@pytest.mark.parametrize("again", ["the master", "the whole group"])
def test_a_second_sigterm_kills_nobody(
    again: str, fault_actors: ModuleType, start_workers: StartWorkers, sql: Sql
) -> None:
    workers = start_workers()
    fault_actors.work.send("in flight", 3)
    wait_until(lambda: sql(RUNNING) == [(1,)], 10, "the job was not started")

    workers.send_signal(signal.SIGTERM)
    wait_until(lambda: "Stopping worker process" in workers.text(), 5, "the first signal was not heard")
    workers.send_signal(signal.SIGTERM, group=again == "the whole group")
    assert workers.wait(20) == 0
    assert sql("SELECT job, ended_at IS NOT NULL FROM ledger.run") == [("in flight", True)]
    assert sql("SELECT starts, errors, crashes FROM dramatiq.done") == [(1, 0, 0)]


def test_nothing_is_claimed_after_sigterm_and_what_waits_stays_uncharged(
    fault_actors: ModuleType, start_workers: StartWorkers, sql: Sql
) -> None:
    workers = start_workers(processes=2, threads=2)
    for number in range(4):
        fault_actors.work.send(f"first {number}", 2)
    wait_until(lambda: sql(RUNNING) == [(4,)], 10, "the jobs were not started")

    workers.send_signal(signal.SIGTERM)
    wait_until(lambda: workers.text().count("Stopping worker process") == 2, 5, "the signal was not heard")
    for number in range(20):
        fault_actors.work.send(f"late {number}", 0)
    assert workers.wait(20) == 0
    assert sql("SELECT count(*), max(starts), max(crashes) FROM dramatiq.queue") == [(20, 0, 0)]
    assert sql("SELECT count(*) FROM ledger.run WHERE job LIKE 'late%%'") == [(0,)]


def test_a_job_that_cannot_be_interrupted_is_handed_back_and_the_process_leaves_without_it(
    fault_actors: ModuleType, start_workers: StartWorkers, sql: Sql
) -> None:
    workers = start_workers(drain=0.5)
    fault_actors.deaf.send("deaf", 60)
    wait_until(lambda: sql(RUNNING) == [(1,)], 10, "the job was not started")

    workers.send_signal(signal.SIGTERM)
    assert workers.wait(15) == 0
    assert sql("SELECT state::text, starts, errors, crashes FROM dramatiq.queue") == [("queued", 0, 0, 0)]
    assert sql("SELECT count(*) FROM dramatiq.worker") == [(0,)]


def test_a_job_whose_worker_is_killed_is_run_again_by_another(
    fault_actors: ModuleType, start_workers: StartWorkers, sql: Sql
) -> None:
    killed = start_workers()
    fault_actors.work.send("survivor", 1.5)
    wait_until(lambda: sql(RUNNING) == [(1,)], 10, "the job was not started")
    killed.send_signal(signal.SIGKILL, group=True)
    start_workers()

    wait_until(lambda: sql("SELECT count(*) FROM dramatiq.done") == [(1,)], 40, "the job was not run again")
    assert sql("SELECT count(*), count(ended_at), count(DISTINCT pid) FROM ledger.run WHERE job = 'survivor'") == [
        (2, 1, 2)
    ]
    assert sql("SELECT starts, errors, crashes FROM dramatiq.done") == [(2, 0, 1)]


def test_jobs_that_wait_survive_a_restart_of_everything(
    throwaway_server: Callable[..., ThrowawayPostgres], start_workers: StartWorkers
) -> None:
    server = throwaway_server(settings={"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"})
    migrations.migrate(server.url, schema="dramatiq")
    api = LeaseBroker(url=server.url)
    for _ in range(20):
        api.enqueue(Message("default", "nothing", (), {}, {}))
    api.close()

    server.stop(immediate=True)
    server.start()
    start_workers(url=server.url)

    connection = psycopg2.connect(server.url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:

            def done() -> bool:
                cursor.execute("SELECT count(*) FROM dramatiq.done")
                return bool(cursor.fetchone() == (20,))

            wait_until(done, 20, "the jobs were not run")
    finally:
        connection.close()


def test_twenty_thousand_jobs_run_to_the_end_in_one_worker_without_a_pause(
    fault_actors: ModuleType, start_workers: StartWorkers, sql: Sql
) -> None:
    message = fault_actors.nothing.message()
    sql(
        "INSERT INTO dramatiq.queue (message_id, state, message) "
        "SELECT gen_random_uuid(), 'queued', %s FROM generate_series(1, 20000)",
        message.encode().decode(),
    )
    start_workers(processes=1, threads=8)
    wait_until(lambda: sql("SELECT count(*) FROM dramatiq.done") == [(20_000,)], 60, "not all were run")
    assert sql("SELECT count(*) FROM dramatiq.queue") == [(0,)]
    assert sql("SELECT max(starts) FROM dramatiq.done") == [(1,)]
    assert sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]


def test_a_worker_whose_database_is_away_says_so_and_exits_at_once(start_workers: StartWorkers) -> None:
    workers = start_workers(url="postgresql://user:sesame@127.0.0.1:1/none")
    assert workers.wait(10) == 3
    assert "The worker cannot start" in workers.text()
    assert "sesame" not in workers.text()

"""SIGTERM and after: nothing more is claimed, what runs may end, the rest is handed back, nothing is charged."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import ModuleType

import pytest
from sql_access import Sql
from waiting import wait_until

from .conftest import Workers
from .ledger import DONE, RUNNING, check_invariants, has

StartWorkers = Callable[..., Workers]


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
    fault_actors.work.send("long", 3)
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
    fault_actors.work.send("in flight", 2)
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


def test_a_job_that_outlasts_many_rolling_deploys_is_never_charged_and_waits_for_none_of_them(
    fault_actors: ModuleType, start_workers: StartWorkers, sql: Sql
) -> None:
    old = start_workers(threads=2, drain=0.2)
    fault_actors.work.send("outlasts them all", 600)
    starts = "SELECT count(*) FROM ledger.run WHERE job = 'outlasts them all'"
    for deploy in range(4):
        wait_until(has(sql, starts, deploy + 1), 10, "it was not started again")
        new = start_workers(threads=2, drain=0.2)
        for number in range(10):
            fault_actors.work.send(f"small {deploy}.{number}", 0.05)
        old.send_signal(signal.SIGTERM)
        assert old.wait(20) == 0
        old = new
    wait_until(lambda: sql(DONE) == [(40,)], 10, "the small jobs were held up")
    assert sql("SELECT starts, errors, crashes, attempts FROM dramatiq.queue") == [(1, 0, 0, None)]
    late = "SELECT count(*) FROM dramatiq.done WHERE started_at - enqueued_at > interval '2 seconds'"
    assert sql(late) == [(0,)]

    old.send_signal(signal.SIGTERM)
    assert old.wait(20) == 0
    check_invariants(sql, sent=41)


def test_sigint_drains_like_sigterm(fault_actors: ModuleType, start_workers: StartWorkers, sql: Sql) -> None:
    workers = start_workers()
    fault_actors.work.send("in flight", 2.0)
    wait_until(lambda: sql(RUNNING) == [(1,)], 10, "the job was not started")
    workers.send_signal(signal.SIGINT, group=True)
    assert workers.wait(20) == 0
    assert sql("SELECT starts, errors, crashes FROM dramatiq.done") == [(1, 0, 0)]
    check_invariants(sql, sent=1)

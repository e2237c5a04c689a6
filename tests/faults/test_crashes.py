"""Workers that die without a word: what they held is run again soon, and a job that kills its workers is found out."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from sql_access import Sql
from waiting import wait_until

from .conftest import Workers
from .ledger import DONE, RUNNING, check_invariants

StartWorkers = Callable[..., Workers]

#: A policy under which the dead are found while a test waits, and nobody is presumed dead for a busy machine.
QUICK = {"heartbeat": 0.4, "lease": 8.0}


@pytest.mark.direct("behind a pooler a dead worker is noticed by its silence alone: test_pooler.py")
def test_a_job_whose_worker_is_killed_is_run_again_by_another_within_ten_seconds(
    fault_actors: ModuleType, start_workers: StartWorkers, sql: Sql
) -> None:
    killed = start_workers()
    fault_actors.work.send("survivor", 1.0)
    wait_until(lambda: sql(RUNNING) == [(1,)], 10, "the job was not started")
    start_workers()
    killed.send_signal(signal.SIGKILL, group=True)

    wait_until(lambda: sql("SELECT count(*) FROM ledger.run") == [(2,)], 10, "the job was not started again in time")
    wait_until(lambda: sql(DONE) == [(1,)], 10, "the job was not finished")
    assert sql("SELECT count(ended_at), count(DISTINCT pid), max(attempt) FROM ledger.run") == [(1, 2, 2)]
    assert sql("SELECT starts, errors, crashes FROM dramatiq.done") == [(2, 0, 1)]
    check_invariants(sql, sent=1)


@pytest.mark.parametrize("die_at", ["before the run", "after the run", "at the ack", "at the retry"])
def test_a_job_whose_worker_is_killed_at_any_point_of_its_way_ends_all_the_same(
    die_at: str, fault_actors: ModuleType, start_workers: StartWorkers, sql: Sql
) -> None:
    actor = fault_actors.fail if die_at == "at the retry" else fault_actors.work
    args = ("it",) if die_at == "at the retry" else ("it", 0.1)
    actor.send_with_options(args=args, die_at=die_at)
    for number in range(5):  # waiting behind it in the buffer of its process
        fault_actors.work.send(f"neighbour {number}", 0.01)
    workers = start_workers(threads=1, min_backoff=0.1, max_backoff=0.1, **QUICK)

    def is_over() -> bool:
        workers.supervise()
        return sql("SELECT count(*) FROM dramatiq.queue WHERE state <> 'rejected'") == [(0,)]

    wait_until(is_over, 30, "something is left")
    assert workers.boots == 2
    if die_at == "at the retry":
        assert sql("SELECT reason, errors, crashes FROM dramatiq.queue") == [("retries_exhausted", 4, 1)]
        assert sql(DONE) == [(5,)]
    else:
        assert sql(DONE) == [(6,)]
        assert sql("SELECT max(starts), max(crashes), max(errors) FROM dramatiq.done") == [(2, 1, 0)]
    check_invariants(sql, sent=6)


def test_jobs_that_kill_their_workers_are_dead_after_three_starts_and_two_hundred_neighbours_succeed(
    fault_actors: ModuleType, start_workers: StartWorkers, sql: Sql
) -> None:
    ways = ["a signal", "a bad address", "an exit", "an abort"]
    for number in range(200):
        if number % 50 == 25:
            fault_actors.kill.send(f"killer {number}", ways.pop())
        fault_actors.work.send(f"neighbour {number}", 0.01)
    workers = start_workers(processes=2, threads=4, **QUICK)

    def is_over() -> bool:
        workers.supervise()
        return sql("SELECT count(*) FROM dramatiq.queue WHERE state <> 'rejected'") == [(0,)]

    wait_until(is_over, 90, "something is left")
    assert sql(DONE) == [(200,)]
    dead = "SELECT reason, crashes, error ~ '^crashed 3 times: its worker ' FROM dramatiq.queue"
    assert sql(dead) == [("crashed", 3, True)] * 4
    ((most,),) = sql(
        "SELECT max(n) FROM (SELECT count(*) AS n FROM ledger.run WHERE job LIKE 'killer%%' GROUP BY job) k"
    )
    assert most == 3
    attempts = sql("SELECT jsonb_agg(a ->> 'outcome') FROM dramatiq.queue, jsonb_array_elements(attempts) AS a")
    assert attempts == [(["crashed"] * 12,)]
    check_invariants(sql, sent=204)


def test_workers_whose_master_is_killed_drain_and_leave_and_lose_nothing(
    fault_actors: ModuleType, start_workers: StartWorkers, sql: Sql
) -> None:
    workers = start_workers(processes=2, threads=1)
    for number in range(2):
        fault_actors.work.send(f"in flight {number}", 2.0)
    wait_until(lambda: sql(RUNNING) == [(2,)], 10, "the jobs were not started")
    workers.send_signal(signal.SIGKILL)

    wait_until(lambda: sql("SELECT count(*) FROM dramatiq.worker") == [(0,)], 20, "they did not leave")
    assert sql("SELECT starts, errors, crashes FROM dramatiq.done") == [(1, 0, 0)] * 2
    check_invariants(sql, sent=2)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_worker_whose_master_is_killed_leaves_also_when_its_main_thread_hears_nothing_any_more(
    fault_actors: ModuleType, start_workers: StartWorkers, sql: Sql
) -> None:
    workers = start_workers(processes=1, threads=1, drain=1.0)
    master = workers.master.pid
    (worker,) = map(int, Path(f"/proc/{master}/task/{master}/children").read_text().split())
    fault_actors.work.send("in flight", 30.0)
    wait_until(lambda: sql(RUNNING) == [(1,)], 10, "the job was not started")
    os.kill(worker, signal.SIGUSR1)
    workers.send_signal(signal.SIGKILL)

    wait_until(lambda: not Path(f"/proc/{worker}").exists(), 30, "it did not leave")
    assert sql("SELECT state::text, errors, crashes FROM dramatiq.queue") == [("queued", 0, 0)]

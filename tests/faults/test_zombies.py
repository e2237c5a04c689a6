"""Workers that were out of action and come back, and workers that are merely busy."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import ModuleType

import pytest
from sql_access import Sql
from waiting import let_pass, wait_until

from .conftest import Workers
from .ledger import DONE, RUNNING, check_invariants

StartWorkers = Callable[..., Workers]


def test_a_worker_that_was_stopped_for_two_leases_changes_nothing_when_it_goes_on(
    fault_actors: ModuleType, start_workers: StartWorkers, sql: Sql
) -> None:
    stopped = start_workers(threads=1, heartbeat=0.3, lease=1.2)
    fault_actors.stubborn.send("fought over", 4.0)
    wait_until(lambda: sql(RUNNING) == [(1,)], 10, "the job was not started")
    ((pid,),) = sql("SELECT pid FROM ledger.run")
    os.kill(pid, signal.SIGSTOP)
    start_workers(threads=1, heartbeat=0.3, lease=1.2)
    wait_until(lambda: sql("SELECT count(*) FROM ledger.run") == [(2,)], 10, "the job was not taken over")
    let_pass(0.5)
    os.kill(pid, signal.SIGCONT)

    wait_until(lambda: sql("SELECT count(*) FROM ledger.run WHERE ended_at IS NOT NULL") == [(2,)], 15, "no end")
    wait_until(lambda: sql(DONE) == [(1,)], 10, "the job did not end")
    assert sql("SELECT starts, errors, crashes FROM dramatiq.done") == [(2, 0, 1)]
    wait_until(lambda: "presumed dead" in stopped.text(), 10, "it was not told that it was presumed dead")
    assert stopped.text().count("lease_lost") <= 1
    check_invariants(sql, sent=1, overlaps=1)

    fault_actors.work.send("afterwards", 0)
    wait_until(lambda: sql(DONE) == [(2,)], 10, "work does not go on")


@pytest.mark.direct(
    "it stops sessions by name: the pooler's have none of ours, so one worker would be cut off and its judge not"
)
def test_a_healthy_job_of_ten_leases_is_never_started_a_second_time(
    fault_actors: ModuleType, start_workers: StartWorkers, sql: Sql
) -> None:
    for _ in range(2):
        start_workers(threads=3, heartbeat=0.3, lease=1.0)
    fault_actors.work.send("long", 10.0)
    fault_actors.burn.send("burner 1", 6.0)
    fault_actors.burn.send("burner 2", 6.0)
    wait_until(lambda: sql(RUNNING) == [(3,)], 10, "the jobs were not started")

    # The database hangs for 0.8 of a lease meanwhile.
    backends = sql("SELECT pid FROM pg_stat_activity WHERE application_name ~ '^leasequeue (claim|finish|keep)'")
    for (pid,) in backends:
        os.kill(pid, signal.SIGSTOP)
    let_pass(0.8)
    for (pid,) in backends:
        os.kill(pid, signal.SIGCONT)

    wait_until(lambda: sql(DONE) == [(3,)], 30, "the jobs did not end")
    assert sql("SELECT max(starts), max(crashes) FROM dramatiq.done") == [(1, 0)]
    assert sql("SELECT count(*) FROM ledger.run") == [(3,)]
    check_invariants(sql, sent=3)

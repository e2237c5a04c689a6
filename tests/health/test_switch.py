"""What is meant so and explains why jobs wait is told in words, and is no stall: QUEUE_ENABLED=0, and polling."""

from __future__ import annotations

import signal

import pytest
from sql_access import Sql
from throwaway_pgbouncer import PROGRAM, Pooler
from waiting import wait_until

from .conftest import House, Probe
from .test_states import put, wait_for_running

GOOD = (200, 200, 200, 200)


def warning_codes(probe: Probe) -> set[str]:
    return {each["code"] for each in probe.ask("health")[1]["warnings"]}


def test_jobs_are_kept_while_the_queue_is_switched_off_and_run_when_it_is_on_again(
    house: House, database: str, sql: Sql
) -> None:
    beside = house.sidecar(database, HEALTH_STALLED_SECONDS="1")
    elsewhere = house.sidecar(database, HEALTH_SCOPE="queue", HEALTH_STALLED_SECONDS="1")
    workers = house.workers(database, processes=2)
    put(database, "work", 1.5)
    wait_for_running(beside, 1)
    # The lever: a restart with the switch off. What runs comes to its end.
    workers.send_signal(signal.SIGTERM)
    assert workers.process.wait(20) == 0
    assert sql("SELECT starts, errors, crashes FROM dramatiq.done") == [(1, 0, 0)]

    workers = house.workers(database, processes=2, QUEUE_ENABLED="0")
    put(database, "work", 0, age=60)
    ((registered,),) = sql("SELECT max(started_at) FROM dramatiq.worker")
    later = "SELECT bool_and(heartbeat_at > %s + interval '3 s') FROM dramatiq.worker"
    wait_until(lambda: sql(later, registered) == [(True,)], 15, "the heart does not beat")
    assert sql("SELECT state::text, starts FROM dramatiq.queue") == [("queued", 0)]
    for probe in (beside, elsewhere):
        assert probe.codes() == GOOD
        assert warning_codes(probe) == {"queue_disabled"}
    (text,) = [each["text"] for each in beside.ask("ready")[1]["warnings"]]
    assert text == "2 of 2 worker processes are paused by QUEUE_ENABLED: they start no jobs, which are kept"
    assert [each["claiming"] for each in beside.ask("live")[1]["processes"]] == [False, False]
    assert [each["claiming"] for each in elsewhere.ask("health")[1]["workers"]] == [False, False]
    assert workers.said().count("queue_disabled") == 2  # once for each process

    workers.send_signal(signal.SIGTERM)
    assert workers.process.wait(20) == 0
    house.workers(database, QUEUE_ENABLED="1")
    wait_until(lambda: sql("SELECT count(*) FROM dramatiq.done") == [(2,)], 10, "the job was not run")
    wait_until(lambda: warning_codes(beside) == set(), 5, "it is still said to be paused")


@pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed: apt-get install pgbouncer")
def test_workers_behind_a_transaction_pooler_are_said_to_poll(house: House, direct_database: str) -> None:
    with Pooler(direct_database) as pooler:
        url = pooler.url_of(direct_database)
        probe = house.sidecar(url)
        workers = house.workers(url)
        wait_until(lambda: warning_codes(probe) == {"polling"}, 10, "it is not told")
        (warning,) = probe.ask("ready")[1]["warnings"]
        assert warning["text"] == (
            "1 of 1 worker processes find jobs by polling, within 0.2 s: no notification reaches them"
        )
        assert [each["notified"] for each in probe.ask("live")[1]["processes"]] == [False]
        assert probe.codes() == GOOD
        assert workers.said().count("notifications_unavailable") == 1

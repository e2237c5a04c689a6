"""The write that ends a run fails: it is made again, for as long as it takes, and holds up nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import dramatiq
import psycopg2
import pytest
from sql_access import Sql
from waiting import let_pass, wait_until

from leasequeue import LeaseBroker, Policy

from .ledger import DONE, has

#: As in production, without its pauses.
POLICY = Policy(poll_interval=0.05, min_backoff=0.05, max_backoff=0.05)


class Speechless(Exception):
    """Cannot say what it is about."""

    def __str__(self) -> str:
        raise RuntimeError("not even this")


#: Errors whose text or whose own code is as bad as it gets, and a word that must be readable in what is recorded.
ERRORS: dict[str, tuple[Callable[[], Exception], str]] = {
    "a NUL character": (lambda: ValueError("half\x00way"), "half"),
    "a lone surrogate": (lambda: ValueError("\ud800 surrogate"), "surrogate"),
    "five megabytes": (lambda: ValueError("begin" + "x" * 5_000_000), "begin"),
    "no text at all": (Speechless, "Speechless"),
}

REFUSE_RETRIES = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'no retries today' USING ERRCODE = %s; END $$;
CREATE TRIGGER refuse BEFORE UPDATE ON dramatiq.queue FOR EACH ROW
WHEN (NEW.errors > OLD.errors AND NEW.state = 'queued') EXECUTE FUNCTION refuse();
"""


@pytest.fixture
def broker(database: str) -> Iterator[LeaseBroker]:
    broker = LeaseBroker(url=database, policy=POLICY)
    yield broker
    broker.close()


@pytest.fixture
def work(broker: LeaseBroker) -> Iterator[Callable[[], None]]:
    workers: list[dramatiq.Worker] = []

    def start() -> None:
        workers.append(dramatiq.Worker(broker, worker_timeout=50, worker_threads=2))
        workers[-1].start()

    yield start
    for worker in workers:
        worker.stop()


@pytest.mark.parametrize("kind", ERRORS)
def test_whatever_an_error_looks_like_the_job_runs_four_times_and_is_dead_with_a_readable_error(
    kind: str, broker: LeaseBroker, work: Callable[[], None], sql: Sql
) -> None:
    make, word = ERRORS[kind]
    runs: list[int] = []

    @dramatiq.actor(broker=broker)
    def fail() -> None:
        runs.append(1)
        raise make()

    fail.send()
    work()
    wait_until(has(sql, "SELECT count(*) FROM dramatiq.queue WHERE state = 'rejected'", 1), 20, "it is not dead")
    assert len(runs) == 4
    ((reason, error, attempts),) = sql("SELECT reason, error, attempts FROM dramatiq.queue")
    assert reason == "retries_exhausted"
    assert word in error
    assert len(error) < 25_000
    assert [attempt["outcome"] for attempt in attempts] == ["error"] * 4
    assert all(word in attempt["error"] for attempt in attempts)
    assert all(attempt["started"] <= attempt["ended"] for attempt in attempts)


def test_a_row_that_somebody_holds_in_an_open_transaction_holds_up_no_end_but_its_own(
    broker: LeaseBroker, work: Callable[[], None], sql: Sql, database: str
) -> None:
    go_on = threading.Event()

    @dramatiq.actor(broker=broker)
    def succeed(number: int) -> None:
        assert go_on.wait(20)

    held = succeed.send(0)
    succeed.send(1)
    work()
    wait_until(has(sql, "SELECT count(*) FROM dramatiq.queue WHERE state = 'consumed'", 2), 10, "they were not claimed")
    holder = psycopg2.connect(database)
    try:
        with holder.cursor() as cursor:
            cursor.execute("UPDATE dramatiq.queue SET mtime = mtime WHERE message_id = %s", [held.message_id])
        go_on.set()
        wait_until(has(sql, DONE, 1), 5, "the other end is held up")
        for number in range(50):
            succeed.send(number)
        wait_until(has(sql, DONE, 51), 5, "later ends are held up")
    finally:
        holder.close()
    wait_until(has(sql, DONE, 52), 15, "the end of the job that was held is not written")


@pytest.mark.parametrize("sqlstate", ["P0001", "55P03", "53100"], ids=["refused", "a lock", "disk full"])
def test_a_database_that_refuses_only_the_write_of_retries_costs_neither_a_run_nor_a_neighbour(
    sqlstate: str, broker: LeaseBroker, work: Callable[[], None], sql: Sql
) -> None:
    runs: list[int] = []

    @dramatiq.actor(broker=broker)
    def fail() -> None:
        runs.append(1)
        raise ValueError("it fails")

    @dramatiq.actor(broker=broker)
    def succeed() -> None:
        pass

    sql(REFUSE_RETRIES, sqlstate)
    fail.send()
    work()
    wait_until(lambda: runs, 10, "it did not run")
    for _ in range(20):
        succeed.send()
    wait_until(has(sql, DONE, 20), 15, "the neighbours are held up")
    let_pass(2.0)
    assert len(runs) == 1
    assert sql("SELECT state::text FROM dramatiq.queue") == [("consumed",)]

    sql("DROP TRIGGER refuse ON dramatiq.queue")
    wait_until(has(sql, "SELECT count(*) FROM dramatiq.queue WHERE state = 'rejected'", 1), 30, "it is not dead")
    assert len(runs) == 4
    assert sql("SELECT reason, errors, crashes FROM dramatiq.queue") == [("retries_exhausted", 4, 0)]

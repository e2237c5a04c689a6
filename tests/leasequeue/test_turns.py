"""Owners take turns, and nobody idles for it."""

from __future__ import annotations

from collections.abc import Callable

import dramatiq
from dramatiq import Worker
from sql_access import Sql
from waiting import wait_until

from leasequeue import LeaseBroker


def order_of_runs(broker: LeaseBroker) -> tuple[dramatiq.Actor[..., None], list[str]]:
    """An actor, and the owners in the order in which it ran for them."""
    ran: list[str] = []

    @dramatiq.actor(broker=broker, fairness_key=lambda owner, number: owner)
    def work(owner: str, number: int) -> None:
        ran.append(owner)

    return work, ran


def test_an_owner_with_a_few_jobs_does_not_wait_behind_one_with_thousands(
    broker: LeaseBroker, start_worker: Callable[..., Worker]
) -> None:
    work, ran = order_of_runs(broker)
    broker.enqueue_many([work.message("many", number) for number in range(2_000)])
    broker.enqueue_many([work.message("few", number) for number in range(10)])
    start_worker(broker, threads=1)
    broker.join("default", timeout=30_000)
    assert len(ran) == 2_010, "nothing idles"
    last_of_few = max(place for place, owner in enumerate(ran) if owner == "few")
    assert last_of_few < 60, f"ten jobs were done after {last_of_few} of 2,010"


def test_a_newcomer_begins_where_the_others_are(
    broker: LeaseBroker, start_worker: Callable[..., Worker], sql: Sql
) -> None:
    work, _ = order_of_runs(broker)
    broker.enqueue_many([work.message("early", number) for number in range(50)])
    worker = start_worker(broker, threads=1)
    broker.join("default", timeout=30_000)
    worker.stop()
    ((served,),) = sql("SELECT served FROM dramatiq.share")
    work.send_with_options(args=("late", 0), delay=60_000)
    assert sql("SELECT turn FROM dramatiq.queue") == [(None,)], "what is not due has no turn yet"
    work.send("late", 1)
    work.send("late", 2)
    ((first,), (second,)) = sql("SELECT turn FROM dramatiq.queue WHERE turn IS NOT NULL ORDER BY turn")
    assert served <= first < second


def test_jobs_without_an_owner_are_not_put_off_for_ever(
    broker: LeaseBroker, start_worker: Callable[..., Worker]
) -> None:
    work, ran = order_of_runs(broker)

    @dramatiq.actor(broker=broker)
    def plain() -> None:
        ran.append("nobody")

    for _ in range(40):
        plain.send()
    broker.enqueue_many([work.message("owner", number) for number in range(400)])
    start_worker(broker, threads=1)
    broker.join("default", timeout=30_000)
    assert ran.count("nobody") == 40
    last = max(place for place, owner in enumerate(ran) if owner == "nobody")
    assert last < 200


def test_a_retry_of_a_job_that_had_its_turn_waits_for_its_time(
    broker: LeaseBroker, start_worker: Callable[..., Worker], sql: Sql
) -> None:
    @dramatiq.actor(broker=broker)
    def fails() -> None:
        raise RuntimeError("always")

    fails.send_with_options(fairness_key="owner")
    assert sql("SELECT turn FROM dramatiq.queue") == [(0,)]
    worker = start_worker(broker)
    wait_until(lambda: sql("SELECT errors, turn FROM dramatiq.queue") == [(1, None)], 10, "it was not retried")
    worker.stop()

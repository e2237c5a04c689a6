"""How to test actors: dramatiq's own recipe, with this broker on a real database instead of the stub.

DATABASE_URL=postgresql://... pytest test_jobs.py       # an empty database: it counts mails of this hour
"""

from __future__ import annotations

from collections.abc import Iterator

import dramatiq
import pytest
from dramatiq.results import ResultFailure
from jobs import add, broker, charge, count_words, send_mail

from leasequeue import JobDied


@pytest.fixture
def worker() -> Iterator[dramatiq.Worker]:
    """A worker in this process, and no job of an earlier test."""
    broker.migrate()
    broker.flush_all()
    worker = dramatiq.Worker(broker, worker_timeout=100)
    worker.start()
    yield worker
    worker.stop()


def test_a_result_is_read_where_it_was_sent(worker: dramatiq.Worker) -> None:
    message = count_words.send("to be or not to be")
    broker.join(count_words.queue_name, timeout=10_000)
    worker.join()
    assert message.get_result() == 6


def test_a_pipeline_hands_each_result_on(worker: dramatiq.Worker) -> None:
    pipeline = count_words.message("one two three") | add.message(10) | add.message(100)
    assert pipeline.run().get_result(block=True, timeout=10_000) == 113


def test_a_group_has_all_results(worker: dramatiq.Worker) -> None:
    group = dramatiq.group(count_words.message("word " * number) for number in range(20)).run()
    assert list(group.get_results(block=True, timeout=10_000)) == list(range(20))


def test_a_group_calls_back_when_all_of_it_is_done(worker: dramatiq.Worker) -> None:
    called = count_words.message("called back")
    group = dramatiq.group([charge.message(cents) for cents in (100, 200, 300)])
    group.add_completion_callback(called)
    group.run()
    assert called.get_result(block=True, timeout=20_000) == 2


def test_what_a_limit_holds_back_is_told(worker: dramatiq.Worker) -> None:
    sent = dramatiq.group(send_mail.message("news") for _ in range(8)).run()
    assert sorted(sent.get_results(block=True, timeout=10_000)) == [False] * 3 + [True] * 5


def test_a_job_that_fails_for_good_is_seen_by_join(worker: dramatiq.Worker) -> None:
    message = charge.send(-1)
    with pytest.raises(JobDied, match="expected an amount above 0"):
        broker.join(charge.queue_name, fail_fast=True, timeout=10_000)
    with pytest.raises(ResultFailure):
        message.get_result()

"""One waiting and one running job a key: what a storm of sends, retries, deaths and redrives makes of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dramatiq
import psycopg2
import pytest
from dramatiq import Worker
from sql_access import Sql
from waiting import wait_until

from leasequeue import LeaseBroker, MessageRefused, Policy
from leasequeue.admin import DeadLetters

#: Retries come at once: what is tested is who waits, not for how long.
AT_ONCE = Policy(poll_interval=0.05, min_backoff=0.01, max_backoff=0.01)

WAITING = "SELECT count(*) FROM dramatiq.queue WHERE state = 'queued'"


class Repository:
    """An actor with a key whose runs wait until they are let go, and a record of them."""

    def __init__(self, broker: LeaseBroker) -> None:
        self.runs: list[tuple[str, int]] = []
        self.running = 0
        self.most_running = 0
        self.begun = threading.Semaphore(0)
        self.let_go = threading.Semaphore(0)
        self.fail: set[int] = set()
        self._lock = threading.Lock()

        @dramatiq.actor(broker=broker, key=lambda name, commit: name)
        def index(name: str, commit: int) -> None:
            with self._lock:
                self.runs.append((name, commit))
                self.running += 1
                self.most_running = max(self.most_running, self.running)
            self.begun.release()
            try:
                assert self.let_go.acquire(timeout=10)
                if commit in self.fail:
                    raise RuntimeError("as it was told")
            finally:
                with self._lock:
                    self.running -= 1

        self.index = index


@pytest.fixture
def keyed_broker(make_broker: Callable[..., LeaseBroker]) -> LeaseBroker:
    return make_broker(policy=AT_ONCE)


@pytest.fixture
def repository(keyed_broker: LeaseBroker) -> Repository:
    return Repository(keyed_broker)


def test_of_many_sends_the_first_runs_and_the_last_waits(
    keyed_broker: LeaseBroker, repository: Repository, start_worker: Callable[..., Worker], sql: Sql
) -> None:
    start_worker(keyed_broker, threads=4)
    repository.index.send("a", 0)
    assert repository.begun.acquire(timeout=10)
    sent = [repository.index.send("a", commit) for commit in range(1, 20)]
    assert sql(WAITING) == [(1,)]
    assert "merged" not in sent[0].options
    assert all(message.options["merged"] for message in sent[1:])
    assert {message.message_id for message in sent} == {sent[0].message_id}
    other = repository.index.send("b", 0)
    assert repository.begun.acquire(timeout=10), "another key is not held up"
    assert "merged" not in other.options
    for _ in range(3):
        repository.let_go.release()
    keyed_broker.join("default", timeout=10_000)
    assert sorted(repository.runs) == [("a", 0), ("a", 19), ("b", 0)]
    assert repository.most_running == 2


def test_a_result_of_a_merged_job_is_found_under_the_id_that_its_sender_got(
    keyed_broker: LeaseBroker, start_worker: Callable[..., Worker]
) -> None:
    @dramatiq.actor(broker=keyed_broker, store_results=True)
    def double(number: int) -> int:
        return 2 * number

    double.send_with_options(args=(1,), key="one")
    message = double.send_with_options(args=(21,), key="one")
    start_worker(keyed_broker)
    assert message.get_result(backend=keyed_broker.backend, block=True, timeout=10_000) == 42


def test_sixty_four_callers_at_once_leave_one_waiting_and_at_most_one_running(
    keyed_broker: LeaseBroker, repository: Repository, start_worker: Callable[..., Worker], sql: Sql
) -> None:
    start_worker(keyed_broker, threads=4)
    for _ in range(1000):
        repository.let_go.release()

    def push(caller: int) -> None:
        for commit in range(10):
            repository.index.send("storm", caller * 100 + commit)

    with ThreadPoolExecutor(64) as callers:
        list(callers.map(push, range(64)))
    repository.index.send("storm", 9999)
    keyed_broker.join("default", timeout=20_000)
    assert repository.runs[-1] == ("storm", 9999)
    assert repository.most_running == 1
    assert sql("SELECT count(*) FROM dramatiq.queue") == [(0,)]


def test_the_same_key_of_another_actor_is_another_key(keyed_broker: LeaseBroker, sql: Sql) -> None:
    for name in ("one", "two"):
        keyed_broker.enqueue(dramatiq.Message("default", name, (), {}, {"key": "k"}))
    assert sql(WAITING) == [(2,)]


def test_names_and_keys_with_spaces_are_not_mistaken_for_each_other(keyed_broker: LeaseBroker, sql: Sql) -> None:
    keyed_broker.enqueue(dramatiq.Message("default", "a b", (), {}, {"key": "c"}))
    keyed_broker.enqueue(dramatiq.Message("default", "a", (), {}, {"key": "b c"}))
    assert sql(WAITING) == [(2,)]


@pytest.mark.parametrize("before", [{}, {"key": "k"}, {"key": "other"}, {"fairness_key": "o"}])
@pytest.mark.parametrize("after", [{"key": "k"}, {"fairness_key": "o"}])
def test_the_same_message_again_replaces_it_whatever_key_it_had(
    before: dict[str, str], after: dict[str, str], keyed_broker: LeaseBroker, sql: Sql
) -> None:
    message: dramatiq.Message[None] = dramatiq.Message("default", "a", (1,), {}, before)
    keyed_broker.enqueue(message)
    again: dramatiq.Message[None] = dramatiq.Message("default", "a", (2,), {}, after, message_id=message.message_id)
    assert keyed_broker.enqueue(again).message_id == message.message_id
    assert sql("SELECT message -> 'args' FROM dramatiq.queue") == [([2],)]


def test_a_failed_run_gives_way_to_the_newer_job_that_waits(
    keyed_broker: LeaseBroker, repository: Repository, start_worker: Callable[..., Worker], sql: Sql
) -> None:
    repository.fail = {1}
    start_worker(keyed_broker)
    old = repository.index.send("a", 1)
    assert repository.begun.acquire(timeout=10)
    new = repository.index.send("a", 2)
    repository.let_go.release()
    repository.let_go.release()
    keyed_broker.join("default", timeout=10_000)
    assert repository.runs == [("a", 1), ("a", 2)]
    assert sql("SELECT merged_into::text FROM dramatiq.done WHERE message_id = %s", old.message_id) == [
        (new.message_id,)
    ]


def test_a_push_during_the_pause_before_a_retry_takes_its_place_with_fresh_budgets_and_at_once(
    make_broker: Callable[..., LeaseBroker], start_worker: Callable[..., Worker], sql: Sql
) -> None:
    broker = make_broker()  # a retry comes after a minute
    repository = Repository(broker)
    repository.fail = {1}
    start_worker(broker)
    old = repository.index.send("a", 1)
    repository.let_go.release()
    wait_until(lambda: sql("SELECT state::text, errors FROM dramatiq.queue") == [("queued", 1)], 10, "no retry")
    new = repository.index.send("a", 2)
    assert new.message_id == old.message_id
    repository.let_go.release()
    broker.join("default", timeout=10_000)
    assert repository.runs == [("a", 1), ("a", 2)]
    assert sql("SELECT errors FROM dramatiq.done") == [(0,)]


def test_a_drain_gives_way_to_the_newer_job(
    keyed_broker: LeaseBroker, repository: Repository, start_worker: Callable[..., Worker], sql: Sql
) -> None:
    worker = start_worker(keyed_broker)
    repository.index.send("a", 1)
    assert repository.begun.acquire(timeout=10)
    new = repository.index.send("a", 2)
    assert keyed_broker.worker_session is not None
    (lease,) = keyed_broker.worker_session.held.leases()
    keyed_broker.worker_session.hand_back(lease)
    wait_until(
        lambda: sql("SELECT merged_into::text FROM dramatiq.done") == [(new.message_id,)], 10, "it did not give way"
    )
    repository.let_go.release()
    repository.let_go.release()
    keyed_broker.join("default", timeout=10_000)
    worker.stop()
    assert repository.runs == [("a", 1), ("a", 2)]


def test_a_job_whose_worker_died_gives_way_and_leaves_its_suspicion_to_the_newer_one(
    keyed_broker: LeaseBroker, repository: Repository, start_worker: Callable[..., Worker], sql: Sql
) -> None:
    old = repository.index.send("a", 1)
    sql(
        "INSERT INTO dramatiq.worker (worker_id, host, pid, threads, queues, dead_at, death) "
        "VALUES ('00000000-0000-0000-0000-000000000001', 'gone', 1, 1, '{}', now(), 'a test')"
    )
    sql(
        "UPDATE dramatiq.queue SET state = 'consumed', starts = 1, claim_no = 1, "
        "worker_id = '00000000-0000-0000-0000-000000000001'"
    )
    new = repository.index.send("a", 2)
    assert "merged" not in new.options
    start_worker(keyed_broker)
    repository.let_go.release()
    keyed_broker.join("default", timeout=10_000)
    assert repository.runs == [("a", 2)]
    assert sql("SELECT message_id::text, crashes, merged_into::text FROM dramatiq.done ORDER BY merged_into") == [
        (old.message_id, 1, new.message_id),
        (new.message_id, 1, None),
    ]


def test_of_redriven_jobs_with_one_key_the_newest_is_run(
    keyed_broker: LeaseBroker, repository: Repository, start_worker: Callable[..., Worker], sql: Sql
) -> None:
    died = []
    for commit in range(3):
        died.append(repository.index.send("a", commit).message_id)
        sql("UPDATE dramatiq.queue SET state = 'rejected', reason = 'permanent' WHERE state = 'queued'")
    assert sorted(DeadLetters(keyed_broker).redrive(died)) == sorted(died)
    assert sql("SELECT message_id::text, state::text FROM dramatiq.queue") == [(died[-1], "queued")]
    assert sql("SELECT DISTINCT merged_into::text FROM dramatiq.done") == [(died[-1],)]
    start_worker(keyed_broker)
    repository.let_go.release()
    keyed_broker.join("default", timeout=10_000)
    assert repository.runs == [("a", 2)]


def test_a_transaction_that_rolls_back_leaves_the_waiting_job_as_it_was(
    keyed_broker: LeaseBroker, repository: Repository, database: str, sql: Sql
) -> None:
    first = repository.index.send("a", 1)
    connection = psycopg2.connect(database)
    with connection.cursor() as cursor:
        stored = keyed_broker.enqueue_on(cursor, repository.index.message("a", 2))
        assert stored.message_id == first.message_id
        assert stored.options["merged"]
    connection.rollback()
    connection.close()
    assert sql("SELECT message -> 'args' FROM dramatiq.queue") == [(["a", 1],)]


def test_many_at_once_are_merged_as_one_by_one(keyed_broker: LeaseBroker, repository: Repository, sql: Sql) -> None:
    messages = [repository.index.message(name, commit) for commit in range(5) for name in "ab"]
    plain: dramatiq.Message[None] = dramatiq.Message("default", "index", ("c", 0), {}, {"key": None})
    stored = keyed_broker.enqueue_many([*messages, plain.copy(actor_name="other")])
    assert len({message.message_id for message in stored}) == 3
    assert sql("SELECT message -> 'args' FROM dramatiq.queue ORDER BY message -> 'args'") == [
        (["a", 4],),
        (["b", 4],),
        (["c", 0],),
    ]


@pytest.mark.parametrize("key", ["", "x" * 501, 7])
def test_a_key_that_is_none_is_refused_with_its_bounds(key: Any, keyed_broker: LeaseBroker) -> None:
    with pytest.raises(MessageRefused, match="expected key to be a text of 1 to 500 characters"):
        keyed_broker.enqueue(dramatiq.Message("default", "anything", (), {}, {"key": key}))


def test_a_job_with_a_key_cannot_be_part_of_a_pipeline(keyed_broker: LeaseBroker, repository: Repository) -> None:
    with pytest.raises(MessageRefused, match="expected a job with a key to stand alone"):
        dramatiq.pipeline(
            [repository.index.message("a", 1), repository.index.message("a", 2)], broker=keyed_broker
        ).run()

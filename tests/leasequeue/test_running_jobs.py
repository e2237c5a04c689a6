"""What the API developer sees: a job that was sent is run, and its end is in the tables."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from uuid import uuid4

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker
from dramatiq.errors import QueueJoinTimeout, QueueNotFound
from dramatiq.message import Message
from dramatiq.results import ResultFailure, ResultMissing
from sql_access import Sql
from waiting import wait_until

from leasequeue import (
    Death,
    JobDied,
    LeaseBroker,
    MessageRefused,
    PermanentError,
    Policy,
    SchemaMissing,
    current_lease,
    send_many,
)

from .conftest import POLICY

StartWorker = Callable[..., dramatiq.Worker]


def test_a_job_that_was_sent_before_any_worker_ran_is_run_and_leaves_the_hot_table(
    broker: LeaseBroker, start_worker: StartWorker, sql: Sql
) -> None:
    ran: list[tuple[int, str]] = []

    @dramatiq.actor(broker=broker)
    def remember(number: int, text: str) -> None:
        ran.append((number, text))

    message = remember.send(1, text="käse \u2028 \U0001f9c0")
    assert sql("SELECT state::text FROM dramatiq.queue") == [("queued",)]

    start_worker(broker)
    broker.join("default", timeout=10_000)

    assert ran == [(1, "käse \u2028 \U0001f9c0")]
    assert sql("SELECT count(*) FROM dramatiq.queue") == [(0,)]
    assert sql("SELECT message_id::text, starts, errors FROM dramatiq.done") == [(message.message_id, 1, 0)]


def test_many_jobs_of_many_queues_are_all_run_once(broker: LeaseBroker, start_worker: StartWorker) -> None:
    ran: list[int] = []
    actors = [
        dramatiq.actor(ran.append, broker=broker, actor_name=f"remember_{n}", queue_name=f"queue-{n}")
        for n in range(10)
    ]
    for number in range(500):
        actors[number % 10].send(number)

    start_worker(broker, threads=4)
    for actor in actors:
        broker.join(actor.queue_name, timeout=20_000)

    assert sorted(ran) == list(range(500))


def test_a_delayed_job_is_a_row_and_runs_when_the_database_says_so(
    broker: LeaseBroker, start_worker: StartWorker, sql: Sql
) -> None:
    ran = threading.Event()

    @dramatiq.actor(broker=broker)
    def ring() -> None:
        ran.set()

    @dramatiq.actor(broker=broker)
    def pass_by() -> None:
        pass

    ring.send_with_options(delay=3_600_000)
    start_worker(broker)
    pass_by.send()
    wait_until(lambda: sql("SELECT count(*) FROM dramatiq.done") == [(1,)], 10, "the job without a delay was not run")

    assert sql("SELECT queue_name, state::text, extract(epoch FROM available_at - mtime)::int FROM dramatiq.queue") == [
        ("default", "queued", 3600)
    ]
    assert not ran.is_set()
    sql("UPDATE dramatiq.queue SET available_at = now()")
    assert ran.wait(10)


def test_results_are_part_of_the_job_and_may_be_large(broker: LeaseBroker, start_worker: StartWorker) -> None:
    @dramatiq.actor(broker=broker, store_results=True)
    def repeat(text: str, times: int) -> dict[str, str]:
        return {"text": text * times}

    small, large = repeat.send("a", 3), repeat.send("é", 5_000_000)
    with pytest.raises(ResultMissing):
        small.get_result(backend=broker.backend)

    start_worker(broker)
    assert small.get_result(backend=broker.backend, block=True, timeout=10_000) == {"text": "aaa"}
    assert large.get_result(backend=broker.backend, block=True, timeout=10_000) == {"text": "é" * 5_000_000}


def test_a_result_that_jsonb_refuses_does_not_cost_the_job(
    broker: LeaseBroker, start_worker: StartWorker, sql: Sql
) -> None:
    @dramatiq.actor(broker=broker, store_results=True)
    def answer(text: str) -> str:
        return text * 1 if text == "good" else "a\x00b"

    good, bad = answer.send("good"), answer.send("bad")
    start_worker(broker)
    broker.join("default", timeout=10_000)

    assert good.get_result(backend=broker.backend) == "good"
    with pytest.raises(ResultMissing):
        bad.get_result(backend=broker.backend)
    assert sql("SELECT count(*) FROM dramatiq.done") == [(2,)]


@pytest.mark.parametrize("failures", [1, 2, 3])
def test_each_retry_is_due_exactly_when_the_policy_says(
    failures: int, broker: LeaseBroker, start_worker: StartWorker, sql: Sql
) -> None:
    @dramatiq.actor(broker=broker)
    def fail() -> None:
        raise RuntimeError(f"attempt {current_lease().attempt}")  # type: ignore[union-attr]  # it is running

    fail.send()
    start_worker(broker)
    for failed in range(1, failures + 1):
        wait_until(lambda n=failed: sql("SELECT errors FROM dramatiq.queue") == [(n,)], 10, f"no failure {failed}")  # type: ignore[misc]
        pause = sql("SELECT state::text, extract(epoch FROM available_at - mtime)::float8 FROM dramatiq.queue")
        assert pause == [("queued", {1: 60.0, 2: 120.0, 3: 180.0}[failed])]
        if failed < failures:
            sql("UPDATE dramatiq.queue SET available_at = now()")
    ((error,),) = sql("SELECT error FROM dramatiq.queue")
    assert error.startswith(f"RuntimeError: attempt {failures}\n")
    assert "Traceback" in error


def test_after_the_fourth_failure_the_job_is_dead_with_reason_and_error(
    broker: LeaseBroker, start_worker: StartWorker, sql: Sql
) -> None:
    runs: list[int] = []

    @dramatiq.actor(broker=broker, min_backoff=1, max_backoff=1)
    def fail() -> None:
        runs.append(1)
        raise RuntimeError("no")

    message = fail.send()
    start_worker(broker)
    broker.join("default", timeout=10_000)

    assert len(runs) == 4
    ((message_id, state, reason, errors, error),) = sql(
        "SELECT message_id::text, state::text, reason, errors, error FROM dramatiq.queue"
    )
    assert (message_id, state, reason, errors) == (message.message_id, "rejected", "retries_exhausted", 4)
    assert error.startswith("RuntimeError: no\n")


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("not even this")


@pytest.mark.parametrize(
    ("error", "beginning"),
    [
        (RuntimeError("nul \x00 inside"), "RuntimeError: nul \\x00 inside"),
        (RuntimeError("half \ud800 a pair"), "RuntimeError: half \\ud800 a pair"),
        (Unprintable(), "Unprintable: <its text cannot be had: ValueError>"),
        (RuntimeError("x" * 5_000_000), "RuntimeError: xxx"),
    ],
    ids=["nul", "lone surrogate", "str() raises", "5 MB"],
)
def test_no_error_text_is_a_reason_to_lose_the_job(
    error: Exception, beginning: str, broker: LeaseBroker, start_worker: StartWorker, sql: Sql
) -> None:
    runs: list[int] = []

    @dramatiq.actor(broker=broker, min_backoff=1, max_backoff=1)
    def fail() -> None:
        runs.append(1)
        raise error

    fail.send()
    start_worker(broker)
    broker.join("default", timeout=10_000)

    assert len(runs) == 4
    ((reason, text),) = sql("SELECT reason, error FROM dramatiq.queue")
    assert reason == "retries_exhausted"
    assert text.startswith(beginning)
    assert len(text) < 30_000


def test_a_permanent_error_is_dead_at_once(broker: LeaseBroker, start_worker: StartWorker, sql: Sql) -> None:
    @dramatiq.actor(broker=broker)
    def refuse() -> None:
        raise PermanentError("no such repository")

    @dramatiq.actor(broker=broker, throws=LookupError)
    def throw() -> None:
        raise LookupError("expected")

    refuse.send()
    throw.send()
    start_worker(broker)
    broker.join("default", timeout=10_000)

    rows = sql("SELECT reason, errors, split_part(error, E'\n', 1) FROM dramatiq.queue ORDER BY 3")
    assert rows == [
        ("permanent", 1, "LookupError: expected"),
        ("permanent", 1, "PermanentError: no such repository"),
    ]


def test_a_dead_job_raises_its_exception_where_its_result_is_asked_for(
    broker: LeaseBroker, start_worker: StartWorker
) -> None:
    @dramatiq.actor(broker=broker, store_results=True, max_retries=0)
    def fail() -> None:
        raise RuntimeError("bad \x00 luck")

    message = fail.send()
    start_worker(broker)
    with pytest.raises(ResultFailure, match="actor raised RuntimeError: bad"):
        message.get_result(backend=broker.backend, block=True, timeout=10_000)


def test_a_job_whose_time_is_over_is_dead_and_not_started(
    broker: LeaseBroker, start_worker: StartWorker, sql: Sql
) -> None:
    ran: list[int] = []

    @dramatiq.actor(broker=broker)
    def late() -> None:
        ran.append(1)

    late.send()
    assert sql("SELECT extract(epoch FROM expires_at - enqueued_at)::int FROM dramatiq.queue") == [(24 * 3600,)]
    sql("UPDATE dramatiq.queue SET expires_at = now()")
    start_worker(broker)
    broker.join("default", timeout=10_000)

    assert ran == []
    assert sql("SELECT state::text, reason, errors FROM dramatiq.queue") == [("rejected", "expired", 0)]


def test_one_malformed_row_is_dead_and_its_neighbours_run(
    broker: LeaseBroker, start_worker: StartWorker, sql: Sql
) -> None:
    ran: list[int] = []
    remember = dramatiq.actor(ran.append, broker=broker, actor_name="remember")
    for number in range(6):
        remember.send(number)
    for message in ("null", "[1, 2]", '{"actor_name": "remember"}', '"text"'):
        sql("INSERT INTO dramatiq.queue (message_id, state, message) VALUES (%s, 'queued', %s)", str(uuid4()), message)
    sql("INSERT INTO dramatiq.queue (message_id, state, message) VALUES (%s, 'queued', NULL)", str(uuid4()))
    sql(
        "INSERT INTO dramatiq.queue (message_id, state, message) VALUES (%s, 'queued', jsonb_build_object("
        "'actor_name', 'remember', 'kwargs', '{}'::jsonb, 'args', jsonb_build_array(repeat('x', 20000000))))",
        str(uuid4()),
    )

    start_worker(broker)
    broker.join("default", timeout=20_000)

    assert sorted(ran) == list(range(6))
    assert sql("SELECT reason, count(*) FROM dramatiq.queue WHERE state = 'rejected' GROUP BY 1 ORDER BY 1") == [
        ("unreadable", 6),
    ]
    assert sql("SELECT length(message ->> 'args') FROM dramatiq.queue WHERE error LIKE '%%more than 16777216'") == [
        (20_000_004,)
    ]


def test_a_job_whose_actor_nobody_knows_waits_for_another_release_and_is_run_by_it(
    make_broker: Callable[..., LeaseBroker], start_worker: StartWorker, sql: Sql
) -> None:
    old = make_broker()
    old.enqueue(Message("default", "novelty", (7,), {}, {}))
    start_worker(old)
    old.declare_queue("default")
    put_back = "SELECT starts, errors, crashes FROM dramatiq.queue WHERE state = 'queued' AND unknown_since IS NOT NULL"
    wait_until(lambda: sql(put_back) == [(0, 0, 0)], 10, "it was not put back")

    ran: list[int] = []
    new = make_broker()
    dramatiq.actor(ran.append, broker=new, actor_name="novelty")
    start_worker(new)
    wait_until(lambda: ran == [7], 20, "the release that knows the actor did not get the job")


def test_a_job_whose_actor_nobody_knows_is_dead_when_the_window_of_a_deploy_is_over(
    broker: LeaseBroker, start_worker: StartWorker, sql: Sql
) -> None:
    deaths: list[Death] = []
    broker.on_death = deaths.append
    broker.declare_queue("default")
    broker.enqueue(Message("default", "nobody", (), {}, {}))
    sql("UPDATE dramatiq.queue SET unknown_since = now() - interval '11 minutes'")
    start_worker(broker)
    broker.join("default", timeout=10_000)
    assert sql("SELECT reason, error, starts, attempts FROM dramatiq.queue") == [
        ("unknown_actor", "no worker that had it knows an actor named 'nobody'", 0, None)
    ]
    wait_until(lambda: [death.reason for death in deaths] == ["unknown_actor"], 10, "nobody was told")


def test_an_actor_that_sends_its_own_message_again_is_run_again_without_an_error(
    broker: LeaseBroker, start_worker: StartWorker, sql: Sql
) -> None:
    turns: list[int] = []

    @dramatiq.actor(broker=broker)
    def again() -> None:
        turns.append(1)
        running = current_lease()
        assert running is not None
        if len(turns) < 3:
            broker.enqueue(Message("default", "again", (), {}, {}, message_id=running.message_id))

    again.send()
    start_worker(broker)
    broker.join("default", timeout=10_000)
    wait_until(lambda: sql("SELECT starts, errors FROM dramatiq.done") == [(3, 0)], 10, "not done after three turns")
    assert len(turns) == 3


@pytest.mark.parametrize("argument", ["a\x00b", "\ud800", float("nan")], ids=["nul", "lone surrogate", "nan"])
def test_a_message_that_postgres_cannot_store_fails_at_once(argument: object, broker: LeaseBroker) -> None:
    @dramatiq.actor(broker=broker)
    def take(value: object) -> None:
        pass

    started = time.monotonic()
    with pytest.raises(MessageRefused):
        take.send(argument)
    assert time.monotonic() - started < POLICY.enqueue_timeout / 2


def test_a_send_without_a_schema_makes_it_or_says_so(
    empty_database: str, make_broker: Callable[..., LeaseBroker]
) -> None:
    strict = make_broker(url=empty_database, auto_migrate=False)
    with pytest.raises(SchemaMissing, match="migrated"):
        strict.enqueue(Message("default", "anything", (), {}, {}))

    helpful = make_broker(url=empty_database)
    helpful.enqueue(Message("default", "anything", (), {}, {}))
    assert helpful.ask("unfinished", {"queue_name": "default"}) == [(True,)]


def test_many_messages_are_stored_by_few_statements_and_a_repetition_changes_nothing(
    broker: LeaseBroker, start_worker: StartWorker, sql: Sql
) -> None:
    ran: list[int] = []
    remember = dramatiq.actor(ran.append, broker=broker, actor_name="remember", max_age=60_000)
    messages = [remember.message(number) for number in range(12_000)]

    assert broker.enqueue_many(messages[:2]) == messages[:2]
    broker.enqueue_many(messages)
    assert sql("SELECT count(*), min(expires_at - enqueued_at)::text FROM dramatiq.queue") == [(12_000, "00:01:00")]
    assert sql("SELECT count(DISTINCT xmin::text) < 6 FROM dramatiq.queue") == [(True,)]
    start_worker(broker, threads=4)
    broker.join("default", timeout=30_000)
    assert sorted(ran) == list(range(12_000))


def test_an_actor_is_sent_many_times_at_once(broker: LeaseBroker, start_worker: StartWorker, sql: Sql) -> None:
    sums: list[int] = []

    @dramatiq.actor(broker=broker)
    def add(a: int, b: int) -> None:
        sums.append(a + b)

    messages = send_many(add, [(n, n) for n in range(10)], delay=60_000)
    assert sql("SELECT count(*) FROM dramatiq.queue WHERE available_at > now() + interval '50 s'") == [(len(messages),)]
    send_many(add, [(n, 1) for n in range(10)])
    start_worker(broker)
    wait_until(lambda: sorted(sums) == list(range(1, 11)), 10, "not all were run")

    stranger = dramatiq.actor(lambda: None, broker=StubBroker(), actor_name="stranger")
    with pytest.raises(TypeError, match="expected an actor of a LeaseBroker, got one of a StubBroker"):
        send_many(stranger, [()])


def test_the_same_id_again_replaces_the_job_whatever_state_it_is_in(broker: LeaseBroker, sql: Sql) -> None:
    broker.declare_queue("default")
    first: Message[None] = Message("default", "first", (), {}, {})
    broker.enqueue(first)
    sql("UPDATE dramatiq.queue SET state = 'rejected', reason = 'permanent', error = 'old', errors = 4")
    broker.enqueue(first.copy(actor_name="second"))
    assert sql("SELECT state::text, reason, error, errors, message->>'actor_name' FROM dramatiq.queue") == [
        ("queued", None, None, 0, "second")
    ]


def test_flush_drops_what_waits_and_leaves_the_dead(broker: LeaseBroker, sql: Sql) -> None:
    broker.declare_queue("one")
    broker.declare_queue("two")
    for queue in ("one", "one", "two"):
        broker.enqueue(Message(queue, "anything", (), {}, {}))
    sql("UPDATE dramatiq.queue SET state = 'rejected', reason = 'permanent' WHERE queue_name = 'two'")

    broker.flush("one")
    assert sql("SELECT queue_name, state::text FROM dramatiq.queue") == [("two", "rejected")]
    broker.enqueue(Message("two", "anything", (), {}, {}))
    broker.flush_all()
    assert sql("SELECT queue_name, state::text FROM dramatiq.queue") == [("two", "rejected")]
    with pytest.raises(QueueNotFound):
        broker.flush("three")


def test_join_says_when_its_time_is_over_and_when_a_job_died(broker: LeaseBroker, start_worker: StartWorker) -> None:
    @dramatiq.actor(broker=broker, max_retries=0)
    def fail() -> None:
        raise RuntimeError("told by join")

    fail.send()
    with pytest.raises(QueueJoinTimeout):
        broker.join("default", timeout=100)
    start_worker(broker)
    with pytest.raises(JobDied, match="told by join"):
        broker.join("default", fail_fast=True, timeout=10_000)


def test_pipelines_and_groups_hand_results_on(
    make_broker: Callable[..., LeaseBroker], start_worker: StartWorker
) -> None:
    broker = make_broker()

    @dramatiq.actor(broker=broker, store_results=True)
    def add(a: int, b: int) -> int:
        return a + b

    start_worker(broker)
    pipe = dramatiq.pipeline(
        [add.message(1, 2), add.message_with_options(args=(10,)), add.message_with_options(args=(100,))], broker=broker
    ).run()
    assert pipe.get_result(block=True, timeout=10_000) == 113
    group = dramatiq.group([add.message(n, n) for n in range(20)], broker=broker).run()
    assert list(group.get_results(block=True, timeout=10_000)) == [2 * n for n in range(20)]


def test_a_policy_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="expected lease to be more than two heartbeats"):
        Policy(lease=5, heartbeat=3)

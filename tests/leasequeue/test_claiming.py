"""How jobs are found: what a claim costs, what wakes a worker, and that nothing below the floor is forgotten."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from uuid import uuid4

import dramatiq
import psycopg2
import pytest
from sql_access import Sql
from waiting import wait_until

from leasequeue import LeaseBroker, Policy
from leasequeue.connection import Connection
from leasequeue.consumer import LeaseConsumer
from leasequeue.doorbell import LONGEST_PAUSE, Doorbell, channel_name
from leasequeue.finisher import GROUP_LIMIT, Finisher
from leasequeue.floors import MARGIN, START, Floors
from leasequeue.lease import Done, Lease, LeasedMessage
from leasequeue.queries import Queries

StartWorker = Callable[..., dramatiq.Worker]

#: A poll would be too late for every test here.
NO_POLLS = Policy(poll_interval=30)


def test_a_claim_starts_where_the_last_one_ended_and_looks_from_the_start_now_and_then() -> None:
    floors = Floors()
    assert floors.of(["a", "b"], now=0.0) == [START, START]
    assert floors.sure_until(now=0.0) == float("inf"), "all of the queue was looked at"
    floors.claimed([("a", 100.0), ("a", 101.0)], seconds=0.001)
    assert floors.of(["a", "b"], now=0.1) == [101.0 - MARGIN, START]
    assert floors.sure_until(now=0.1) == pytest.approx(0.4), "what lies below must be looked at soon"
    floors.claimed([("a", 50.0)], seconds=0.001)
    assert floors.of(["a"], now=0.2) == [101.0 - MARGIN]
    assert floors.of(["a"], now=0.6) == [START]
    floors.claimed([], seconds=0.1)
    assert floors.of(["a"], now=1.5) == [101.0 - MARGIN], "a look that took 0.1 s is not made again for 2 s"


def test_a_job_that_appears_below_the_floor_is_run_while_others_keep_coming(
    broker: LeaseBroker, start_worker: StartWorker, sql: Sql
) -> None:
    late = threading.Event()

    @dramatiq.actor(broker=broker)
    def come_late() -> None:
        late.set()

    @dramatiq.actor(broker=broker)
    def pass_by() -> None:
        pass

    start_worker(broker)
    over = threading.Event()

    def keep_sending() -> None:
        while not over.is_set():
            pass_by.send()

    stream = threading.Thread(target=keep_sending)
    stream.start()
    try:
        wait_until(lambda: sql("SELECT count(*) > 50 FROM dramatiq.done") == [(True,)], 10, "the stream does not run")
        message = come_late.message()
        sql(
            "INSERT INTO dramatiq.queue (message_id, state, message, available_at) "
            "VALUES (%s, 'queued', %s, now() - interval '1 day')",
            message.message_id,
            message.encode().decode(),
        )
        assert late.wait(5)
    finally:
        over.set()
        stream.join()


@pytest.mark.parametrize("statement", ["claim", "claim_by_turn"])
@pytest.mark.parametrize("others", [0, 20_000])
def test_a_claim_reads_a_few_pages_whatever_waits_beside_it(
    others: int, statement: str, database: str, sql: Sql
) -> None:
    sql("ALTER TABLE dramatiq.queue SET (autovacuum_enabled = off)")
    sql(
        "INSERT INTO dramatiq.worker (worker_id, host, pid, threads, queues) VALUES (gen_random_uuid(), '', 1, 1, '{}')"
    )
    fill = (
        "INSERT INTO dramatiq.queue (message_id, queue_name, state, message, available_at, reason) "
        "SELECT gen_random_uuid(), %s, %s, '{}', now() + %s::interval, %s FROM generate_series(1, %s)"
    )
    sql(fill, "here", "queued", "0", None, 10)
    sql(fill, "here", "queued", "1 hour", None, others)
    sql(fill, "elsewhere", "queued", "0", None, others)
    sql(fill, "here", "rejected", "0", "permanent", others)
    sql("UPDATE dramatiq.queue SET crashes = 1 WHERE queue_name = 'elsewhere'")
    sql(
        "INSERT INTO dramatiq.queue (message_id, queue_name, state, message, key, fairness_key, turn) "
        "SELECT gen_random_uuid(), 'here', 'queued', '{}', 'a ' || n, 'owner ' || n %% 100, n "
        "FROM generate_series(1, %s) AS n",
        others,
    )
    ((worker_id,),) = sql("SELECT worker_id::text FROM dramatiq.worker")

    connection = psycopg2.connect(database)
    try:
        with connection, connection.cursor() as cursor:
            *settings, claim = Queries("dramatiq")[statement].split(";\n")
            for setting in settings:
                cursor.execute(setting)
            cursor.execute(
                "EXPLAIN (ANALYZE, BUFFERS) " + claim,
                {
                    "worker_id": worker_id,
                    "claim_no": 1,
                    "queues": ["here"],
                    "floors": [START],
                    "turn_floors": [0],
                    "limit": 1,
                    "suspects": 1,
                },
            )
            plan = [line for (line,) in cursor.fetchall()]
    finally:
        connection.close()
    text = "\n".join(plan)
    assert "Seq Scan" not in text
    assert "Sort" not in text
    pages = next(line for line in plan if "Buffers" in line)
    used = sum(int(part.partition("=")[2]) for part in pages.split() if part.startswith(("hit=", "read=")))
    assert used <= 50, text


def test_more_ends_than_one_statement_takes_are_written_without_waiting_for_another_one(
    database: str, sql: Sql
) -> None:
    settled: list[Lease] = []
    finisher = Finisher(
        Queries("dramatiq"),
        url=database,
        label="test",
        worker="test",
        policy=Policy(),
        settled=settled.extend,
        ring=lambda connection, queue_name: None,
    )
    worker_id = str(uuid4())
    sql(
        "INSERT INTO dramatiq.queue (message_id, state, message, worker_id, claim_no) "
        "SELECT gen_random_uuid(), 'consumed', '{}', %s, 1 FROM generate_series(1, %s)",
        worker_id,
        3 * GROUP_LIMIT,
    )
    for (message_id,) in sql("SELECT message_id::text FROM dramatiq.queue"):
        finisher.submit(Lease(message_id, "default", worker_id, 1, outcome=Done()))
    started = time.monotonic()
    finisher.start()
    try:
        wait_until(lambda: len(settled) == 3 * GROUP_LIMIT, 10, "some ends were left lying")
        assert time.monotonic() - started < 0.9, "the rest waited for somebody to come along"
    finally:
        finisher.stop()
        finisher.join(10)
    assert sql("SELECT count(*) FROM dramatiq.done") == [(3 * GROUP_LIMIT,)]


@pytest.mark.parametrize("busy", [0, 1, 2])
def test_a_worker_rests_however_many_of_its_threads_are_busy(
    busy: int,
    make_broker: Callable[..., LeaseBroker],
    start_worker: StartWorker,
    sql: Sql,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[int] = []
    over, running = threading.Event(), threading.Semaphore(0)
    original = Connection.wait

    def counted(connection: Connection, wake_fd: int, timeout: float) -> bool:
        if threading.current_thread().name == "leasequeue claim":
            waits.append(1)
        return original(connection, wake_fd, timeout)

    broker = make_broker(policy=Policy(poll_interval=1, heartbeat=0.1, lease=5))

    @dramatiq.actor(broker=broker)
    def block() -> None:
        running.release()
        assert over.wait(30)

    start_worker(broker, threads=2)
    try:
        for _ in range(busy):
            block.send()
            assert running.acquire(timeout=10)
        monkeypatch.setattr(Connection, "wait", counted)
        ((first,),) = sql("SELECT heartbeat_at FROM dramatiq.worker")
        later = "SELECT heartbeat_at > %s + interval '1.5 s' FROM dramatiq.worker"
        wait_until(lambda: sql(later, first) == [(True,)], 10, "the heart does not beat")
        assert len(waits) < 20
    finally:
        over.set()


def test_a_worker_ends_also_when_a_time_limit_of_its_consumer_was_missed(
    make_broker: Callable[..., LeaseBroker], start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(consumer: LeaseConsumer) -> LeasedMessage | None:
        return consumer._buffer.get()

    # As up to Python 3.12: a process that is held up at the wrong moment waits without a limit.
    monkeypatch.setattr(LeaseConsumer, "__next__", endless)
    broker = make_broker(policy=Policy(heartbeat=0.2, lease=2))
    dramatiq.actor(print, broker=broker, actor_name="unused")
    worker = start_worker(broker)
    stopping = threading.Thread(target=worker.stop, daemon=True)
    stopping.start()
    stopping.join(20)
    ended = not stopping.is_alive()
    for queue_name in broker.queues:
        worker.consumers[queue_name].consumer._buffer.put(None)
    assert ended


def test_an_idle_worker_is_woken_by_the_doorbell(
    make_broker: Callable[..., LeaseBroker], start_worker: StartWorker, sql: Sql
) -> None:
    broker = make_broker(policy=NO_POLLS)
    ran: list[int] = []
    remember = dramatiq.actor(ran.append, broker=broker, actor_name="remember")
    start_worker(broker)
    listening = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'leasequeue claim%%' AND state = 'idle'"
    )
    wait_until(lambda: sql(listening) == [(1,)], 10, "the worker does not listen")
    for number in range(5):
        remember.send(number)
        wait_until(lambda n=number: len(ran) > n, 5, "nobody came to the door")  # type: ignore[misc]


def test_jobs_sent_right_behind_a_ring_are_found_without_a_ring_of_their_own(
    make_broker: Callable[..., LeaseBroker], start_worker: StartWorker
) -> None:
    broker = make_broker(policy=NO_POLLS)
    ran: list[int] = []
    remember = dramatiq.actor(ran.append, broker=broker, actor_name="remember")
    start_worker(broker)
    for number in range(2_000):
        remember.send(number)
    wait_until(lambda: len(ran) == 2_000, 5, "the last jobs of a stream were overlooked")


def test_a_stream_of_jobs_rings_rarely_and_with_empty_payloads(broker: LeaseBroker, direct_database: str) -> None:
    broker.declare_queue("default")
    listener = psycopg2.connect(direct_database)
    listener.autocommit = True
    with listener.cursor() as cursor:
        cursor.execute('LISTEN "dramatiq.default"')
        started = time.monotonic()
        for _ in range(500):
            broker.enqueue(dramatiq.Message("default", "anything", (), {}, {}))
        took = time.monotonic() - started
        cursor.execute("SELECT 1")
    listener.poll()
    # The pauses double from the shortest to the longest; where the machine was busy in between they begin anew.
    assert 1 <= len(listener.notifies) < 50 + 2 * took / LONGEST_PAUSE
    assert {notify.payload for notify in listener.notifies} == {""}
    listener.close()


def test_the_channel_of_a_long_queue_name_fits() -> None:
    assert channel_name("dramatiq", "index-repo") == "dramatiq.index-repo"
    long = channel_name("dramatiq", "q" * 100)
    assert len(long) <= 63
    assert long != channel_name("dramatiq", "q" * 99)


def test_a_bell_that_cannot_be_rung_is_no_error(database: str) -> None:
    connection = Connection(database, "test")
    connection.close()
    Doorbell(Queries("dramatiq"), "dramatiq").ring(connection, "default")


def test_small_jobs_behind_long_ones_go_back_for_other_workers(
    broker: LeaseBroker, start_worker: StartWorker, sql: Sql
) -> None:
    over = threading.Event()

    @dramatiq.actor(broker=broker)
    def tiny() -> None:
        pass

    @dramatiq.actor(broker=broker)
    def long() -> None:
        assert over.wait(30)

    start_worker(broker, threads=2)
    broker.enqueue_many(tiny.message() for _ in range(500))
    broker.join("default", timeout=10_000)
    try:
        # The worker has learnt that jobs are tiny, and claims far ahead.
        broker.enqueue_many([long.message(), long.message(), *(tiny.message() for _ in range(300))])
        states = "SELECT state::text, count(*), max(starts), max(errors) FROM dramatiq.queue GROUP BY 1 ORDER BY 1"
        wait_until(lambda: sql(states) == [("consumed", 2, 1, 0), ("queued", 300, 0, 0)], 5, "they are kept waiting")
    finally:
        over.set()
    broker.join("default", timeout=10_000)


@pytest.mark.direct("it counts sessions with the server, which are the pooler's")
@pytest.mark.parametrize("queues", [1, 30])
def test_a_worker_process_has_three_sessions_for_any_number_of_queues(
    queues: int, make_broker: Callable[..., LeaseBroker], start_worker: StartWorker, sql: Sql
) -> None:
    broker = make_broker()
    ran: list[int] = []
    actors = [
        dramatiq.actor(ran.append, broker=broker, actor_name=f"actor_{n}", queue_name=f"queue-{n}")
        for n in range(queues)
    ]
    start_worker(broker)
    for number, actor in enumerate(actors):
        actor.send(number)
    wait_until(lambda: len(ran) == queues, 20, "not all queues are served")
    sessions = "SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'leasequeue%%' ORDER BY 1"

    def kinds() -> list[str]:
        return [name.split()[1] for (name,) in sql(sessions)]

    wait_until(lambda: kinds() == ["claim", "finish", "keep", "send"], 10, "other sessions than these")

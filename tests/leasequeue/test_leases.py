"""Who owns a job, and what a worker that has lost it can still do: nothing."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable
from uuid import uuid4

import dramatiq
import psycopg2
import pytest
from answer_thief import AnswerThief
from dramatiq.message import Message
from sql_access import Sql
from waiting import let_pass, wait_until

from leasequeue import LeaseBroker, LeaseLost, Policy, current_lease
from leasequeue.connection import Connection
from leasequeue.errors import DatabaseUnavailable
from leasequeue.keeper import COMEBACK_TIME
from leasequeue.lease import Dead, Death, Done, HandBack, Lease, Outcome, Retry

StartWorker = Callable[..., dramatiq.Worker]

#: A policy under which the dead are found while a test waits.
QUICK = Policy(poll_interval=0.05, heartbeat=0.1, lease=1.0)

GIVE_TO_ANOTHER = "UPDATE dramatiq.queue SET worker_id = %s, claim_no = 1, starts = starts + 1 WHERE state = 'consumed'"


class Block:
    """An actor body that tells that it runs and goes on when it is told to."""

    def __init__(self) -> None:
        self.running = threading.Event()
        self.go_on = threading.Event()
        self.lease: Lease | None = None

    def __call__(self) -> None:
        self.lease = current_lease()
        self.running.set()
        assert self.go_on.wait(30)


@pytest.fixture
def block() -> Block:
    return Block()


@pytest.mark.parametrize(
    "outcome",
    [Done(), Retry(0, "an error"), Retry(0, None), Dead("permanent", "an error"), HandBack()],
    ids=["done", "retry", "again", "dead", "hand back"],
)
@pytest.mark.parametrize(
    "now",
    [
        "UPDATE dramatiq.queue SET worker_id = gen_random_uuid()",
        "UPDATE dramatiq.queue SET claim_no = claim_no + 1",
        "UPDATE dramatiq.queue SET state = 'queued', worker_id = NULL, claim_no = NULL, available_at = 'infinity'",
        "UPDATE dramatiq.queue SET state = 'rejected', reason = 'crashed', worker_id = NULL, claim_no = NULL",
        "DELETE FROM dramatiq.queue",
    ],
    ids=["another worker has it", "a later claim of ours has it", "it waits", "it is dead", "it is done"],
)
def test_a_late_end_of_a_run_changes_nothing(
    outcome: Outcome, now: str, broker: LeaseBroker, start_worker: StartWorker, sql: Sql, block: Block
) -> None:
    dramatiq.actor(block, broker=broker, actor_name="block", queue_name="slow", max_retries=0)
    broker.enqueue(Message("slow", "block", (), {}, {}))
    worker = start_worker(broker)
    assert block.running.wait(10)
    assert block.lease is not None

    sql(now)
    everything = (
        "SELECT (SELECT array_agg(q) FROM dramatiq.queue q)::text, (SELECT array_agg(d) FROM dramatiq.done d)::text"
    )
    before = sql(everything)
    block.lease.outcome = outcome
    block.go_on.set()
    worker.stop()

    assert block.lease.lost
    assert sql(everything) == before


def test_an_actor_can_ask_whether_its_lease_is_lost(
    make_broker: Callable[..., LeaseBroker], start_worker: StartWorker, sql: Sql, block: Block
) -> None:
    broker = make_broker(policy=QUICK)
    dramatiq.actor(block, broker=broker, actor_name="block")
    broker.enqueue(Message("default", "block", (), {}, {}))
    start_worker(broker)
    assert block.running.wait(10)
    assert block.lease is not None
    assert not block.lease.lost

    sql(GIVE_TO_ANOTHER, str(uuid4()))
    lease = block.lease
    wait_until(lambda: lease.lost, 10, "the lease was not noticed to be lost")
    block.go_on.set()


def test_a_write_of_the_application_can_be_made_to_depend_on_the_lease(
    make_broker: Callable[..., LeaseBroker], start_worker: StartWorker, sql: Sql, database: str
) -> None:
    broker = make_broker(policy=QUICK)
    sql("CREATE TABLE published (attempt integer)")
    told: list[str] = []
    taken_away = threading.Event()

    @dramatiq.actor(broker=broker)
    def publish(take_away: bool) -> None:
        connection = psycopg2.connect(database)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute("INSERT INTO published VALUES (1)")
                if take_away:
                    sql(GIVE_TO_ANOTHER, str(uuid4()))
                broker.hold_lease(cursor)
        except LeaseLost:
            told.append("lost")
            taken_away.set()
            raise
        finally:
            connection.close()

    start_worker(broker)
    publish.send(False)
    broker.join("default", timeout=10_000)
    assert sql("SELECT count(*) FROM published") == [(1,)]
    publish.send(True)
    assert taken_away.wait(10)
    assert told == ["lost"]
    assert sql("SELECT count(*) FROM published") == [(1,)]


def test_holding_a_lease_outside_of_an_actor_is_a_mistake_that_is_named(broker: LeaseBroker) -> None:
    with pytest.raises(RuntimeError, match="expected to be called by a running actor"):
        broker.hold_lease(None)
    assert current_lease() is None


def dead_worker(sql: Sql, *, holding: int, silent_seconds: float, session_ended: bool) -> str:
    """A worker in the table that claimed all waiting jobs and was then heard of no more.

    On a server that is older than an outage: on one that has just started, everybody has time to come back.
    """
    age = "SELECT extract(epoch FROM now() - pg_postmaster_start_time())::float8"
    wait_until(lambda: sql(age)[0][0] > COMEBACK_TIME + 1, 2 * COMEBACK_TIME, "the server does not grow older")
    ((worker_id,),) = sql(
        "INSERT INTO dramatiq.worker (worker_id, host, pid, threads, queues, heartbeat_at, backend_pid, backend_start) "
        "SELECT gen_random_uuid(), 'elsewhere', 1, 1, '{}', now() - %s * interval '1 second', "
        "CASE WHEN %s THEN 1 ELSE pid END, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid() "
        "RETURNING worker_id::text",
        silent_seconds,
        session_ended,
    )
    sql(
        "UPDATE dramatiq.queue SET state = 'consumed', worker_id = %s, claim_no = 1, starts = 1 "
        "WHERE message_id IN (SELECT message_id FROM dramatiq.queue WHERE state = 'queued' LIMIT %s)",
        worker_id,
        holding,
    )
    return str(worker_id)


@pytest.mark.parametrize(
    ("silent_seconds", "session_ended", "presumed_dead"),
    [(5.0, False, True), (0.5, True, True), (0.5, False, False), (0.0, True, False)],
    ids=["silent for a lease", "its session ended", "only late", "its session ended just now"],
)
def test_jobs_of_a_worker_that_is_presumed_dead_are_run_by_another(
    silent_seconds: float,
    session_ended: bool,
    presumed_dead: bool,
    make_broker: Callable[..., LeaseBroker],
    start_worker: StartWorker,
    sql: Sql,
) -> None:
    policy = Policy(poll_interval=0.05, heartbeat=0.4, lease=4.0 if not presumed_dead or session_ended else 1.0)
    broker = make_broker(policy=policy)
    ran: list[int] = []
    remember = dramatiq.actor(ran.append, broker=broker, actor_name="remember")
    remember.send(1)
    dead = dead_worker(sql, holding=1, silent_seconds=silent_seconds, session_ended=session_ended)
    if not presumed_dead:
        # It goes on beating: it must never be judged, however long we look.
        sql("UPDATE dramatiq.worker SET heartbeat_at = now() + interval '10 seconds' WHERE worker_id = %s", dead)
    start_worker(broker)
    if presumed_dead:
        broker.join("default", timeout=15_000)
        assert ran == [1]
        assert sql("SELECT starts, crashes FROM dramatiq.done") == [(2, 1)]
    else:
        beats = "SELECT count(*) FROM dramatiq.worker WHERE dead_at IS NULL AND worker_id = %s"
        remember.send(2)
        wait_until(lambda: sql("SELECT count(*) FROM dramatiq.done") == [(1,)], 10, "the other job was not run")
        assert sql(beats, dead) == [(1,)]
        assert sql("SELECT state::text, crashes FROM dramatiq.queue") == [("consumed", 0)]


def test_a_job_that_was_there_when_three_workers_died_is_dead_and_somebody_is_told(
    make_broker: Callable[..., LeaseBroker], start_worker: StartWorker, sql: Sql, caplog: pytest.LogCaptureFixture
) -> None:
    deaths: list[Death] = []
    broker = make_broker(policy=Policy(poll_interval=0.05, heartbeat=0.4, lease=1.0))
    broker.on_death = deaths.append
    broker.declare_queue("default")
    broker.enqueue(Message("default", "killer", (), {}, {}))
    sql("UPDATE dramatiq.queue SET crashes = 2")
    dead_worker(sql, holding=1, silent_seconds=5, session_ended=False)
    start_worker(broker)

    wait_until(lambda: deaths, 10, "nobody was told of the death")
    ((state, reason, error),) = sql("SELECT state::text, reason, error FROM dramatiq.queue")
    assert (state, reason) == ("rejected", "crashed")
    assert re.fullmatch(
        r"crashed 3 times: its worker \(pid 1 on elsewhere\) died or stopped answering: it was silent for [5-9] s",
        error,
    )
    ((attempt,),) = sql("SELECT attempts -> 0 FROM dramatiq.queue")
    assert (attempt["outcome"], attempt["worker"]) == ("crashed", "pid 1 on elsewhere")
    assert deaths == [Death(deaths[0].message_id, "default", "crashed", error)]
    assert f"job_rescued job_id={deaths[0].message_id} queue=default state=dead crashes=3" in caplog.text


def test_a_job_that_was_there_when_a_worker_died_runs_alone_and_is_marked_before_it_starts(
    broker: LeaseBroker, start_worker: StartWorker, sql: Sql
) -> None:
    running: list[int] = []
    seen: list[tuple[bool, int, bool]] = []

    @dramatiq.actor(broker=broker)
    def look(number: int) -> None:
        lease = current_lease()
        assert lease is not None
        running.append(number)
        ((begun,),) = sql("SELECT begun FROM dramatiq.queue WHERE message_id = %s", lease.message_id)
        let_pass(0.1)
        seen.append((lease.is_suspect, len(running), begun))
        running.remove(number)

    messages = [look.message(number) for number in range(12)]
    broker.enqueue_many(messages)
    suspects = [message.message_id for message in messages[::4]]
    sql("UPDATE dramatiq.queue SET crashes = 1 WHERE message_id = ANY (%s::uuid[])", suspects)
    start_worker(broker, threads=3)
    broker.join("default", timeout=20_000)
    assert [company for is_suspect, company, _ in seen if is_suspect] == [1, 1, 1]
    assert max(company for _, company, _ in seen) == 3
    assert all(begun for _, _, begun in seen)


def test_a_worker_that_was_judged_dead_goes_on_under_a_new_name(
    make_broker: Callable[..., LeaseBroker], start_worker: StartWorker, sql: Sql
) -> None:
    broker = make_broker(policy=QUICK)
    ran: list[int] = []
    remember = dramatiq.actor(ran.append, broker=broker, actor_name="remember")
    start_worker(broker)
    ((before,),) = sql("SELECT worker_id FROM dramatiq.worker")
    sql("UPDATE dramatiq.worker SET dead_at = now()")
    wait_until(
        lambda: sql("SELECT count(*) FROM dramatiq.worker WHERE dead_at IS NULL AND worker_id <> %s", before) == [(1,)],
        10,
        "the worker did not register again",
    )
    remember.send(1)
    wait_until(lambda: ran == [1], 10, "nothing is claimed under the new name")


def test_a_claim_whose_answer_was_lost_is_handed_back(
    make_broker: Callable[..., LeaseBroker], start_worker: StartWorker, sql: Sql, database: str
) -> None:
    with AnswerThief(database) as network:
        broker = make_broker(url=network.url, policy=QUICK)
        ran: list[int] = []
        remember = dramatiq.actor(ran.append, broker=broker, actor_name="remember")
        start_worker(broker)
        remember.send(1)
        broker.join("default", timeout=10_000)

        message = remember.send_with_options(args=(2,), delay=3_600_000)
        network.steal(message.message_id)
        sql("UPDATE dramatiq.queue SET available_at = now()")
        assert network.stolen.wait(10)
        assert sql("SELECT state::text FROM dramatiq.queue") == [("consumed",)]

        done = "SELECT starts, errors, crashes FROM dramatiq.done WHERE message_id = %s"
        wait_until(lambda: sql(done, message.message_id) == [(1, 0, 0)], 15, "the claimed job was forgotten")
        assert ran == [1, 2]


def test_unstarted_jobs_are_handed_back_at_once_when_the_worker_stops_and_nothing_is_charged(
    broker: LeaseBroker, start_worker: StartWorker, sql: Sql, block: Block
) -> None:
    dramatiq.actor(block, broker=broker, actor_name="block")
    for _ in range(5):
        broker.enqueue(Message("default", "block", (), {}, {}))
    worker = start_worker(broker, threads=1)
    assert block.running.wait(10)
    stopping = threading.Thread(target=worker.stop)
    stopping.start()
    try:
        wait_until(
            lambda: sql("SELECT count(*) FROM dramatiq.queue WHERE state = 'queued' AND starts = 0") == [(4,)],
            5,
            "the unstarted jobs were not handed back",
        )
        assert sql("SELECT draining FROM dramatiq.worker") in ([(False,)], [(True,)])
    finally:
        block.go_on.set()
        stopping.join(20)
    assert sql("SELECT count(*) FROM dramatiq.done") == [(1,)]
    assert sql("SELECT count(*), max(starts), max(errors), max(crashes) FROM dramatiq.queue") == [(4, 0, 0, 0)]
    assert sql("SELECT count(*) FROM dramatiq.worker") == [(0,)]


def test_at_the_end_of_the_drain_running_jobs_are_interrupted_and_handed_back(
    make_broker: Callable[..., LeaseBroker], start_worker: StartWorker, sql: Sql
) -> None:
    broker = make_broker(policy=Policy(poll_interval=0.05, drain=0.2))
    running = threading.Event()
    pause = threading.Event()

    @dramatiq.actor(broker=broker)
    def for_ever() -> None:
        running.set()
        while True:
            pause.wait(0.01)

    for_ever.send()
    worker = start_worker(broker)
    assert running.wait(10)
    worker.stop()
    assert sql("SELECT state::text, starts, errors, crashes FROM dramatiq.queue") == [("queued", 0, 0, 0)]


def test_an_attempt_is_a_run_that_ended_badly_and_one_more() -> None:
    assert Lease("id", "queue", "worker", 1).attempt == 1
    assert Lease("id", "queue", "worker", 1, errors=1, crashes=1).attempt == 3


@pytest.mark.direct("it stops the server's process of a session, which is the pooler's")
def test_a_call_to_a_server_that_has_stopped_answering_ends_at_its_deadline(database: str) -> None:
    connection = Connection(database, "test")
    pid = connection.backend_pid
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(DatabaseUnavailable, match="did not answer in time"):
            connection.execute("SELECT 1", timeout=0.3)
        assert connection.closed
    finally:
        os.kill(pid, signal.SIGCONT)


def test_an_idle_session_that_the_server_ended_is_noticed_before_it_is_lent(broker: LeaseBroker, sql: Sql) -> None:
    broker.declare_queue("default")
    broker.enqueue(Message("default", "anything", (), {}, {}))
    sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'leasequeue send'"
    )
    wait_until(
        lambda: (
            sql(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'leasequeue send'"
            )
            == [(0,)]
        )
    )
    broker.enqueue(Message("default", "anything", (), {}, {}))
    assert sql("SELECT count(*) FROM dramatiq.queue") == [(2,)]

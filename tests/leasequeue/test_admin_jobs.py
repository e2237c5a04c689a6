"""Queues and jobs in an operator's hands: pausing, cancelling, removing."""

from __future__ import annotations

import threading
from collections.abc import Callable

import dramatiq
import pytest
from dead_jobs import bury
from dramatiq.middleware import Interrupt, SkipMessage
from sql_access import Sql
from waiting import wait_until

from leasequeue import LeaseBroker, LeaseLost, Policy, current_lease
from leasequeue.admin import Admin, DeadLetters, Jobs, Kind, Queues
from leasequeue.interruption import interrupt, run_is_over
from leasequeue.lease import Lease

StartWorker = Callable[..., dramatiq.Worker]

#: A worker that looks at what it holds ten times a second.
QUICK = Policy(poll_interval=0.05, heartbeat=0.1, lease=1.0)


class Busy:
    """An actor body that runs until it is interrupted, and tells by what."""

    def __init__(self) -> None:
        self.running = threading.Event()
        self.ended_by: list[BaseException] = []
        self.lease: Lease | None = None

    def __call__(self) -> None:
        self.lease = current_lease()
        self.running.set()
        pause = threading.Event()
        try:
            for _ in range(3_000):
                pause.wait(0.01)
        except Interrupt as interruption:
            self.ended_by.append(interruption)
            raise


def test_a_paused_queue_accepts_jobs_and_starts_none_whatever_other_queues_do(
    broker: LeaseBroker, start_worker: StartWorker, sql: Sql
) -> None:
    ran: list[str] = []
    here = dramatiq.actor(ran.append, broker=broker, actor_name="here", queue_name="here")
    there = dramatiq.actor(ran.append, broker=broker, actor_name="there", queue_name="there")
    start_worker(broker)
    queues = Queues(broker)

    assert queues.pause("here")
    assert not queues.pause("here"), "it was paused already"
    here.send("here")
    there.send("there")
    broker.join("there", timeout=5_000)
    assert ran == ["there"]
    assert sql("SELECT state::text FROM dramatiq.queue") == [("queued",)]
    assert [each.facts.name for each in queues.report() if each.paused_at is not None] == ["here"]

    assert queues.resume("here")
    assert not queues.resume("here")
    broker.join("here", timeout=5_000)
    assert ran == ["there", "here"]


def test_a_pause_holds_for_jobs_that_were_there_when_a_worker_died(
    broker: LeaseBroker, start_worker: StartWorker, sql: Sql
) -> None:
    ran: list[int] = []
    actor = dramatiq.actor(ran.append, broker=broker, actor_name="remember")
    other = dramatiq.actor(ran.append, broker=broker, actor_name="other", queue_name="other")
    Queues(broker).pause("default")
    actor.send(1)
    sql("UPDATE dramatiq.queue SET crashes = 1")
    start_worker(broker)
    other.send(2)
    broker.join("other", timeout=5_000)
    assert ran == [2]
    Queues(broker).resume("default")
    broker.join("default", timeout=5_000)
    assert ran == [2, 1]


def test_a_report_counts_what_is_where_and_how_fast_it_goes(broker: LeaseBroker, sql: Sql) -> None:
    bury(sql, 2, queue="here")
    broker.declare_queue("here")
    broker.enqueue(dramatiq.Message("here", "work", (), {}, {}))
    broker.enqueue(dramatiq.Message("here", "work", (), {}, {}), delay=60_000)
    sql(
        "INSERT INTO dramatiq.done SELECT gen_random_uuid(), 'here', NULL, NULL, NULL, now(), now(),"
        " now() - n * interval '1 minute', 1, 0, 0, now() + interval '1 hour' - n * interval '1 minute'"
        " FROM generate_series(0, 9) AS n"
    )

    (report,) = Queues(broker).report()

    facts = report.facts
    assert (facts.name, facts.ready, facts.scheduled, facts.running, facts.dead) == ("here", 1, 1, 0, 2)
    assert report.completed_per_second == pytest.approx(5 / 300), "five of them within the last five minutes"


def test_a_waiting_job_that_is_cancelled_is_recorded_and_never_run(broker: LeaseBroker, sql: Sql) -> None:
    broker.declare_queue("default")
    message = broker.enqueue(dramatiq.Message("default", "work", (), {}, {}))

    (cancelled,) = Jobs(broker).cancel([message.message_id])

    assert (cancelled.state, cancelled.error) == ("ready", "cancelled while it was waiting")
    assert sql("SELECT state::text, reason, error FROM dramatiq.queue") == [
        ("rejected", "cancelled", "cancelled while it was waiting")
    ]
    assert Jobs(broker).cancel([message.message_id]) == [], "it waits no more"
    assert Admin(broker).snapshot().queues[0].dead == 0, "it is nobody's concern"
    assert DeadLetters(broker).redrive([message.message_id]) == [message.message_id]


def test_a_running_job_that_is_cancelled_is_interrupted_and_nothing_it_does_counts(
    make_broker: Callable[..., LeaseBroker], start_worker: StartWorker, sql: Sql
) -> None:
    broker = make_broker(policy=QUICK)
    busy = Busy()
    dramatiq.actor(busy, broker=broker, actor_name="busy")
    ran: list[int] = []
    after = dramatiq.actor(ran.append, broker=broker, actor_name="after")
    message = broker.enqueue(dramatiq.Message("default", "busy", (), {}, {}))
    worker = start_worker(broker, threads=1)
    assert busy.running.wait(10)

    (listed,) = Jobs(broker).running(limit=10)
    assert (listed.message_id, listed.pid is not None) == (message.message_id, True)
    (cancelled,) = Jobs(broker).cancel([message.message_id])

    assert cancelled.state == "running"
    assert cancelled.error.startswith("cancelled while it was running (pid ")
    wait_until(lambda: busy.ended_by, 5, "the actor is interrupted")
    assert isinstance(busy.ended_by[0], LeaseLost)
    after.send(1)
    broker.join("default", timeout=5_000)
    assert ran == [1], "the thread goes on with other jobs"
    assert [thread.is_alive() for thread in worker.workers] == [True]
    assert sql("SELECT state::text, reason, jsonb_path_query_array(attempts, '$.outcome') FROM dramatiq.queue") == [
        ("rejected", "cancelled", ["cancelled"])
    ]


def test_a_job_that_was_lost_before_a_thread_took_it_is_not_started(broker: LeaseBroker) -> None:
    dramatiq.actor(lambda: None, broker=broker, actor_name="work")
    broker.enqueue(dramatiq.Message("default", "work", (), {}, {}))
    claimed = next(broker.consume("default", timeout=10_000))
    assert claimed is not None
    claimed.lease.lost = True

    with pytest.raises(SkipMessage):
        broker.emit_before("process_message", claimed)
    broker.emit_after("skip_message", claimed)


def test_an_interruption_reaches_a_run_and_nothing_behind_it() -> None:
    lease = Lease("id", "queue", "worker", 1)
    assert not interrupt(lease, LeaseLost), "it does not run"

    lease.thread_id = threading.get_ident()
    with pytest.raises(LeaseLost):
        interrupt(lease, LeaseLost)
    run_is_over(lease)
    assert lease.thread_id is None
    assert not interrupt(lease, LeaseLost)


@pytest.mark.parametrize(
    ("kind", "left"),
    [
        ("waiting", {"running": 1, "dead": 2, "discarded": 1, "completed": 2, "elsewhere": 1}),
        ("dead", {"waiting": 1_500, "running": 1, "discarded": 1, "completed": 2, "elsewhere": 1}),
        ("discarded", {"waiting": 1_500, "running": 1, "dead": 2, "completed": 2, "elsewhere": 1}),
        ("completed", {"waiting": 1_500, "running": 1, "dead": 2, "discarded": 1, "elsewhere": 1}),
    ],
)
def test_what_is_removed_is_gone_for_good_and_nothing_else_is(
    kind: Kind, left: dict[str, int], broker: LeaseBroker, sql: Sql
) -> None:
    bury(sql, 2, queue="here")
    bury(sql, 1, queue="here", reason="discarded")
    fill = (
        "INSERT INTO dramatiq.queue (message_id, queue_name, state, message, worker_id, claim_no) "
        "SELECT gen_random_uuid(), %s, %s, '{}', %s, %s FROM generate_series(1, %s)"
    )
    sql(fill, "here", "queued", None, None, 1_500)
    sql(fill, "elsewhere", "queued", None, None, 1)
    sql(fill, "here", "consumed", "11111111-1111-4111-8111-111111111111", 1, 1)
    sql(
        "INSERT INTO dramatiq.done SELECT gen_random_uuid(), 'here', NULL, NULL, NULL, now(), now(), now(), 1, 0, 0,"
        " now() FROM generate_series(1, 2)"
    )
    jobs = Jobs(broker)
    removed = {"waiting": 1_500, "dead": 2, "discarded": 1, "completed": 2}[kind]
    assert jobs.count("here", kind) == removed

    assert sum(jobs.remove("here", kind)) == removed

    counts = sql(
        "SELECT CASE WHEN queue_name <> 'here' THEN queue_name WHEN state = 'queued' THEN 'waiting'"
        " WHEN state = 'consumed' THEN 'running' WHEN reason = 'discarded' THEN reason ELSE 'dead' END, count(*)"
        " FROM dramatiq.queue GROUP BY 1 UNION ALL SELECT 'completed', count(*) FROM dramatiq.done HAVING count(*) > 0"
    )
    assert dict(counts) == left
    assert jobs.count("here", kind) == 0


def test_what_is_sent_while_waiting_jobs_are_removed_stays(broker: LeaseBroker, sql: Sql) -> None:
    broker.declare_queue("here")
    broker.enqueue_many(dramatiq.Message("here", "work", (), {}, {}) for _ in range(1_500))
    for _ in Jobs(broker).remove("here", "waiting"):
        broker.enqueue(dramatiq.Message("here", "work", (), {}, {}))

    assert sql("SELECT count(*) FROM dramatiq.queue") == [(2,)]


def test_waiting_jobs_are_listed_in_the_order_in_which_they_are_due(broker: LeaseBroker) -> None:
    for queue in ("a", "b"):
        broker.declare_queue(queue)
    sent = [broker.enqueue(dramatiq.Message(queue, "work", (), {}, {})) for queue in ("a", "b", "a")]
    later = broker.enqueue(dramatiq.Message("b", "work", (), {}, {}), delay=60_000)
    jobs = Jobs(broker)

    assert [job.message_id for job in jobs.waiting(limit=10)] == [message.message_id for message in sent]
    assert [job.message_id for job in jobs.waiting("a", limit=1)] == [sent[0].message_id]
    assert [job.message_id for job in jobs.waiting(limit=10, scheduled=True)] == [later.message_id]


def test_a_redriven_job_that_succeeds_keeps_what_became_of_its_earlier_runs(
    broker: LeaseBroker, start_worker: StartWorker, sql: Sql
) -> None:
    dramatiq.actor(lambda number: None, broker=broker, actor_name="work")
    (job,) = bury(sql, 1)
    assert DeadLetters(broker).redrive([job]) == [job]
    start_worker(broker)
    broker.join("default", timeout=10_000)

    wait_until(lambda: sql("SELECT count(*) FROM dramatiq.done") == [(1,)], 10, "it is not done")
    facts = Admin(broker).job(job)
    assert facts is not None
    assert (facts.state, facts.errors) == ("completed", 0)
    assert [each["outcome"] for each in facts.attempts] == ["error", "redriven"]
    assert facts.attempts[-1]["error"].startswith("retries_exhausted: ")

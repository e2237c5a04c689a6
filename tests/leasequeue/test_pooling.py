"""What stands between a worker and its database is found out, said once, and made up for: on real pgbouncers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from urllib.parse import urlsplit, urlunsplit

import dramatiq
import psycopg2
import pytest
from sql_access import Sql
from throwaway_pgbouncer import PROGRAM, Pooler
from waiting import let_pass, wait_until

from leasequeue import LeaseBroker, Policy, WrongDatabase
from leasequeue.connection import Connection
from leasequeue.doorbell import LONGEST_PAUSE
from leasequeue.floors import LOOK_EVERY as FLOORS_LOOK_EVERY
from leasequeue.middleware import BootFailed
from leasequeue.pooling import Kind, Way, find_way, kind_of
from leasequeue.queries import Queries

StartWorker = Callable[..., dramatiq.Worker]
StartPooler = Callable[..., str]

pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed: apt-get install pgbouncer"),
    pytest.mark.direct("it starts poolers of its own"),
]

QUERIES = Queries("dramatiq")

#: A poll would be too late.
NO_POLLS = Policy(poll_interval=30)


@pytest.fixture
def start_pooler(database: str) -> Iterator[StartPooler]:
    """Starts a pooler before this test's database and returns the URL through it: ``start_pooler(mode="session")``."""
    with ExitStack() as running:
        yield lambda **options: running.enter_context(Pooler(database, **options)).url_of(database)


def way_of(url: str) -> Way:
    with closing(Connection(url, "test")) as one, closing(Connection(url, "test")) as other:
        return find_way(one, other, QUERIES)


def way_of_worker(broker: LeaseBroker) -> Way:
    def way() -> Way | None:
        assert broker.worker_session is not None
        return broker.worker_session.way

    found = wait_until(way, 10, "the worker does not know its way")
    assert found is not None
    return found


def test_the_direct_way_is_told_from_both_kinds_of_poolers(database: str, start_pooler: StartPooler) -> None:
    assert way_of(database) == Way(Kind.DIRECT, notified=True)
    assert way_of(start_pooler(mode="session")) == Way(Kind.SESSION_POOLER, notified=True)
    assert way_of(start_pooler(mode="transaction")) == Way(Kind.TRANSACTION_POOLER, notified=False)


def test_a_pool_of_a_single_session_is_no_trap_and_none_of_the_queues_is_listened_for_on_it(
    start_pooler: StartPooler, make_broker: Callable[..., LeaseBroker], start_worker: StartWorker
) -> None:
    url = start_pooler(pool_size=1)
    broker = make_broker(url=url)
    broker.declare_queue("default")
    start_worker(broker)
    assert way_of_worker(broker).kind is Kind.TRANSACTION_POOLER
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_listening_channels()")
        assert cursor.fetchall() == [], "whoever has this session next would be told of our jobs, and never read it"


def test_a_transaction_pooler_whose_sessions_happen_to_stay_is_found_out_by_what_it_does_not_deliver(
    start_pooler: StartPooler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leasequeue.pooling.kind_of", lambda *_: Kind.SESSION_POOLER)
    monkeypatch.setattr("leasequeue.pooling.NOTIFICATION_TIMEOUT", 0.3)
    assert way_of(start_pooler()) == Way(Kind.TRANSACTION_POOLER, notified=False)


def test_a_transaction_pooler_is_recognized_while_others_use_it(start_pooler: StartPooler) -> None:
    url = start_pooler()
    over = threading.Event()

    def use_it() -> None:
        with closing(Connection(url, "other")) as connection:
            while not over.is_set():
                connection.execute("SELECT pg_sleep(0.001)", timeout=5)

    others = [threading.Thread(target=use_it) for _ in range(3)]
    for other in others:
        other.start()
    try:
        with closing(Connection(url, "test")) as one, closing(Connection(url, "test")) as other_one:
            kinds = {kind_of(one, other_one, QUERIES) for _ in range(20)}
    finally:
        over.set()
        for other in others:
            other.join()
    assert kinds == {Kind.TRANSACTION_POOLER}


@pytest.mark.parametrize(
    ("mode", "said", "notified"),
    [("session", "pooler_found connection=session_pooler", True),
     ("transaction", "notifications_unavailable connection=transaction_pooler", False)],
)  # fmt: skip
def test_a_worker_behind_a_pooler_says_once_what_does_not_work_and_its_row_has_it(
    mode: str,
    said: str,
    notified: bool,
    start_pooler: StartPooler,
    make_broker: Callable[..., LeaseBroker],
    start_worker: StartWorker,
    sql: Sql,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    broker = make_broker(url=start_pooler(mode=mode, pool_size=8), policy=Policy(heartbeat=0.1, lease=1.0))
    ran: list[int] = []
    remember = dramatiq.actor(ran.append, broker=broker, actor_name="remember")
    start_worker(broker)
    assert way_of_worker(broker).notified is notified
    remember.send(1)
    wait_until(lambda: ran, 10, "the job was not run")
    in_row = "SELECT (loops ->> 'notified')::boolean, backend_pid FROM dramatiq.worker"
    wait_until(lambda: sql(in_row) == [(notified, None)], 10, "the row does not have it")

    # A new session is no news.
    sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE 'leasequeue%%'"
    )
    remember.send(2)
    wait_until(lambda: ran == [1, 2], 10, "the second job was not run")
    assert caplog.text.count(said) == 1
    assert caplog.text.count("LISTEN delivers nothing") == (0 if notified else 1)


def test_behind_a_session_pooler_an_idle_worker_is_woken(
    start_pooler: StartPooler, make_broker: Callable[..., LeaseBroker], start_worker: StartWorker
) -> None:
    url = start_pooler(mode="session", pool_size=8)
    broker, sender = make_broker(url=url, policy=NO_POLLS), make_broker(url=url)
    ran: list[int] = []
    remember = dramatiq.actor(ran.append, broker=broker, actor_name="remember")
    start_worker(broker)
    way_of_worker(broker)
    for number in range(3):
        sender.enqueue(remember.message(number))
        wait_until(lambda n=number: len(ran) > n, 5, "nobody came to the door")  # type: ignore[misc]


def test_without_notifications_a_worker_looks_often_behind_its_last_job_and_rarely_when_idle(
    start_pooler: StartPooler,
    make_broker: Callable[..., LeaseBroker],
    start_worker: StartWorker,
    sql: Sql,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []
    original = Connection.wait

    def noted(connection: Connection, wake_fd: int, timeout: float) -> bool:
        if threading.current_thread().name == "leasequeue claim":
            pauses.append(timeout)
        return original(connection, wake_fd, timeout)

    bound = 0.6
    url = start_pooler()
    broker, sender = make_broker(url=url, policy=Policy(poll_interval=bound)), make_broker(url=url)
    ran: list[int] = []
    remember = dramatiq.actor(ran.append, broker=broker, actor_name="remember")
    start_worker(broker)
    way_of_worker(broker)
    monkeypatch.setattr(Connection, "wait", noted)
    # Idle: it looks once an interval.
    wait_until(lambda: pauses[-2:] == [pytest.approx(bound)] * 2, 10, "it does not come to rest")

    sender.enqueue(remember.message(1))
    wait_until(lambda: ran == [1], 5, "the job was not run")
    pauses.clear()
    wait_until(lambda: len(pauses) > 3 and pauses[-1] == pytest.approx(bound), 10, "it does not come to rest")
    growing = [pause for pause in pauses if pause < bound]
    assert min(growing) < LONGEST_PAUSE
    assert 8 < len(growing) < 25, "it gives up at once, or never comes to rest"

    # A stream of jobs that never waits for the interval.
    for number in range(2, 12):
        sender.enqueue(remember.message(number))
        wait_until(lambda n=number: n in ran, 5, "a job was overlooked")  # type: ignore[misc]
    ((slowest,),) = sql(
        "SELECT extract(epoch FROM max(started_at - enqueued_at))::float8 FROM dramatiq.done "
        "WHERE (message #>> '{args,0}')::integer > 2"
    )
    assert slowest < bound / 2


def test_what_a_worker_sends_itself_does_not_wait_for_a_poll(
    start_pooler: StartPooler,
    make_broker: Callable[..., LeaseBroker],
    start_worker: StartWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("leasequeue.claimer.POLL_GROWTH", 1e6)  # it is at rest as soon as it has nothing to do
    broker = make_broker(url=start_pooler(), policy=NO_POLLS)
    ran: list[int] = []
    remember = dramatiq.actor(ran.append, broker=broker, actor_name="remember")
    start_worker(broker)
    way_of_worker(broker)
    for number in range(3):
        let_pass(2 * FLOORS_LOOK_EVERY)  # it has looked at all of the queue, too
        remember.send(number)
        wait_until(lambda n=number: len(ran) > n, 5, "it waits for the poll")  # type: ignore[misc]


def test_with_a_direct_url_notifications_arrive_although_claims_go_through_a_transaction_pooler(
    start_pooler: StartPooler,
    database: str,
    make_broker: Callable[..., LeaseBroker],
    start_worker: StartWorker,
    sql: Sql,
) -> None:
    url = start_pooler()
    broker, sender = make_broker(url=url, direct_url=database, policy=NO_POLLS), make_broker(url=url)
    ran: list[int] = []
    remember = dramatiq.actor(ran.append, broker=broker, actor_name="remember")
    start_worker(broker)
    assert way_of_worker(broker) == Way(Kind.TRANSACTION_POOLER, notified=True)
    listening = (
        "SELECT pid FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE 'leasequeue listen%%' AND state = 'idle'"
    )
    for number in range(4):
        ((pid,),) = wait_until(lambda: sql(listening), 5, "nobody listens")
        wait_until(lambda: way_of_worker(broker).notified, 5, "it does not hear")
        let_pass(0.5)  # it looks no more by itself
        sender.enqueue(remember.message(number))
        wait_until(lambda n=number: len(ran) > n, 5, "nobody came to the door")  # type: ignore[misc]
        if number == 1:
            sql("SELECT pg_terminate_backend(%s)", pid)
            wait_until(lambda p=pid: sql(listening) not in ([], [(p,)]), 5, "it does not listen again")  # type: ignore[misc]


def test_a_direct_url_that_cannot_be_reached_costs_the_notifications_and_nothing_else(
    make_broker: Callable[..., LeaseBroker], start_worker: StartWorker, caplog: pytest.LogCaptureFixture
) -> None:
    broker = make_broker(direct_url="postgresql://nobody:secret@127.0.0.1:1/nothing", policy=Policy(poll_interval=0.3))
    ran: list[int] = []
    remember = dramatiq.actor(ran.append, broker=broker, actor_name="remember")
    sender = make_broker()
    start_worker(broker)
    started = time.monotonic()
    for number in range(3):
        sender.enqueue(remember.message(number))
        wait_until(lambda n=number: len(ran) > n, 5, "the job was not run")  # type: ignore[misc]
    assert time.monotonic() - started < 3 * (0.3 + 0.5)
    assert "direct_url_unavailable" in caplog.text
    assert "loop_failed loop=listen" in caplog.text
    assert "secret" not in caplog.text


def test_a_direct_url_of_another_database_is_refused_when_a_worker_starts_and_when_the_schema_is_made(
    empty_database: str, database: str, make_broker: Callable[..., LeaseBroker]
) -> None:
    broker = make_broker(direct_url=empty_database)
    name = empty_database.rpartition("/")[2]
    for start in (broker.migrate, dramatiq.Worker(broker, worker_threads=1).start):
        with pytest.raises((WrongDatabase, BootFailed)) as caught:
            start()
        assert f"got: {name} on" in str(caught.value)
        assert database.rpartition("/")[2] in str(caught.value)


def test_a_worker_that_may_not_migrate_does_not_listen_in_another_database_either(
    empty_database: str,
    make_broker: Callable[..., LeaseBroker],
    start_worker: StartWorker,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = make_broker(direct_url=empty_database, auto_migrate=False)
    ran: list[int] = []
    remember = dramatiq.actor(ran.append, broker=broker, actor_name="remember")
    start_worker(broker)
    remember.send(1)
    wait_until(lambda: ran == [1], 5, "the job was not run")
    wait_until(lambda: "expected direct_url to lead to the database of url" in caplog.text, 5)


def test_a_worker_whose_way_cannot_be_found_out_polls_and_finds_it_later(
    database: str,
    make_broker: Callable[..., LeaseBroker],
    start_worker: StartWorker,
    monkeypatch: pytest.MonkeyPatch,
    sql: Sql,
) -> None:
    monkeypatch.setattr("leasequeue.claimer.FIND_WAY_EVERY", 0.3)
    parts = urlsplit(database)
    sql("REVOKE EXECUTE ON FUNCTION pg_catalog.pg_notify(text, text) FROM PUBLIC")
    sql(f"CREATE ROLE deaf LOGIN PASSWORD '{parts.password}'")
    try:
        for what in ("SCHEMA", "ALL TABLES IN SCHEMA", "ALL FUNCTIONS IN SCHEMA"):
            sql(f"GRANT ALL ON {what} dramatiq TO deaf")
        url = urlunsplit(parts._replace(netloc=parts.netloc.replace(parts.username or "", "deaf", 1)))
        broker = make_broker(url=url, auto_migrate=False, policy=Policy(poll_interval=0.2))
        ran: list[int] = []
        remember = dramatiq.actor(ran.append, broker=broker, actor_name="remember")
        message = remember.message(1)
        sql(
            "INSERT INTO dramatiq.queue (message_id, state, message) VALUES (%s, 'queued', %s)",
            message.message_id,
            message.encode().decode(),
        )
        start_worker(broker)
        wait_until(lambda: ran == [1], 10, "it does not claim")
        assert broker.worker_session is not None
        assert broker.worker_session.way is None
        sql("GRANT EXECUTE ON FUNCTION pg_catalog.pg_notify(text, text) TO PUBLIC")
        assert way_of_worker(broker) == Way(Kind.DIRECT, notified=True)
    finally:
        broker.close()
        sql("DROP OWNED BY deaf; DROP ROLE deaf")

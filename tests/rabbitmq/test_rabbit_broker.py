"""The same actors on a real RabbitMQ: same budget of errors, same dead letters; what only Postgres can is refused."""

from __future__ import annotations

import os
import re
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import dramatiq
import psycopg2
import pytest
from dramatiq.middleware import Middleware
from git_repositories import Repository
from processes import Command
from sql_access import Sql
from throwaway_rabbitmq import IS_INSTALLED, RabbitMQ
from waiting import wait_until

from indexing import jobs
from leasequeue import PermanentError, Policy
from rabbit_broker import NeedsPostgres, RabbitBroker

pytestmark = [
    pytest.mark.skipif(not IS_INSTALLED, reason="RabbitMQ is not installed: apt-get install rabbitmq-server"),
    pytest.mark.timeout(180),  # it may have to boot, which takes its time on a busy machine
]

POLICY = Policy(max_retries=3, min_backoff=0.2, max_backoff=0.4)

INDEXQ = Path(sys.executable).with_name("indexq")


@pytest.fixture(scope="module")
def rabbit() -> Iterator[RabbitMQ]:
    with RabbitMQ() as rabbit:
        yield rabbit


@pytest.fixture
def queue_name() -> str:
    return f"queue-{secrets.token_hex(4)}"


@pytest.fixture
def broker(rabbit: RabbitMQ) -> Iterator[RabbitBroker]:
    with closing(RabbitBroker(url=rabbit.url, policy=POLICY)) as broker:
        yield broker


@pytest.fixture
def work(broker: RabbitBroker) -> Iterator[Callable[[], None]]:
    """Starts a worker in this process; it is stopped whatever the test does."""
    worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=2)
    yield worker.start
    with suppress(RuntimeError):  # it was never started
        worker.stop()


def dead_letters(broker: RabbitBroker, queue_name: str) -> int:
    return counts(broker, queue_name)[2]


def counts(broker: RabbitBroker, queue_name: str) -> tuple[int, int, int]:
    """Messages that wait, are delayed, are dead."""
    waiting, delayed, dead = broker.get_queue_message_counts(queue_name)  # type: ignore[no-untyped-call]
    return waiting, delayed, dead


class TestBudgets:
    def test_an_error_is_retried_three_times_with_exact_delays_and_then_dead(
        self, broker: RabbitBroker, queue_name: str, work: Callable[[], None]
    ) -> None:
        ran: list[None] = []
        delays: list[int] = []

        class Delays(Middleware):
            def after_enqueue(self, broker: RabbitBroker, message: object, delay: int | None) -> None:
                if delay is not None:
                    delays.append(delay)

        broker.add_middleware(Delays())  # type: ignore[no-untyped-call]

        @dramatiq.actor(broker=broker, queue_name=queue_name)
        def fail() -> None:
            ran.append(None)
            raise OSError("no luck")

        fail.send()
        work()
        wait_until(lambda: dead_letters(broker, queue_name), 20, "the dead letter")

        assert (len(ran), delays) == (4, [200, 400, 400])
        assert counts(broker, queue_name) == (0, 0, 1)

    def test_a_permanent_error_is_not_tried_again(
        self, broker: RabbitBroker, queue_name: str, work: Callable[[], None]
    ) -> None:
        ran: list[None] = []

        @dramatiq.actor(broker=broker, queue_name=queue_name)
        def refuse() -> None:
            ran.append(None)
            raise PermanentError("never")

        refuse.send()
        work()
        wait_until(lambda: dead_letters(broker, queue_name), 20, "the dead letter")

        assert ran == [None]

    def test_actors_with_results_are_taken_and_pipelines_pass_results_on(
        self, broker: RabbitBroker, queue_name: str, work: Callable[[], None]
    ) -> None:
        seen: list[int] = []

        @dramatiq.actor(broker=broker, queue_name=queue_name, store_results=True, result_ttl=1000)
        def double(number: int) -> int:
            return 2 * number

        @dramatiq.actor(broker=broker, queue_name=queue_name)
        def see(number: int = 0) -> None:  # the pipeline gives it
            seen.append(number)

        dramatiq.pipeline([double.message(21), see.message()], broker=broker).run()
        work()
        wait_until(lambda: seen == [42], 10, "the second step")


class TestWhatOnlyPostgresCan:
    def test_is_refused_by_its_name_and_with_what_to_do(self, broker: RabbitBroker) -> None:
        with pytest.raises(NeedsPostgres, match=r"it asks for 'enqueue_on'.*unset BROKER_URL"):
            broker.enqueue_on(None, None)
        assert not hasattr(broker, "queries")

    def test_a_server_that_is_not_there_is_one_line_without_the_password(self) -> None:
        away = RabbitBroker(url="amqp://guest:s3cret-word@127.0.0.1:1/", policy=POLICY)
        assert not away.is_healthy()
        with pytest.raises(Exception, match="expected BROKER_URL to open a session with RabbitMQ") as caught:
            away.migrate()
        assert "s3cret-word" not in str(caught.value)

    @pytest.mark.parametrize("command", [("status",), ("dead", "list"), ("index", ".")])
    def test_commands_about_the_queue_say_so_in_one_line(
        self, rabbit: RabbitMQ, database: str, repository: Repository, tmp_path: Path, command: tuple[str, ...]
    ) -> None:
        arguments = [repository.url if each == "." else each for each in command]
        environ = {"SUPABASE_DB_URL": database, "BROKER_URL": rabbit.url}
        asked = Command([INDEXQ, *arguments], environ, tmp_path)
        try:
            assert asked.wait() == 2
            (line,) = asked.stderr.splitlines()
            assert line.startswith("indexq: expected the queue to be on Postgres for this")
        finally:
            asked.remove()

    def test_a_url_that_pika_cannot_read_is_one_line_without_the_password(self, database: str, tmp_path: Path) -> None:
        environ = {
            "SUPABASE_DB_URL": database,
            "BROKER_URL": "amqp://guest:s3cret-word@host:5672/?heartbeat=s3cret-word",
        }
        asked = Command([INDEXQ, "status"], environ, tmp_path)
        try:
            assert asked.wait() == 2
            (line,) = asked.stderr.splitlines()
            assert line.startswith("indexq: expected BROKER_URL to be a URL that pika can read")
            assert "s3cret-word" not in line
        finally:
            asked.remove()

    def test_the_health_application_does_not_start(self, rabbit: RabbitMQ, database: str, tmp_path: Path) -> None:
        environ = {"SUPABASE_DB_URL": database, "BROKER_URL": rabbit.url}
        asked = Command([sys.executable, "-c", "import health_app"], environ, tmp_path)
        try:
            assert asked.wait() == 1
            assert "expected the queue to be on Postgres for the health application" in asked.stderr.splitlines()[-1]
        finally:
            asked.remove()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.make(
        tmp_path / "shapes", {"square.py": "class Square:\n    def area(self): ...\n", "a.txt": "\n"}
    )


@pytest.fixture
def product(
    rabbit: RabbitMQ, database: str, queue_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """The environment of API and workers, on a queue of this test's own."""
    return {
        "SUPABASE_DB_URL": database,
        "BROKER_URL": rabbit.url,
        "QUEUE_NAME": queue_name,
        "INDEX_PARALLELISM": "1",
        "RETRY_LIMIT": "1",
        "RETRY_DELAY": "0.2",
    }


@pytest.fixture
def start_worker(product: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """A real ``dramatiq actors``, with more settings when they are given."""
    started: list[Command] = []

    def start(**more: str) -> Command:
        # A group of its own, to be killed as a whole.
        command: list[str | bytes | Path] = ["setsid", sys.executable, "-m", "dramatiq", "actors", "-p", "1", "-t", "1"]
        started.append(Command(command, {**product, **more}, tmp_path))
        started[-1].wait_to_say("is ready for action", 60)
        return started[-1]

    yield start
    for command in started:
        kill(command)
        command.remove()


def kill(workers: Command) -> None:
    """Master and workers at once."""
    with suppress(ProcessLookupError):
        os.killpg(workers.process.pid, signal.SIGKILL)


@pytest.fixture
def send(product: dict[str, str], database: str, tmp_path: Path) -> Callable[..., str]:
    """What an API does: the row first, committed, then the job by itself. Returns the job's id."""

    def send(url: str, commit: str | None = None) -> str:
        with closing(psycopg2.connect(database)) as connection, connection, connection.cursor() as cursor:
            repository_id = jobs.add_repository(cursor, url)
            job_id = jobs.add_job(cursor, repository_id, commit, str(uuid4()))
        code = (
            "import sys; from actors import index_repo; from broker import check_queue_health, start_queue; "
            "start_queue(); assert check_queue_health(); index_repo.send(*sys.argv[1:3], *sys.argv[3:])"
        )
        arguments = [job_id, repository_id] + ([commit] if commit else [])
        sender = Command([sys.executable, "-c", code, *arguments], {**product, "PYTHONPATH": "."}, tmp_path)
        try:
            assert sender.wait() == 0
        finally:
            sender.remove()
        return job_id

    return send


class TestIndexJobs:
    def status(self, sql: Sql, job_id: str) -> Any:
        return sql("SELECT status, error FROM indexing.index_jobs WHERE id = %s", job_id)[0]

    def test_a_repository_is_indexed_and_a_commit_that_is_not_there_is_dead(
        self, start_worker: Callable[..., Command], send: Callable[..., str], repository: Repository, sql: Sql
    ) -> None:
        worker = start_worker()
        good, bad = send(repository.url), send(repository.url, "0" * 40)
        wait_until(lambda: self.status(sql, good)[0] == "completed", 30, "the job to end")
        wait_until(lambda: self.status(sql, bad)[0] == "failed", 30, "the bad job to end")

        assert sql("SELECT name FROM indexing.symbols_at_commit ORDER BY 1") == [("Square",), ("area",)]
        worker.wait_to_say("reason=permanent")
        assert "job_retried" not in worker.stderr
        assert '"level": "critical"' not in worker.stderr  # as when a consumer comes before its queue
        assert f'"index_job_id": "{good}"' in worker.stderr

        worker.send_signal(signal.SIGTERM)
        assert worker.wait() == 0

    def test_another_job_of_the_repository_is_not_merged_where_no_key_keeps_it_from_running(
        self, start_worker: Callable[..., Command], send: Callable[..., str], repository: Repository, sql: Sql
    ) -> None:
        start_worker()
        first = send(repository.url)
        wait_until(lambda: self.status(sql, first)[0] == "completed", 30, "the first job to end")
        sql("UPDATE indexing.index_jobs SET status = 'pending', finished_at = NULL")  # as one that waits for its retry
        newer = send(repository.url)
        wait_until(lambda: self.status(sql, newer)[0] == "completed", 30, "the newer job to end")
        assert self.status(sql, first)[0] == "pending"

    def test_workers_whose_master_was_killed_drain_and_leave(self, start_worker: Callable[..., Command]) -> None:
        worker = start_worker()
        (pid,) = re.findall(r'"Worker process is ready for action.*"pid": (\d+)', worker.stderr)
        worker.process.kill()  # and with it who prints what workers say
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), 20, "the worker to leave")

    def test_what_may_pass_is_tried_again_and_the_row_tells_each_try(
        self, start_worker: Callable[..., Command], send: Callable[..., str], repository: Repository, sql: Sql
    ) -> None:
        sql("ALTER TABLE indexing.commits RENAME TO commits_elsewhere")
        worker = start_worker()
        job_id = send(repository.url)
        wait_until(lambda: self.status(sql, job_id)[0] == "failed", 30, "the job to be given up")

        assert "indexing.commits" in self.status(sql, job_id)[1]
        assert sql("SELECT retry_count FROM indexing.index_jobs") == [(2,)]
        worker.wait_to_say("reason=retries_exhausted")
        assert worker.stderr.count("job_started") == 2

    def test_what_is_older_than_its_time_is_dead_and_its_row_says_so(
        self, start_worker: Callable[..., Command], broker: RabbitBroker, queue_name: str, database: str, sql: Sql
    ) -> None:
        with closing(psycopg2.connect(database)) as connection, connection, connection.cursor() as cursor:
            repository_id = jobs.add_repository(cursor, "https://example.org/a.git")
            job_id = jobs.add_job(cursor, repository_id)
        yesterday = int((time.time() - 25 * 3600) * 1000)
        message = dramatiq.Message[Any](
            queue_name, "index_repo", (job_id, repository_id), {}, {}, message_timestamp=yesterday
        )
        broker.enqueue(message)  # type: ignore[no-untyped-call]
        start_worker()
        wait_until(lambda: self.status(sql, job_id)[0] == "failed", 30, "the job to be given up")
        assert self.status(sql, job_id)[1].startswith("expired")
        assert counts(broker, queue_name) == (0, 0, 1)

    def test_the_job_of_a_killed_worker_is_delivered_again(
        self, start_worker: Callable[..., Command], send: Callable[..., str], tmp_path: Path, sql: Sql
    ) -> None:
        code = "".join(f"def function_{number}():\n    return {number}\n" for number in range(30))
        large = Repository.make(tmp_path / "large", {f"m{n}.py": f"# {n}\n{code}" for n in range(1000)})
        worker = start_worker()
        job_id = send(large.url)
        wait_until(lambda: self.status(sql, job_id)[0] == "processing", 30, "the job to run")
        kill(worker)
        assert self.status(sql, job_id)[0] == "processing"
        start_worker()
        wait_until(lambda: self.status(sql, job_id)[0] == "completed", 60, "the job to end")
        assert sql("SELECT count(*) FROM indexing.symbols_at_commit") == [(30_000,)]

"""The health sidecar as a load balancer meets it: a real uvicorn in front of servers that really fail."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg2
import pytest
from process_facts import processes_below
from throwaway_postgres import ThrowawayPostgres
from waiting import wait_until

from leasequeue import migrations

ROOT = Path(__file__).resolve().parent.parent

#: Seconds within which a load balancer has its answer, whatever the database does.
ANSWER_SECONDS = 2.0

#: Seconds by which a busy machine may be late.
MARGIN_SECONDS = 0.3

#: Probes at once: more than there are threads for them.
PROBES = 60

ROWS = """
INSERT INTO dramatiq.worker (worker_id, host, pid, threads, queues, heartbeat_at) VALUES
  ('11111111-1111-4111-8111-111111111111', 'machine-7', 4711, 2, '{index-repo}', now()),
  ('22222222-2222-4222-8222-222222222222', 'machine-8', 4712, 2, '{index-repo}', now() - interval '1 hour');
INSERT INTO dramatiq.queue (message_id, queue_name, state, message, available_at, worker_id, claim_no, reason)
SELECT gen_random_uuid(), queue, state::dramatiq.state, '{}', now() + due * interval '1 s', worker::uuid, claim, why
  FROM (VALUES ('index-repo', 'queued', -90, NULL, NULL, NULL),
               ('index-repo', 'queued', -30, NULL, NULL, NULL),
               ('index-repo', 'queued', 600, NULL, NULL, NULL),
               ('index-repo', 'consumed', 0, '11111111-1111-4111-8111-111111111111', 1, NULL),
               ('index-repo', 'rejected', 0, NULL, NULL, 'expired'),
               ('other', 'rejected', 0, NULL, NULL, 'crashed')) AS job (queue, state, due, worker, claim, why)
"""


class Sidecar:
    """One ``uvicorn health_app:app`` on a port of its own."""

    def __init__(self, url: str, log: Path) -> None:
        self._log = log
        self._password = urlsplit(url).password or ""
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "uvicorn", "health_app:app", "--port", str(port)],
                cwd=ROOT,
                env={**os.environ, "SUPABASE_DB_URL": url},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False)
        wait_until(lambda: "Uvicorn running" in log.read_text() or self.process.poll() is not None, 20, "to serve")

    def ask(self) -> tuple[int, dict[str, Any]]:
        """Status code and body of ``GET /health``; what must hold for every answer is checked here."""
        started = time.monotonic()
        answer = self._client.get("/health")
        assert time.monotonic() - started < ANSWER_SECONDS
        assert answer.headers["cache-control"] == "no-store"
        assert self._password
        assert self._password not in answer.text
        return answer.status_code, answer.json()

    def remove(self) -> None:
        self._client.close()
        self.process.terminate()
        code = self.process.wait(10)
        said = self._log.read_text()
        print(said)
        assert code in (0, -signal.SIGTERM)  # uvicorn gives the signal back to its default.
        assert "Traceback" not in said
        assert self._password not in said


@pytest.fixture
def sidecar(tmp_path: Path) -> Iterator[Callable[[str], Sidecar]]:
    """Starts the sidecar: ``sidecar(url)``."""
    started: list[Sidecar] = []

    def start(url: str) -> Sidecar:
        started.append(Sidecar(url, tmp_path / f"uvicorn-{len(started)}.log"))
        return started[-1]

    yield start
    for each in started:
        each.remove()


@pytest.fixture
def queue_server(throwaway_server: Callable[..., ThrowawayPostgres]) -> ThrowawayPostgres:
    """A server of the test's own with the queue in it."""
    server = throwaway_server()
    migrations.migrate(server.url, schema="dramatiq")
    return server


@pytest.fixture
def silent_url() -> Iterator[str]:
    """Of a server whose kernel takes connections that nobody ever answers."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(128)
        yield f"postgresql://someone:s3cret-word@127.0.0.1:{silent.getsockname()[1]}/product"


def run(url: str, statement: str) -> None:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)


def test_an_empty_queue_is_healthy(sidecar: Callable[[str], Sidecar], database: str) -> None:
    code, body = sidecar(database).ask()

    assert code == 200
    assert body["status"] == "ok"
    assert body["database"]["reachable"] is True
    assert 0 < body["database"]["round_trip_seconds"] < ANSWER_SECONDS
    assert body["schema"] == {"version": migrations.latest(), "expected": migrations.latest()}
    assert body["queues"] == {}
    assert body["workers"] == []


def test_jobs_are_counted_by_queue_and_only_living_workers_are_named(
    sidecar: Callable[[str], Sidecar], database: str
) -> None:
    run(database, ROWS)

    code, body = sidecar(database).ask()

    assert code == 200
    queue = body["queues"]["index-repo"]
    age = queue.pop("oldest_ready_seconds")
    assert queue == {"ready": 2, "delayed": 1, "running": 1, "dead": 1}
    assert 90 <= age < 120
    other = {"ready": 0, "delayed": 0, "running": 0, "dead": 1, "oldest_ready_seconds": None}
    assert body["queues"]["other"] == other
    (worker,) = body["workers"]
    assert (worker["host"], worker["pid"], worker["threads"], worker["holds"]) == ("machine-7", 4711, 2, 1)
    assert worker["draining"] is False


def test_without_a_schema_it_is_503_until_there_is_one(sidecar: Callable[[str], Sidecar], empty_database: str) -> None:
    app = sidecar(empty_database)

    code, body = app.ask()
    assert (code, body["status"]) == (503, "unavailable")
    assert "expected schema dramatiq to have version" in body["reason"]

    migrations.migrate(empty_database, schema="dramatiq")
    assert app.ask()[0] == 200


def test_a_database_that_goes_and_comes_back_is_503_and_200_again(
    sidecar: Callable[[str], Sidecar], queue_server: ThrowawayPostgres
) -> None:
    app = sidecar(queue_server.url)
    assert app.ask()[0] == 200

    queue_server.stop()
    for _ in range(3):
        code, body = app.ask()
        assert (code, body["status"]) == (503, "unavailable")
        assert body["reason"]

    queue_server.start()
    assert app.ask()[0] == 200


def test_a_database_that_hangs_is_503_in_time_and_200_when_it_goes_on(
    sidecar: Callable[[str], Sidecar], queue_server: ThrowawayPostgres
) -> None:
    app = sidecar(queue_server.url)
    assert app.ask()[0] == 200

    stopped = [pid for pid in (queue_server.pid,) if pid is not None]
    os.kill(stopped[0], signal.SIGSTOP)  # First: it would start others in place of those that seem dead.
    try:
        for pid in processes_below(queue_server.data_directory):
            os.kill(pid, signal.SIGSTOP)
            stopped.append(pid)
        for _ in range(3):  # The first meets a session that was good, the others one that cannot be opened.
            code, body = app.ask()
            assert (code, body["status"]) == (503, "unavailable")
            assert "did not answer in time" in body["reason"]
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)

    wait_until(lambda: app.ask()[0] == 200, 10, "healthy again")


def test_more_probes_than_threads_are_all_answered_in_time_while_the_database_hangs(
    sidecar: Callable[[str], Sidecar], silent_url: str
) -> None:
    app = sidecar(silent_url)

    with ThreadPoolExecutor(PROBES) as probes:
        answers = list(probes.map(lambda _: app.ask()[0], range(PROBES)))

    assert answers == [503] * PROBES


class ApiProcess:
    """A process that has imported ``broker`` and answers with ``check_queue_health()`` for each line it is sent."""

    CODE = """
import sys, time
import broker
for line in sys.stdin:
    started = time.monotonic()
    print(broker.check_queue_health(), time.monotonic() - started, flush=True)
"""

    def __init__(self, url: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.CODE],
            cwd=ROOT,
            env={**os.environ, "SUPABASE_DB_URL": url},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ask(self) -> str:
        """What it returned, as text."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("?\n")
        self.process.stdin.flush()
        answer, seconds = self.process.stdout.readline().split()
        assert float(seconds) < ANSWER_SECONDS + MARGIN_SECONDS
        return answer

    def remove(self) -> None:
        _, errors = self.process.communicate(timeout=10)
        assert errors == ""
        assert self.process.returncode == 0


@pytest.fixture
def api_process() -> Iterator[Callable[[str], ApiProcess]]:
    """Starts one: ``api_process(url)``."""
    started: list[ApiProcess] = []

    def start(url: str) -> ApiProcess:
        started.append(ApiProcess(url))
        return started[-1]

    yield start
    for each in started:
        each.remove()


def test_check_queue_health_is_true_false_while_the_database_is_gone_and_true_again(
    api_process: Callable[[str], ApiProcess], queue_server: ThrowawayPostgres
) -> None:
    api = api_process(queue_server.url)
    assert api.ask() == "True"

    queue_server.stop()
    assert api.ask() == "False"
    assert api.ask() == "False"

    queue_server.start()
    assert api.ask() == "True"


def test_check_queue_health_is_false_without_a_schema(
    api_process: Callable[[str], ApiProcess], empty_database: str
) -> None:
    api = api_process(empty_database)
    assert api.ask() == "False"

    migrations.migrate(empty_database, schema="dramatiq")
    assert api.ask() == "True"


def test_check_queue_health_is_false_in_time_when_nobody_answers(
    api_process: Callable[[str], ApiProcess], silent_url: str
) -> None:
    assert api_process(silent_url).ask() == "False"

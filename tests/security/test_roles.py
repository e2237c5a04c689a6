"""Each role does its whole part with nothing more than it was given: real workers, real probes, real commands."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg2
import psycopg2.errors
import pytest
from git_repositories import Repository
from ports import free_port
from processes import Command
from waiting import wait_until

from leasequeue import LeaseBroker, migrations
from leasequeue.access import ROLES, script
from leasequeue.connection import Connection

from .conftest import PASSWORD, Guarded, Run

Start = Callable[..., Command]

WORKER = ("-m", "dramatiq", "actors", "-p", "1", "-t", "2")


@pytest.fixture
def start(tmp_path: Path, guarded: Guarded) -> Iterator[Start]:
    """Starts a program of the product for one who logs in: ``start("worker_1", "-m", "dramatiq", "actors")``."""
    with ExitStack() as started:

        def run(login: str, *arguments: str, **environ: str) -> Command:
            environ = {"SUPABASE_DB_URL": guarded.url_of(login), "INDEX_PARALLELISM": "1", **environ}
            command = Command([sys.executable, *arguments], environ, tmp_path)
            started.callback(command.remove)
            started.callback(lambda: check(command))
            return command

        def check(command: Command) -> None:
            assert PASSWORD not in command.stdout + command.stderr

        yield run


#: A worker whose session is there, and which has been silent for longer than one whose session has ended may be.
LATE_WORKER = """
INSERT INTO dramatiq.worker (worker_id, host, pid, threads, queues, backend_pid, backend_start, heartbeat_at)
SELECT %s, 'elsewhere', 1, 1, '{}', pid, backend_start, now() - interval '9 s'
  FROM pg_stat_activity WHERE pid = pg_backend_pid()
"""


def test_a_worker_indexes_a_repository_and_does_what_an_operator_asks(
    guarded: Guarded, start: Start, indexq: Run, tmp_path: Path
) -> None:
    repository = Repository.make(tmp_path / "shapes", {"square.py": "def area() -> int:\n    return 1\n"})
    worker = start("worker_1", *WORKER)
    worker.wait_to_say("is ready for action", 30)
    assert indexq("deployer", "roles", "--apply").process.returncode == 0  # under a worker that runs
    assert indexq("worker_2", "index", repository.path, "--wait").process.returncode == 0
    assert guarded.ask("SELECT name FROM indexing.symbols_at_commit") == [("area",)]
    for arguments in (
        ("pause", "index-repo"),
        ("resume", "index-repo"),
        ("schedule", "add", "nightly", "0 3 * * *", "--", "index", str(repository.path)),
        ("dead", "list"),
    ):
        assert indexq("worker_2", *arguments).process.returncode == 0
    # A producer has jobs done by what it may call, and hears of their end.
    ((repository_id,),) = guarded.ask("SELECT id::text FROM indexing.repositories")
    ((job_id, _),) = guarded.ask(
        "SELECT * FROM dramatiq.enqueue('index_on_schedule', jsonb_build_array(%s), queue => 'index-repo')",
        repository_id,
        login="api",
    )
    state = "SELECT state FROM dramatiq.job(%s)"
    wait_until(lambda: guarded.ask(state, job_id, login="api") == [("completed",)], 30)
    done = "SELECT count(*) FROM indexing.index_jobs WHERE status = 'completed'"
    wait_until(lambda: guarded.ask(done) == [(2,)], 30)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 0
    for word in ("denied", "Traceback", "ERROR"):
        assert word not in worker.stderr
    assert guarded.ask("SELECT count(*) FROM dramatiq.worker") == [(0,)]


def test_an_observer_serves_health_metrics_and_the_status_page_and_asks_the_doctor(
    start: Start, indexq: Run, guarded: Guarded
) -> None:
    with closing(psycopg2.connect(guarded.url_of("worker_1"))) as waiting, waiting.cursor() as cursor:
        cursor.execute("SELECT now()")  # somebody else's transaction, for the doctor to see
        port = free_port()
        sidecar = start("probe", "-m", "uvicorn", "health_app:app", "--port", str(port), STATUS_PAGE="1")
        sidecar.wait_to_say("Uvicorn running")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False) as client:
            health = client.get("/health").json()
            assert not any("denied" in reason for reason in health["reasons"])
            assert health["database"]["reachable"]
            for path in ("/metrics", "/metrics/queue", "/"):
                answer = client.get(path)
                assert answer.status_code == 200
                assert "denied" not in answer.text
        for arguments in (("status",), ("workers",), ("dead", "list")):
            assert indexq("probe", *arguments).process.returncode in (0, 1)  # 1: nothing was found
        doctor = indexq("probe", "doctor")
        assert doctor.process.returncode == 0
        assert [line for line in doctor.stdout.splitlines() if "denied" in line] == [
            line for line in doctor.stdout.splitlines() if line.startswith("WARN   schema")
        ]
        refused = indexq("probe", "pause", "index-repo")
        assert refused.process.returncode == 1
        assert refused.stderr == "indexq: permission denied for table paused\n"


def test_a_worker_that_may_not_migrate_says_who_must(guarded: Guarded, start: Start, indexq: Run) -> None:
    latest = migrations.latest()
    guarded.ask("DELETE FROM dramatiq.migration WHERE version = %s", latest, login="deployer")
    try:
        worker = start("worker_1", *WORKER)
        assert worker.wait() == 3
        told = (
            f"expected schema dramatiq to have version {latest}, got: {latest - 1}, "
            "and the role of this connection may not change that"
        )
        assert f"The worker cannot start: {told}" in worker.stderr
        assert "Migrate it as the role that owns it." in worker.stderr
        assert told in indexq("worker_1", "migrate").stderr
    finally:
        guarded.ask("INSERT INTO dramatiq.migration VALUES (%s, 'again')", latest)


def test_a_producer_is_no_worker(start: Start) -> None:
    worker = start("api", *WORKER)
    assert worker.wait() == 3
    assert "The worker cannot start: permission denied for table migration" in worker.stderr


def test_a_session_of_another_login_is_not_presumed_ended_because_it_is_hidden(guarded: Guarded) -> None:
    silent = str(uuid4())
    patience = {"lease": 20, "grace": 4.5, "comeback": 0, "in_touch": 1000, "comeback_of_judge": 0}
    ask = {"worker_id": str(uuid4()), **patience}
    server_age = "SELECT pg_postmaster_start_time() < now() - interval '9 s'"
    wait_until(lambda: guarded.ask(server_age) == [(True,)], 15)
    judge = LeaseBroker(url=guarded.url_of("worker_2"))
    with closing(judge), closing(psycopg2.connect(guarded.url_of("worker_1"))) as session:
        session.autocommit = True
        with session.cursor() as cursor:
            cursor.execute(LATE_WORKER, (silent,))
        assert judge.ask("judge", ask) == []
        session.close()
        wait_until(lambda: judge.ask("judge", ask) == [(silent, "its session with the database ended")])
    guarded.ask("DELETE FROM dramatiq.worker")


def test_the_roles_of_another_prefix_are_others_and_a_wrong_prefix_is_refused(guarded: Guarded, indexq: Run) -> None:
    with closing(Connection(guarded.administrator, "test")) as connection:
        connection.execute(script(["dramatiq"], prefix="second"), timeout=10)
    assert guarded.ask("SELECT has_table_privilege('second_worker', 'dramatiq.queue', 'DELETE')") == [(True,)]
    wrong = indexq("deployer", "roles", "--prefix", "x'; DROP")
    assert wrong.process.returncode == 2
    assert "expected a prefix of letters in lower case" in wrong.stderr


def test_the_printed_script_is_what_is_applied_and_repeating_it_changes_nothing(guarded: Guarded, indexq: Run) -> None:
    rights = (
        "SELECT relname, ARRAY(SELECT each::text FROM unnest(relacl) AS each ORDER BY 1)"
        " FROM pg_class WHERE relnamespace = 'dramatiq'::regnamespace ORDER BY 1"
    )
    before = guarded.ask(rights)
    printed = indexq("deployer", "roles").stdout
    guarded.ask(printed, login="deployer")
    assert guarded.ask(rights) == before
    assert printed.count("SET LOCAL search_path TO") == 2


def test_rights_in_a_schema_that_is_not_there_are_refused_in_words(guarded: Guarded, indexq: Run) -> None:
    result = indexq("deployer", "roles", "--apply", QUEUE_SCHEMA="nowhere")
    assert result.process.returncode == 1
    assert "expected search_path to begin with a schema that is there, got: nowhere" in result.stderr
    assert "Run: indexq migrate" in result.stderr
    with pytest.raises(psycopg2.errors.InvalidSchemaName, match="got: nowhere"):
        guarded.ask(f"SET search_path TO nowhere; {ROLES.read_text()}")

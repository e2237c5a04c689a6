"""The main job under a lease that it loses: it stops, and nothing of it becomes visible."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from git_repositories import Repository
from processes import Command
from sql_access import Sql
from waiting import wait_until

from indexing import jobs

#: Files enough for a run to be caught in its middle.
FILES = 3_000


@pytest.fixture
def worker(database: str, tmp_path: Path) -> Iterator[Command]:
    command: list[str | bytes | Path] = [sys.executable, "-m", "dramatiq", "actors", "-p", "1", "-t", "1"]
    started = Command(command, {"SUPABASE_DB_URL": database, "INDEX_PARALLELISM": "1"}, tmp_path)
    started.wait_to_say("is ready for action", 30)
    yield started
    started.remove()


def test_a_run_whose_lease_was_lost_stops_and_publishes_nothing(
    worker: Command, database: str, tmp_path: Path, sql: Sql
) -> None:
    code = "".join(f"def function_{number}():\n    return {number}\n" for number in range(30))
    repository = Repository.make(tmp_path / "large", {f"m{n}.py": f"# {n}\n{code}" for n in range(FILES)})
    connection = psycopg2.connect(database)
    with connection, connection.cursor() as cursor:
        repository_id = jobs.add_repository(cursor, repository.url)
        job_id = jobs.add_job(cursor, repository_id)
    connection.close()
    sql(
        "INSERT INTO dramatiq.queue (message_id, queue_name, state, message) VALUES (gen_random_uuid(), 'index-repo', "
        "'queued', jsonb_build_object('actor_name', 'index_repo', 'args', '[]'::jsonb, 'options', '{}'::jsonb, "
        "'queue_name', 'index-repo', 'message_id', gen_random_uuid(), 'message_timestamp', 0, 'kwargs', "
        "jsonb_build_object('index_job_id', %s, 'repository_id', %s, 'commit_sha', NULL)))",
        job_id,
        repository_id,
    )
    wait_until(lambda: sql("SELECT files_done > 0 FROM indexing.index_jobs") == [(True,)], 30, "it does not run")
    sql("UPDATE dramatiq.queue SET worker_id = gen_random_uuid(), claim_no = claim_no + 1 WHERE state = 'consumed'")
    ((done_when_lost,),) = sql("SELECT files_done FROM indexing.index_jobs")

    wait_until(lambda: "lease_lost" in worker.stderr or "LeaseLost" in worker.stderr, 20, "it did not notice")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert done_when_lost < FILES
    assert sql("SELECT status, files_done = %s FROM indexing.index_jobs", done_when_lost) == [("processing", True)]
    assert sql("SELECT count(*) FROM indexing.symbols_at_commit") == [(0,)]


def test_a_worker_without_git_does_not_start_and_says_why(database: str, tmp_path: Path) -> None:
    command: list[str | bytes | Path] = [sys.executable, "-m", "dramatiq", "actors", "-p", "1", "-t", "1"]
    started = Command(command, {"SUPABASE_DB_URL": database, "PATH": "/nowhere"}, tmp_path)
    try:
        assert started.wait() == 3
        assert "The worker cannot start: expected git on the PATH" in started.stderr
        assert "install git" in started.stderr
    finally:
        started.remove()

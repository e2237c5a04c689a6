"""The main job under a lease that it loses: it stops, and nothing of it becomes visible."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import closing
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


#: Ends who waits for a lock; not by name: behind a pooler that is the name of whoever had the session before, too.
ENDING = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


def start(database: str, directory: Path, **settings: str) -> Command:
    command: list[str | bytes | Path] = [sys.executable, "-m", "dramatiq", "actors", "-p", "1", "-t", "1"]
    started = Command(command, {"SUPABASE_DB_URL": database, "INDEX_PARALLELISM": "1", **settings}, directory)
    started.wait_to_say("is ready for action", 30)
    return started


@pytest.fixture
def worker(database: str, tmp_path: Path) -> Iterator[Command]:
    started = start(database, tmp_path)
    yield started
    started.remove()


def queue_job(database: str, sql: Sql, repository_url: str) -> None:
    connection = psycopg2.connect(database)
    with connection, connection.cursor() as cursor:
        repository_id = jobs.add_repository(cursor, repository_url)
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


def children_of(pid: int) -> dict[int, str]:
    """Process id -> command line of each child."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found[child] = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
    return found


def test_a_run_whose_lease_was_lost_stops_and_publishes_nothing(
    worker: Command, database: str, tmp_path: Path, sql: Sql
) -> None:
    code = "".join(f"def function_{number}():\n    return {number}\n" for number in range(30))
    repository = Repository.make(tmp_path / "large", {f"m{n}.py": f"# {n}\n{code}" for n in range(FILES)})
    queue_job(database, sql, repository.url)
    wait_until(lambda: sql("SELECT files_done > 0 FROM indexing.index_jobs") == [(True,)], 30, "it does not run")
    sql("UPDATE dramatiq.queue SET worker_id = gen_random_uuid(), claim_no = claim_no + 1 WHERE state = 'consumed'")
    ((done_when_lost,),) = sql("SELECT files_done FROM indexing.index_jobs")

    wait_until(lambda: "lease_lost" in worker.stderr or "LeaseLost" in worker.stderr, 20, "it did not notice")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert done_when_lost < FILES
    assert sql("SELECT status, files_done = %s FROM indexing.index_jobs", done_when_lost) == [("processing", True)]
    assert sql("SELECT count(*) FROM indexing.symbols_at_commit") == [(0,)]


def test_a_worker_is_ready_to_parse_and_takes_names_over_behind_each_job_and_when_it_starts(
    worker: Command, database: str, tmp_path: Path, sql: Sql
) -> None:
    # Before there is any job,
    def has_fork_server() -> bool:
        below = [command for child in children_of(worker.process.pid) for command in children_of(child).values()]
        return any("indexing.fork_server" in command for command in below)

    wait_until(has_fork_server, 20, "parsers cannot be forked yet")
    repository = Repository.make(tmp_path / "one", {"a.py": "def first(): pass\n"})
    queue_job(database, sql, repository.url)
    wait_until(lambda: sql("SELECT name FROM indexing.names") == [("first",)], 20, "its name is not taken over")
    # Given names that a worker has left which was killed,
    worker.remove()
    sql("TRUNCATE indexing.names")
    sql("INSERT INTO indexing.unnamed_contents (blob_ids) SELECT ARRAY[id] FROM indexing.blobs")
    # When another one starts, then it takes them over.
    again = start(database, tmp_path)
    wait_until(lambda: sql("SELECT name FROM indexing.names") == [("first",)], 20, "its name is not taken over")
    again.send_signal(signal.SIGTERM)
    assert again.wait() == 0
    again.remove()


def test_names_whose_session_was_ended_are_taken_over_behind_the_next_job(
    worker: Command, database: str, tmp_path: Path, sql: Sql
) -> None:
    first = Repository.make(tmp_path / "one", {"a.py": "def first(): pass\n"})
    with closing(psycopg2.connect(database)) as holding, holding.cursor() as cursor:
        # Given somebody who keeps names from being added, and an operator who ends whoever waits for that,
        cursor.execute("LOCK TABLE indexing.names IN SHARE MODE")
        queue_job(database, sql, first.url)
        wait_until(
            lambda: sql("SELECT status FROM indexing.index_jobs") == [("completed",)], 20, "the job waits for it"
        )
        wait_until(lambda: (sql(ENDING), "upkeep_left" in worker.stderr)[1], 20, "it is not told")
        holding.rollback()
    # When another job ends, then the names of both are there.
    queue_job(database, sql, Repository.make(tmp_path / "two", {"b.py": "def second(): pass\n"}).url)
    both = [("first",), ("second",)]
    wait_until(lambda: sql("SELECT name FROM indexing.names ORDER BY name") == both, 20, "they are not taken over")


def index_four_commits(database: str, directory: Path, sql: Sql) -> None:
    repository = Repository.make(directory, {"a.py": "def f(): pass\n"})
    for number in range(4):
        repository.commit({"a.py": f"def f{number}(): pass\n"})
        queue_job(database, sql, repository.url)
        left = "SELECT 1 FROM indexing.index_jobs WHERE status <> 'completed'"
        wait_until(lambda: sql(left) == [], 20, "it is not indexed")  # noqa: B023 it is called at once


def test_a_worker_removes_the_oldest_commits_of_a_repository_behind_its_jobs(
    database: str, tmp_path: Path, sql: Sql
) -> None:
    worker = start(database, tmp_path, INDEX_KEEP_COMMITS="1")
    index_four_commits(database, tmp_path / "one", sql)
    wait_until(lambda: sql("SELECT count(*) <= 2 FROM indexing.commits") == [(True,)], 20, "they stay")
    wait_until(lambda: sql("SELECT count(*) <= 2 FROM indexing.blobs") == [(True,)], 20, "their contents stay")
    worker.remove()


def test_a_repository_whose_upkeep_failed_is_not_forgotten(
    worker: Command, database: str, tmp_path: Path, sql: Sql
) -> None:
    # Given a repository with more commits than are wanted from now on,
    index_four_commits(database, tmp_path / "one", sql)
    worker.remove()
    ((repository_id,),) = sql("SELECT id FROM indexing.repositories")
    program = (
        "import time, uuid\n"
        "from actors import index_repo, upkeep_behind_jobs\n"
        "upkeep_behind_jobs.LOOK_SECONDS = 0.2\n"
        "behind = upkeep_behind_jobs.UpkeepBehindJobs()\n"
        f"behind.after_process_message(None, index_repo.message(str(uuid.uuid4()), '{repository_id}'))\n"
        "behind.after_worker_boot(None, None)\n"
        "time.sleep(60)\n"
    )
    command: list[str | bytes | Path] = [sys.executable, "-c", program, "actors"]
    with closing(psycopg2.connect(database)) as holding, holding.cursor() as cursor:
        # And somebody who keeps the upkeep waiting until its session is ended,
        cursor.execute("LOCK TABLE indexing.unnamed_contents")
        looking = Command(command, {"SUPABASE_DB_URL": database, "INDEX_KEEP_COMMITS": "1"}, tmp_path)
        wait_until(lambda: (sql(ENDING), "upkeep_left" in looking.stderr)[1], 20, "it is not told")
        assert sql("SELECT count(*) FROM indexing.commits") == [(4,)]
    # Then the next look removes them.
    wait_until(lambda: sql("SELECT count(*) <= 2 FROM indexing.commits") == [(True,)], 20, "they stay")
    looking.remove()


def test_names_that_others_have_left_are_looked_for_now_and_again(database: str, tmp_path: Path, sql: Sql) -> None:
    program = (
        "import time\n"
        "from actors import upkeep_behind_jobs\n"
        "upkeep_behind_jobs.LOOK_SECONDS = 0.2\n"
        "upkeep_behind_jobs.UpkeepBehindJobs().after_worker_boot(None, None)\n"
        "time.sleep(60)\n"
    )
    # In the checkout, as the actors are.
    command: list[str | bytes | Path] = [sys.executable, "-c", program, "actors"]
    looking = Command(command, {"SUPABASE_DB_URL": database}, tmp_path)
    for round_no in (1, 2):
        sql("INSERT INTO indexing.unnamed_contents (blob_ids) VALUES ('{}')")
        wait_until(lambda: sql("SELECT count(*) FROM indexing.unnamed_contents") == [(0,)], 20, f"round {round_no}")
    looking.remove()


def test_a_worker_makes_the_tables_of_the_index_and_refuses_those_of_a_newer_release(
    empty_database: str, tmp_path: Path
) -> None:
    def ask(statement: str) -> list[tuple[object, ...]]:
        with closing(psycopg2.connect(empty_database)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    worker = start(empty_database, tmp_path)
    assert ask("SELECT count(*) FROM indexing.index_jobs") == [(0,)]
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 0
    worker.remove()
    newer = """'{"version": 9999}'"""
    ask(
        f"INSERT INTO indexing.migration SELECT (jsonb_populate_record(m, {newer})).* FROM indexing.migration AS m "
        "WHERE version = 1 RETURNING version"
    )
    command: list[str | bytes | Path] = [sys.executable, "-m", "dramatiq", "actors", "-p", "1", "-t", "1"]
    refused = Command(command, {"SUPABASE_DB_URL": empty_database}, tmp_path)
    assert refused.wait() == 3
    assert "expected schema indexing to have version" in refused.stderr
    refused.remove()


def test_a_worker_without_git_does_not_start_and_says_why(database: str, tmp_path: Path) -> None:
    command: list[str | bytes | Path] = [sys.executable, "-m", "dramatiq", "actors", "-p", "1", "-t", "1"]
    started = Command(command, {"SUPABASE_DB_URL": database, "PATH": "/nowhere"}, tmp_path)
    try:
        assert started.wait() == 3
        assert "The worker cannot start: expected git on the PATH" in started.stderr
        assert "install git" in started.stderr
    finally:
        started.remove()

"""Many pushes to one repository: one job waits, the newest commit is indexed, and everybody who asked is told."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from git_repositories import Repository
from processes import Command
from sql_access import Sql
from waiting import wait_until

from .conftest import Begin, Indexq

Start = Callable[[], Command]


@pytest.fixture
def start_worker(database: str, tmp_path: Path) -> Iterator[Start]:
    command: list[str | bytes | Path] = [sys.executable, "-m", "dramatiq", "actors", "-p", "1", "-t", "2"]
    started: list[Command] = []

    def start() -> Command:
        started.append(Command(command, {"SUPABASE_DB_URL": database, "INDEX_PARALLELISM": "1"}, tmp_path))
        return started[-1]

    yield start
    for each in started:
        each.send_signal(signal.SIGTERM)
        assert each.wait() == 0
        each.remove()


def test_pushes_while_one_waits_are_merged_into_the_newest_which_is_indexed(
    indexq: Indexq, begin: Begin, repository: Repository, database: str, sql: Sql, start_worker: Start
) -> None:
    asked = []
    for number in range(4):
        sha = repository.commit({f"new{number}.py": f"def new_{number}(): pass\n"})
        asked.append(json.loads(indexq("index", repository.path, "--commit", sha, "--json").stdout)["id"])
    assert sql("SELECT count(*) FROM dramatiq.queue") == [(1,)]
    assert sql("SELECT id::text, status, merged_into::text FROM indexing.index_jobs ORDER BY created_at") == [
        (asked[0], "merged", asked[1]),
        (asked[1], "merged", asked[2]),
        (asked[2], "merged", asked[3]),
        (asked[3], "pending", None),
    ]
    waiting = begin("index", repository.path, "--commit", sha, "--wait", SUPABASE_DB_URL=database)
    start_worker()
    assert waiting.wait() == 0, waiting.stderr
    assert "Completed" in waiting.stdout
    assert sql("SELECT status, count(*) FROM indexing.index_jobs GROUP BY 1 ORDER BY 1") == [
        ("completed", 1),
        ("merged", 4),
    ]
    assert sql("SELECT sha FROM indexing.commits") == [(sha,)]
    told = indexq("status", asked[3]).stdout
    assert "merged" in told
    assert "Merged into" in told


def test_who_waits_for_a_job_that_is_merged_waits_for_the_one_that_stands_for_it(
    indexq: Indexq, begin: Begin, repository: Repository, database: str, sql: Sql, start_worker: Start
) -> None:
    waiting = begin("index", repository.path, "--wait", SUPABASE_DB_URL=database)
    wait_until(lambda: sql("SELECT count(*) FROM indexing.index_jobs") == [(1,)], 10, "it was not sent")
    newer = json.loads(indexq("index", repository.path, "--json").stdout)["id"]
    start_worker()
    assert waiting.wait() == 0, waiting.stderr
    assert f"a newer job of the repository takes its place: {newer}" in waiting.stdout + waiting.stderr
    assert "Completed" in waiting.stdout


def test_a_job_that_was_sent_without_telling_its_row_is_merged_when_the_newer_one_begins(
    begin: Begin, repository: Repository, database: str, sql: Sql, start_worker: Start
) -> None:
    begin("index", repository.path, SUPABASE_DB_URL=database).wait()
    ((older, repository_id),) = sql("SELECT id::text, repository_id::text FROM indexing.index_jobs")
    ((newer,),) = sql("INSERT INTO indexing.index_jobs (repository_id) VALUES (%s) RETURNING id::text", repository_id)
    sql(
        "SELECT * FROM dramatiq.enqueue('index_repo', queue => 'index-repo', key => %s, kwargs => "
        "jsonb_build_object('index_job_id', %s, 'repository_id', %s))",
        repository_id,
        newer,
        repository_id,
    )
    start_worker()
    wait_until(
        lambda: (
            sql("SELECT id::text, status, merged_into::text FROM indexing.index_jobs ORDER BY created_at")
            == [(older, "merged", newer), (newer, "completed", None)]
        ),
        20,
        "the older row does not say what became of it",
    )

"""``indexq queues``, ``jobs``, ``workers``, ``pause``, ``resume``, ``cancel``, ``purge``: rows and output."""

from __future__ import annotations

import json
from contextlib import closing
from uuid import uuid4

import psycopg2
import pytest
from dead_jobs import bury
from git_repositories import Repository
from processes import Command
from sql_access import Sql
from waiting import wait_until

from .conftest import Indexq

WORKER = """
INSERT INTO dramatiq.worker (worker_id, host, pid, threads, queues)
VALUES ('11111111-1111-4111-8111-111111111111', 'machine-7', 4711, 3, '{index-repo}')
"""
RUN = """
UPDATE dramatiq.queue
   SET state = 'consumed', worker_id = '11111111-1111-4111-8111-111111111111', claim_no = 1, starts = 1,
       mtime = now() - interval '90 seconds'
 WHERE state = 'queued'
"""
STATES = "SELECT coalesce(reason, state::text), count(*) FROM dramatiq.queue GROUP BY 1 ORDER BY 1"


@pytest.fixture
def job(indexq: Indexq, repository: Repository) -> str:
    """The id of an index job that was just sent."""
    job_id: str = json.loads(indexq("index", repository.path, "--json").stdout)["id"]
    return job_id


def test_queues_shows_what_is_where(indexq: Indexq, sql: Sql, job: str) -> None:
    bury(sql, 2, queue="other")
    sql("UPDATE dramatiq.queue SET available_at = now() - interval '75 seconds' WHERE state = 'queued'")

    headings, first, second = indexq("queues").stdout.splitlines()

    assert headings.split() == ["Queue", "Ready", "Scheduled", "Running", "Dead", "Oldest", "Completed/min"]
    assert first.split() == ["index-repo", "1", "0", "0", "0", "1", "min", "15", "s", "0"]
    assert second.split() == ["other", "0", "0", "0", "2", "0"]
    (document, _) = json.loads(indexq("queues", "--json").stdout)["queues"]
    assert (document["name"], document["ready"], document["paused_at"]) == ("index-repo", 1, None)


def test_without_a_queue_worker_or_job_each_list_says_so(indexq: Indexq) -> None:
    for name in ("queues", "workers", "jobs"):
        result = indexq(name)
        assert (result.exit_code, result.stdout) == (0, "")
        assert result.stderr
        assert json.loads(indexq(name, "--json").stdout) == {name: []}


def test_a_paused_queue_is_shown_as_such_until_it_is_resumed(indexq: Indexq, sql: Sql, job: str) -> None:
    assert indexq("pause", "index-repo").stdout == "index-repo is paused.\n"
    assert indexq("pause", "index-repo").stdout == "index-repo was paused before.\n"
    assert indexq("queues").stdout.splitlines()[1].endswith("paused")
    assert sql("SELECT queue_name FROM dramatiq.paused") == [("index-repo",)]

    assert json.loads(indexq("resume", "index-repo", "--json").stdout)["changed"] is True
    assert indexq("resume", "index-repo").stdout == "index-repo was not paused.\n"
    assert sql("SELECT queue_name FROM dramatiq.paused") == []


def test_pausing_a_queue_that_nobody_knows_is_done_and_told(indexq: Indexq) -> None:
    result = indexq("pause", "indexrepo")
    assert result.exit_code == 0
    assert "no job and no worker has a queue 'indexrepo'" in result.stderr


def test_jobs_shows_what_runs_with_its_own_word_of_how_far_it_is(indexq: Indexq, sql: Sql, job: str) -> None:
    sql(WORKER)
    sql(RUN)
    sql("UPDATE indexing.index_jobs SET status = 'processing', phase = 'parse', files_total = 20, files_done = 5")
    ((message_id,),) = sql("SELECT message_id::text FROM dramatiq.queue")

    headings, line = indexq("jobs").stdout.splitlines()

    assert headings.split() == ["Job", "Queue", "Actor", "Arguments", "For", "Where", "Progress"]
    assert line.split()[:3] == [message_id, "index-repo", "index_repo"]
    assert "1 min 30 s" in line
    assert "machine-7 (process 4711)" in line
    assert "shapes: parse 5 of 20 files" in line
    (document,) = json.loads(indexq("jobs", "--json").stdout)["jobs"]
    assert (document["message_id"], document["index_job"]["id"]) == (message_id, job)
    assert indexq("jobs", "--queue", "other").stdout == ""


@pytest.mark.parametrize(
    ("delay", "state", "due"), [("-75 s", "ready", "1 min 15 s ago"), ("90 s", "scheduled", "in 1")]
)
def test_jobs_shows_what_waits(indexq: Indexq, sql: Sql, job: str, delay: str, state: str, due: str) -> None:
    sql("UPDATE dramatiq.queue SET available_at = now() + %s::interval, errors = 2", delay)

    (_, line) = indexq("jobs", "--state", state).stdout.splitlines()

    assert due in line
    assert "(after 2 errors, 0 crashes)" in line
    others = {"ready", "scheduled", "running"} - {state}
    assert all(indexq("jobs", "--state", each).stdout == "" for each in others)


def test_workers_shows_who_lives(indexq: Indexq, sql: Sql, job: str) -> None:
    sql(WORKER)
    sql(RUN)

    headings, line = indexq("workers").stdout.splitlines()

    assert headings.split()[:5] == ["Host", "Process", "Threads", "Jobs", "Queues"]
    assert line.split()[:5] == ["machine-7", "4711", "3", "1", "index-repo"]
    assert json.loads(indexq("workers", "--json").stdout)["workers"][0]["holds"] == 1


def test_a_waiting_job_is_cancelled_by_the_id_of_its_message_or_of_its_index_job(
    indexq: Indexq, sql: Sql, job: str
) -> None:
    indexq("index", "https://example.org/team/other.git")
    ((other,),) = sql("SELECT message_id::text FROM indexing.index_jobs WHERE id <> %s", job)

    result = indexq("cancel", job, other)

    assert result.exit_code == 0
    assert result.stdout.count("cancelled while it was waiting.") == 2
    assert sql(STATES) == [("cancelled", 2)]
    assert sql("SELECT DISTINCT status, error FROM indexing.index_jobs") == [
        ("failed", "cancelled: cancelled while it was waiting")
    ]


def test_what_neither_waits_nor_runs_is_not_cancelled_but_named(indexq: Indexq, sql: Sql, job: str) -> None:
    (dead,) = bury(sql)
    result = indexq("cancel", job, dead, "--json")

    assert result.exit_code == 1
    assert [each["state"] for each in json.loads(result.stdout)["cancelled"]] == ["ready"]
    assert result.stderr == f"indexq: expected ids of jobs that wait or run, but these do neither: {dead}\n"
    assert indexq("cancel", str(uuid4())).exit_code == 1
    assert indexq("cancel").exit_code == 2


def test_the_index_of_a_running_job_that_is_cancelled_is_not_published(
    indexq: Indexq, sql: Sql, database: str, repository: Repository, worker: Command
) -> None:
    # Somebody holds a table that the run needs, so it is still running when it is cancelled.
    with closing(psycopg2.connect(database)) as connection:
        connection.cursor().execute("LOCK TABLE indexing.blobs IN ACCESS EXCLUSIVE MODE")
        job = json.loads(indexq("index", repository.path, "--json").stdout)["id"]
        wait_until(lambda: sql("SELECT status FROM indexing.index_jobs") == [("processing",)], 30)

        result = indexq("cancel", job)

        assert result.exit_code == 0
        assert "cancelled while it was running (pid " in result.stdout
    worker.wait_to_say("LeaseLost")

    assert sql("SELECT status FROM indexing.index_jobs") == [("failed",)]
    assert sql("SELECT count(*) FROM indexing.commits WHERE published_at IS NOT NULL") == [(0,)]
    assert sql(STATES) == [("cancelled", 1)]


def test_purge_removes_what_was_named_after_asking(indexq: Indexq, sql: Sql, job: str) -> None:
    bury(sql, 2, queue="index-repo")

    assert indexq("purge", "index-repo").exit_code == 2
    refused = indexq("purge", "index-repo", "--dead")
    assert refused.exit_code == 2
    assert "Remove 2 dead jobs of index-repo for good? Nobody can be asked here" in refused.stderr
    dry = indexq("purge", "index-repo", "--dead", "--dry-run")
    assert dry.stdout == "It would be 2 dead jobs of index-repo. Nothing was removed.\n"
    assert sql(STATES) == [("queued", 1), ("retries_exhausted", 2)]

    assert indexq("purge", "index-repo", "--dead", "--yes").stdout == "Removed: 2 dead jobs of index-repo.\n"
    assert sql(STATES) == [("queued", 1)]
    document = json.loads(indexq("purge", "index-repo", "--waiting", "--yes", "--json").stdout)
    assert (document["matching"], document["removed"]) == (1, 1)
    assert sql(STATES) == []

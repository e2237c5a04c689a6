"""``indexq status``: the job's own word, and the queue's."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest
from git_repositories import Repository
from sql_access import Sql

from .conftest import Indexq

WORKER = """
INSERT INTO dramatiq.worker (worker_id, host, pid, threads, queues)
VALUES ('11111111-1111-4111-8111-111111111111', 'machine-7', 4711, 1, '{index-repo}')
"""
RUN = """
UPDATE dramatiq.queue
   SET state = 'consumed', worker_id = '11111111-1111-4111-8111-111111111111', claim_no = 1, starts = 1
"""


@pytest.fixture
def job(indexq: Indexq, repository: Repository) -> str:
    """The id of a job that was just sent."""
    result = indexq("index", repository.path, "--commit", "v1", "--json")
    job_id: str = json.loads(result.stdout)["id"]
    return job_id


def test_without_a_job_it_says_how_to_make_one(indexq: Indexq) -> None:
    result = indexq("status")

    assert (result.exit_code, result.stdout) == (0, "")
    assert "indexq index" in result.stderr
    assert json.loads(indexq("status", "--json").stdout) == {"jobs": []}


def test_the_newest_jobs_come_first_one_line_each(indexq: Indexq, job: str, repository: Repository) -> None:
    newer = json.loads(indexq("index", "https://example.org/newer.git", "--json").stdout)["id"]

    headings, first, second = indexq("status").stdout.splitlines()

    assert headings.split() == ["Job", "Repository", "Commit", "State", "Progress", "Age"]
    assert first.split()[:4] == [newer, "newer", "HEAD", "ready"]
    assert second.split()[:4] == [job, "shapes", "v1", "ready"]
    assert len(indexq("status", "--limit", "1").stdout.splitlines()) == 2


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([], "ready"),
        (["UPDATE dramatiq.queue SET available_at = now() + interval '150 seconds'"], "scheduled for 2"),
        (["UPDATE dramatiq.queue SET available_at = now() + interval '150 seconds'"], "(in 2 min "),
        ([WORKER, RUN], "running on machine-7 (process 4711)"),
        (["UPDATE dramatiq.queue SET state = 'rejected', reason = 'expired'"], "dead: expired"),
        (["DELETE FROM dramatiq.queue"], "not in the queue"),
    ],
    ids=["ready", "scheduled", "delay", "running", "dead", "gone"],
)
def test_an_unfinished_job_is_where_the_queue_says_it_is(
    indexq: Indexq, sql: Sql, job: str, changes: list[str], expected: str
) -> None:
    for change in changes:
        sql(change)

    assert expected in indexq("status").stdout.splitlines()[1]
    (line,) = [line for line in indexq("status", job).stdout.splitlines() if line.startswith("Queue")]
    assert expected in line


def test_a_job_that_waits_says_until_when(indexq: Indexq, sql: Sql, job: str) -> None:
    sql("UPDATE dramatiq.queue SET expires_at = '2100-01-02 12:00+00'")
    assert any(
        line.startswith("Expires  ") and "2100-01-02" in line for line in indexq("status", job).stdout.splitlines()
    )
    sql(WORKER)
    sql(RUN)
    assert "Expires" not in indexq("status", job).stdout


def test_a_running_job_shows_how_far_it_is(indexq: Indexq, sql: Sql, job: str) -> None:
    sql(
        "UPDATE indexing.index_jobs SET status = 'processing', phase = 'parse', files_total = 2000, files_done = 1500,"
        " symbols = 12345, bytes_done = 37500000, rest_seconds = 42, started_at = now()"
    )

    told = "parse 1,500 of 2,000 files, 37.5 MB, 12,345 symbols, about 42 s left"
    assert told in indexq("status").stdout
    assert told in indexq("status", job).stdout


def test_a_failed_job_shows_its_error(indexq: Indexq, sql: Sql, job: str) -> None:
    sql("UPDATE indexing.index_jobs SET status = 'failed', error = E'no such commit\\nmore', finished_at = now()")
    sql("UPDATE dramatiq.queue SET state = 'rejected', reason = 'permanent'")

    line = indexq("status").stdout.splitlines()[1]
    assert "failed" in line
    assert "no such commit" in line
    assert "more" not in line
    assert "more" in indexq("status", job).stdout


def test_a_failed_job_that_an_operator_has_put_back_is_shown_as_ready(indexq: Indexq, sql: Sql, job: str) -> None:
    sql("UPDATE indexing.index_jobs SET status = 'failed', error = 'no such commit', finished_at = now()")
    sql("UPDATE dramatiq.queue SET state = 'rejected', reason = 'permanent'")
    assert "failed" in indexq("status").stdout.splitlines()[1]

    ((message_id,),) = sql("SELECT message_id::text FROM dramatiq.queue")
    indexq("dead", "retry", message_id)

    line = indexq("status").stdout.splitlines()[1]
    assert "ready" in line
    assert "failed" not in line


def test_a_completed_job_shows_what_it_found(indexq: Indexq, sql: Sql, job: str) -> None:
    stats = json.dumps({"files_by_language": {"python": 2, "go": 3}, "skips_by_reason": {"binary": 1}})
    sql(
        "UPDATE indexing.index_jobs SET status = 'completed', files_total = 6, files_done = 6, symbols = 9, stats = %s,"
        " resolved_sha = %s, started_at = now() - interval '75 seconds', finished_at = now()",
        stats,
        "ab" * 20,
    )

    assert "abababababab  completed  6 files, 9 symbols" in indexq("status").stdout
    details = dict(line.split(maxsplit=1) for line in indexq("status", job).stdout.splitlines())
    assert details["Commit"] == f"{'ab' * 20} (v1)"
    assert details["Languages"] == "go 3, python 2"
    assert details["Skipped"] == "binary 1"
    assert details["Took"] == "1 min 15 s"


def test_what_became_of_earlier_runs_is_shown(indexq: Indexq, sql: Sql, job: str) -> None:
    attempt = {"ended": "2026-01-01T00:00:00+00:00", "outcome": "error", "error": "no"}
    sql("UPDATE dramatiq.queue SET attempts = %s", json.dumps([attempt]))
    (line,) = (line for line in indexq("status", job).stdout.splitlines() if line.startswith("Earlier"))
    assert line.endswith("error  no")


def test_json_has_the_row_and_the_queues_record(indexq: Indexq, sql: Sql, job: str) -> None:
    one = json.loads(indexq("status", job, "--json").stdout)
    (listed,) = json.loads(indexq("status", "--json").stdout)["jobs"]

    assert one == listed
    assert (one["id"], one["status"], one["commit_sha"]) == (job, "pending", "v1")
    assert (one["queue"]["state"], one["queue"]["message_id"]) == ("ready", one["message_id"])


def test_an_unknown_job_is_exit_code_1_and_no_id_at_all_is_2(indexq: Indexq) -> None:
    unknown = str(uuid4())
    result = indexq("status", unknown, "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"indexq: expected the id of an index job, got: {unknown}, which is none; see them with: indexq status\n"
    )

    assert indexq("status", "42").exit_code == 2

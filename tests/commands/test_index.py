"""``indexq index``: rows and message, all or none."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import psycopg2
import pytest
from git_repositories import Repository
from psycopg2 import extensions
from sql_access import Sql
from waiting import wait_until

from .conftest import Begin, Indexq

JOBS = """
SELECT j.id::text, r.id::text, r.name, r.url, j.commit_sha, j.status, j.message_id::text
  FROM indexing.index_jobs AS j JOIN indexing.repositories AS r ON r.id = j.repository_id ORDER BY j.created_at
"""
NOTHING = [(0, 0, 0)]
COUNTS = """
SELECT (SELECT count(*) FROM indexing.repositories), (SELECT count(*) FROM indexing.index_jobs),
       (SELECT count(*) FROM dramatiq.queue)
"""


def test_repository_job_and_message_are_written_and_the_job_is_named(
    begin: Begin, database: str, repository: Repository, sql: Sql
) -> None:
    command = begin("index", repository.path, SUPABASE_DB_URL=database)

    assert command.wait() == 0
    assert command.stderr == ""
    ((job, repository_id, name, url, commit, status, message_id),) = sql(JOBS)
    assert command.stdout == f"Job {job}: {repository.url} at HEAD is in the queue.\n"
    assert (name, url, commit, status) == ("shapes", repository.url, None, "pending")
    ((queue, state, message),) = sql(
        "SELECT queue_name, state::text, message FROM dramatiq.queue WHERE message_id = %s", message_id
    )
    assert (queue, state, message["actor_name"], message["args"]) == ("index-repo", "queued", "index_repo", [])
    assert message["kwargs"] == {"index_job_id": job, "repository_id": repository_id, "commit_sha": None}


def test_commit_and_name_are_kept_and_json_is_the_job(indexq: Indexq, repository: Repository, sql: Sql) -> None:
    result = indexq("index", repository.path, "--commit", "main", "--name", "Figures", "--json")

    assert result.exit_code == 0
    ((job, repository_id, name, _, commit, _, message_id),) = sql(JOBS)
    assert (name, commit) == ("Figures", "main")
    document = json.loads(result.stdout)
    assert (document["id"], document["repository_id"], document["message_id"]) == (job, repository_id, message_id)
    assert (document["status"], document["commit_sha"], document["repository_name"]) == ("pending", "main", "Figures")
    ((kwargs,),) = sql("SELECT message -> 'kwargs' FROM dramatiq.queue")
    assert kwargs["commit_sha"] == "main"


def test_the_same_repository_twice_is_one_repository_and_one_message(
    indexq: Indexq, repository: Repository, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexq("index", repository.path)
    monkeypatch.chdir(repository.path / "src")
    again = indexq("index", "..")

    assert again.exit_code == 0
    assert "takes the place of one that waited" in again.stdout
    assert sql(COUNTS) == [(1, 2, 1)]


def test_a_url_is_taken_as_it_is(indexq: Indexq, sql: Sql) -> None:
    assert indexq("index", "https://example.org/team/project.git").exit_code == 0
    assert indexq("index", "git@example.org:team/other.git").exit_code == 0

    assert [(name, url) for _, _, name, url, *_ in sql(JOBS)] == [
        ("project", "https://example.org/team/project.git"),
        ("other", "git@example.org:team/other.git"),
    ]


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("nowhere", "found nothing at"),
        ("", "got nothing"),
        ("file:///no/such/place", "found nothing at"),
        ("a-file", "found a file at"),
        ("x" * 5000, "that can be read"),
        ("http://example.org/project", "got the scheme 'http'"),
        ("ext::sh -c id", "got the scheme 'ext'"),
        ("https://someone:s3cret-word@example.org/project", "without user name and password"),
    ],
    ids=lambda value: value[:20],
)
def test_a_place_that_cannot_be_indexed_is_refused_and_nothing_is_written(
    indexq: Indexq, sql: Sql, tmp_path: Path, place: str, expected: str
) -> None:
    (tmp_path / "a-file").write_text("")

    result = indexq("index", place)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert expected in result.stderr
    assert "s3cret-word" not in result.stderr
    assert sql(COUNTS) == NOTHING


def test_when_the_message_cannot_be_stored_neither_repository_nor_job_is(
    indexq: Indexq, repository: Repository, sql: Sql
) -> None:
    sql("ALTER TABLE dramatiq.queue ADD CONSTRAINT closed CHECK (queue_name <> 'index-repo')")

    result = indexq("index", repository.path)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert '"closed"' in result.stderr
    assert sql(COUNTS) == NOTHING


def test_a_worker_that_listens_is_woken(indexq: Indexq, database: str, repository: Repository) -> None:
    listener = psycopg2.connect(database)
    try:
        listener.set_isolation_level(extensions.ISOLATION_LEVEL_AUTOCOMMIT)
        with listener.cursor() as cursor:
            cursor.execute('LISTEN "dramatiq.index-repo"')
        indexq("index", repository.path)

        def rung() -> bool:
            listener.poll()
            return bool(listener.notifies)

        wait_until(rung, 5, "a notification")
    finally:
        listener.close()


def test_a_repository_that_somebody_holds_is_given_up_in_time(
    indexq: Indexq, database: str, repository: Repository, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexq("index", repository.path)
    monkeypatch.setattr("commands.database.ANSWER_SECONDS", 0.5)
    holder = psycopg2.connect(database)
    try:
        with holder.cursor() as cursor:
            cursor.execute("SET idle_in_transaction_session_timeout TO '5s'")  # A command that waits fails, too.
            cursor.execute("SELECT FROM indexing.repositories FOR UPDATE")
            result = indexq("index", repository.path)
    finally:
        holder.close()

    assert result.exit_code == 3
    assert result.stderr == "indexq: the database is not available: it did not answer within 0.5 s\n"
    assert sql(COUNTS) == [(1, 1, 1)]


def test_no_session_stays_behind(indexq: Indexq, repository: Repository, sql: Sql) -> None:
    job = json.loads(indexq("index", repository.path, "--json").stdout)["id"]
    indexq("status", str(UUID(job)))

    def alone() -> bool:
        return sql(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ) == [(0,)]

    wait_until(alone, 5, "every session but this one to be closed")

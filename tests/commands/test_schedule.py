"""``indexq schedule``: a repository indexed again and again, once a tick."""

from __future__ import annotations

import json

import pytest
from git_repositories import Repository
from processes import Command
from sql_access import Sql
from waiting import wait_until

from .conftest import Indexq

NIGHTLY = ("schedule", "add", "nightly", "30 2 * * *")


def test_a_schedule_is_added_listed_replaced_and_removed(indexq: Indexq, sql: Sql, repository: Repository) -> None:
    added = indexq(*NIGHTLY, "--", "index", repository.path, "--commit", "main")
    assert added.exit_code == 0
    assert added.stdout.startswith(f"Added nightly: {repository.path}, next at ")
    ((repository_id,),) = sql("SELECT id::text FROM indexing.repositories")

    headings, line = indexq("schedule", "list").stdout.splitlines()
    assert headings.split() == ["Name", "Cron", "Zone", "Sends", "Next", "Last"]
    assert line.startswith("nightly  30 2 * * *  UTC")
    assert "index_on_schedule(" in line
    (document,) = json.loads(indexq("schedule", "list", "--json").stdout)["schedules"]
    assert document["kwargs"] == {"repository_id": repository_id, "commit_sha": "main"}

    again = indexq(*NIGHTLY, "--time-zone", "Europe/Vienna", "--json", "--", "index", "https://example.org/a.git")
    assert json.loads(again.stdout)["time_zone"] == "Europe/Vienna"
    assert indexq("schedule", "remove", "nightly").stdout == "Removed nightly.\n"
    assert indexq("schedule", "remove", "nightly").exit_code == 1
    assert sql("SELECT count(*) FROM dramatiq.schedule") == [(0,)]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("add", "n", "30 2 * *", "--", "index", "."), "expected five cron fields"),
        (("add", "n", "30 2 * * *", "--time-zone", "Nowhere", "--", "index", "."), "expected a time zone"),
        (("add", "n", "30 2 * * *", "--", "status"), "expected `index PATH_OR_URL` behind --, got: 'status'"),
        (("add", "n", "30 2 * * *", "--", "index"), "Missing argument"),
        (("add", "n", "30 2 * * *", "--", "index", ".", "--wait"), "No such option"),
        (("add", "n", "30 2 * * *", "--", "index", "/nowhere/at/all"), "expected a directory or the URL"),
    ],
)
def test_what_cannot_be_scheduled_is_exit_code_2(
    indexq: Indexq, sql: Sql, arguments: tuple[str, ...], told: str
) -> None:
    result = indexq("schedule", *arguments)
    assert result.exit_code == 2
    assert told in result.stderr
    assert sql("SELECT count(*) FROM dramatiq.schedule") == [(0,)]


def test_a_tick_becomes_an_index_job_of_its_own(
    indexq: Indexq, sql: Sql, repository: Repository, worker: Command
) -> None:
    def completed() -> int:
        ((count,),) = sql("SELECT count(*) FROM indexing.index_jobs WHERE status = 'completed'")
        return int(count)

    indexq(*NIGHTLY, "--", "index", repository.path)
    sql("UPDATE dramatiq.schedule SET next_at = now()")
    wait_until(lambda: completed() == 1, 20)
    sql("UPDATE dramatiq.schedule SET next_at = now()")
    wait_until(lambda: completed() == 2, 20)

    assert sql("SELECT count(*) FROM indexing.repositories") == [(1,)]
    assert "schedule_ticked" in worker.stderr


def test_a_tick_that_is_run_again_makes_no_second_index_job(indexq: Indexq, sql: Sql, repository: Repository) -> None:
    indexq(*NIGHTLY, "--", "index", repository.path)
    from actors import broker, index_on_schedule
    from leasequeue.lease import Lease, enter, leave

    ((repository_id,),) = sql("SELECT id::text FROM indexing.repositories")
    ((message_id, worker_id),) = sql(
        "INSERT INTO dramatiq.queue (message_id, state, worker_id, claim_no)"
        " VALUES (gen_random_uuid(), 'consumed', gen_random_uuid(), 1) RETURNING message_id::text, worker_id::text"
    )
    enter(Lease(message_id, "default", worker_id, 1))
    try:
        for _ in range(2):
            index_on_schedule.fn(repository_id)
    finally:
        leave()
        broker.close()

    assert sql("SELECT count(*) FROM indexing.index_jobs") == [(1,)]
    assert sql("SELECT count(*) FROM dramatiq.queue WHERE state = 'queued'") == [(1,)]

"""The soak: a short one passes, and its verdict sees what is wrong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from soaking.judgement import Verdict, judge
from sql_access import Sql

ROOT = Path(__file__).resolve().parents[2]

LEDGER = """
CREATE SCHEMA ledger;
CREATE TABLE ledger.run (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, message_id uuid NOT NULL, worker_id uuid NOT NULL,
  started_at timestamptz NOT NULL, ended_at timestamptz, outcome text, key text, number integer);
CREATE TABLE ledger.death (worker_id uuid NOT NULL, death text NOT NULL)
"""

NOW = datetime.now(UTC)

Judged = Callable[..., Verdict]


def test_a_short_soak_loses_nothing_and_says_so() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "soak.py", "--minutes", "0.15", "--seed", "11", "--workers", "2"],
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "seed 11" in done.stdout
    assert "faults in all" in done.stdout


@pytest.fixture
def judged(sql: Sql) -> Judged:
    """Judges the test's database, whose jobs have no faults to explain anything by unless they are given."""
    sql(LEDGER)

    def ask(
        sent: set[str],
        killers: set[str] | None = None,
        kills: list[datetime] | None = None,
        dead_worker: str | None = None,
        pushed: dict[str, int] | None = None,
    ) -> Verdict:
        if dead_worker is not None:
            sql("INSERT INTO ledger.death VALUES (%s, 'it was silent for 9 s')", dead_worker)
        verdict = judge(sql, sent=sent, killers=killers or set(), pushed=pushed or {}, server_kills=kills or [])
        sql("TRUNCATE ledger.death")
        return verdict

    return ask


def done(sql: Sql) -> str:
    message_id = str(uuid4())
    sql(
        "INSERT INTO dramatiq.done "
        "(message_id, queue_name, enqueued_at, finished_at, starts, errors, crashes, keep_until) "
        "VALUES (%s, 'default', now(), now(), 1, 0, 0, now())",
        message_id,
    )
    return message_id


def run(sql: Sql, message_id: str, worker_id: str, started: float, ended: float | None, outcome: str | None) -> None:
    sql(
        "INSERT INTO ledger.run (message_id, worker_id, started_at, ended_at, outcome) VALUES (%s, %s, %s, %s, %s)",
        message_id,
        worker_id,
        NOW + timedelta(seconds=started),
        None if ended is None else NOW + timedelta(seconds=ended),
        outcome,
    )


def test_a_job_in_no_table_is_lost(judged: Judged, sql: Sql) -> None:
    assert judged({done(sql)}).wrong == []
    assert judged({done(sql), str(uuid4())}).wrong[0].startswith("lost: ")


def test_a_job_that_waits_or_is_held_at_the_end_is_stuck(judged: Judged, sql: Sql) -> None:
    sql("INSERT INTO dramatiq.queue (message_id, state, message) VALUES (gen_random_uuid(), 'queued', '{}')")
    assert [line.partition(":")[0] for line in judged(set()).wrong] == ["stuck"]


def test_a_killer_that_is_done_is_wrong(judged: Judged, sql: Sql) -> None:
    killer = done(sql)
    assert judged({killer}, killers={killer}).wrong[0].startswith("killers that are not dead")


def test_a_second_run_needs_an_explanation(judged: Judged, sql: Sql) -> None:
    job, worker = done(sql), str(uuid4())
    run(sql, job, worker, 0, 1, "done")
    run(sql, job, str(uuid4()), 2, 3, "done")
    assert [line.partition(":")[0] for line in judged({job}).wrong] == ["runs again that nothing explains"]
    assert judged({job}, dead_worker=worker).wrong == []
    assert judged({job}, kills=[NOW + timedelta(seconds=1.5)]).wrong == []
    assert judged({job}, kills=[NOW + timedelta(seconds=10)]).wrong != []


def test_a_claim_that_was_lost_by_a_server_crash_explains_a_run_that_ended_long_after_it(
    judged: Judged, sql: Sql
) -> None:
    job = done(sql)
    run(sql, job, str(uuid4()), 0, 12, "done")
    run(sql, job, str(uuid4()), 11, 13, "done")
    assert judged({job}, kills=[NOW + timedelta(seconds=0.5)]).wrong == []
    assert judged({job}, kills=[NOW + timedelta(seconds=5)]).wrong != []


def test_two_runs_at_the_same_time_need_a_lost_lease(judged: Judged, sql: Sql) -> None:
    job, worker = done(sql), str(uuid4())
    run(sql, job, worker, 0, 2, "error")
    run(sql, job, str(uuid4()), 1, 3, "done")
    assert [line.partition(":")[0] for line in judged({job}).wrong] == ["overlaps without a lost lease"]
    assert judged({job}, dead_worker=worker).wrong == []


def push(sql: Sql, number: int, worker_id: str, started: float, ended: float) -> None:
    run(sql, str(uuid4()), worker_id, started, ended, "done")
    sql("UPDATE ledger.run SET key = 'k', number = %s WHERE number IS NULL", number)


def test_two_pushes_of_a_key_at_the_same_time_need_a_lost_lease(judged: Judged, sql: Sql) -> None:
    worker = str(uuid4())
    push(sql, 1, worker, 0, 2)
    push(sql, 2, str(uuid4()), 1, 3)
    assert [line.partition(":")[0] for line in judged(set()).wrong] == [
        "two runs of a key at a time without a lost lease"
    ]
    assert judged(set(), dead_worker=worker).wrong == []


def test_the_newest_push_of_a_key_must_have_been_run(judged: Judged, sql: Sql) -> None:
    push(sql, 1, str(uuid4()), 0, 2)
    assert judged(set(), pushed={"k": 1}).wrong == []
    assert judged(set(), pushed={"k": 2}).wrong == ["keys whose newest push was not run: k"]

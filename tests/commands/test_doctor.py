"""``indexq doctor``: findings, and exit codes for CI."""

from __future__ import annotations

import json

from sql_access import Sql

from .conftest import Indexq


def test_doctor_shows_each_question_and_exits_with_0_when_nothing_fails(indexq: Indexq) -> None:
    result = indexq("doctor")

    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["State", "What", "Found"]
    assert any(line.startswith("ok") and "notifications" in line for line in lines)
    document = json.loads(indexq("doctor", "--json").stdout)
    assert document["healthy"] is True
    assert set(document["findings"][0]) == {"name", "level", "told", "advice"}


def test_a_failure_is_exit_code_1_and_strict_makes_one_of_a_warning(indexq: Indexq, sql: Sql) -> None:
    sql("DROP INDEX dramatiq.queue_dead")
    assert indexq("doctor").exit_code == 0
    strict = indexq("doctor", "--strict")
    assert strict.exit_code == 1
    assert "WARN   drift" in strict.stdout

    sql("ALTER TABLE dramatiq.queue DROP COLUMN redriven")
    failed = indexq("doctor", "--json")
    assert failed.exit_code == 1
    assert json.loads(failed.stdout)["healthy"] is False


def test_a_database_without_our_tables_fails_with_what_to_do(indexq: Indexq, sql: Sql) -> None:
    sql("DROP SCHEMA dramatiq CASCADE")
    result = indexq("doctor")
    assert result.exit_code == 1
    assert "FAIL   schema" in result.stdout
    assert "Migrate" in result.stdout


def test_settings_that_contradict_each_other_are_exit_code_2_and_doubtful_ones_a_warning(indexq: Indexq) -> None:
    wrong = indexq("doctor", LEASE_SECONDS="5", HEARTBEAT_SECONDS="3")
    assert wrong.exit_code == 2
    assert "expected LEASE_SECONDS to be more than twice HEARTBEAT_SECONDS" in wrong.stderr

    doubtful = indexq("doctor", GIT_TIMEOUT="3600")
    assert doubtful.exit_code == 0
    assert "WARN   settings" in doubtful.stdout
    assert "GIT_TIMEOUT (3600 s) is not less than JOB_TIME_LIMIT (3600 s)" in doubtful.stdout


def test_a_machine_without_git_fails_with_what_to_do(indexq: Indexq) -> None:
    result = indexq("doctor", PATH="/nowhere")
    assert result.exit_code == 1
    assert "FAIL   git" in result.stdout
    assert "expected git on the PATH" in result.stdout

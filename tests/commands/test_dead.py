"""``indexq dead``: rows and output of finding out what died, and of putting it back or aside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import pytest
from dead_jobs import bury
from sql_access import Sql
from waiting import wait_until

from commands.output import local_time

from .conftest import INDEXQ, Begin, Indexq

STATES = "SELECT coalesce(reason, state::text), count(*) FROM dramatiq.queue GROUP BY 1 ORDER BY 1"


def test_list_shows_causes_with_counts_the_most_frequent_first(indexq: Indexq, sql: Sql) -> None:
    bury(sql, 1, reason="crashed", error="crashed 3 times: its worker (pid 7 on host) died or stopped answering")
    bury(sql, 3)

    headings, first, second = indexq("dead", "list").stdout.splitlines()

    assert headings.split()[:4] == ["Cause", "Dead", "Reason", "Queue"]
    cause, *told = first.split()
    assert told[:4] == ["3", "retries_exhausted", "default", "work"]
    assert "TimeoutError: no answer from host-3" in first
    assert "crashed 3 times" in second
    document = json.loads(indexq("dead", "list", "--json").stdout)
    assert [(each["count"], each["reason"]) for each in document["causes"]] == [
        (3, "retries_exhausted"),
        (1, "crashed"),
    ]
    assert document["causes"][0]["cause"] == cause
    assert len(indexq("dead", "list", "--limit", "1").stdout.splitlines()) == 2


def test_list_jobs_shows_each_with_its_arguments_and_what_the_filters_leave(indexq: Indexq, sql: Sql) -> None:
    old, new = bury(sql, 1, age="2 days"), bury(sql, 1)

    headings, first, second = indexq("dead", "list", "--jobs").stdout.splitlines()

    assert headings.split()[0] == "Job"
    assert first.split()[:5] == [*new, "retries_exhausted", "default", "work", "1"]
    assert second.split()[0] == old[0]
    listed = json.loads(indexq("dead", "list", "--jobs", "--until", "1d", "--error", "in fetch", "--json").stdout)
    assert [each["message_id"] for each in listed["jobs"]] == old
    assert json.loads(indexq("dead", "list", "--since", "1h", "--json").stdout)["causes"][0]["count"] == 1


def test_show_survives_earlier_runs_of_an_import_that_are_none(indexq: Indexq, sql: Sql) -> None:
    (job,) = bury(sql, 1)
    sql("""UPDATE dramatiq.queue SET attempts = '[5, null, "text", {"ended": 7, "outcome": "error"}]'""")
    shown = indexq("dead", "show", job)
    assert shown.exit_code == 0
    assert [line.split()[-1] for line in shown.stdout.splitlines() if "Earlier" in line or line.startswith("  ")][
        :4
    ] == [
        "5",
        "None",
        "text",
        "error",
    ]


def test_nothing_dead_is_no_failure(indexq: Indexq) -> None:
    result = indexq("dead", "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "Nothing is dead" in result.stderr
    assert json.loads(indexq("dead", "list", "--json").stdout) == {"causes": []}
    assert json.loads(indexq("dead", "list", "--jobs", "--json").stdout) == {"jobs": []}


def test_a_time_that_is_none_is_exit_code_2(indexq: Indexq) -> None:
    result = indexq("dead", "list", "--since", "yesterday")
    assert result.exit_code == 2
    assert "expected a time like" in result.stderr


def test_show_has_arguments_runs_and_the_traceback_and_escapes_what_a_terminal_obeys(indexq: Indexq, sql: Sql) -> None:
    (job,) = bury(sql, 1, error="ValueError: \x1b[31mred\n\nTraceback\n  line 3")

    shown = indexq("dead", "show", job).stdout

    details = {line[:10].strip(): line[11:].strip() for line in shown.splitlines()}
    assert details["Reason"] == "retries_exhausted"
    assert details["Starts"].startswith("4 (4 ended in an error, 0 ")
    assert details["Error"] == "ValueError: \\x1b[31mred"
    assert "line 3" in shown
    ended = local_time(datetime.fromisoformat("2026-01-01T00:00:00+00:00"))
    assert f"{ended}  error  1@host  first" in shown
    document = json.loads(indexq("dead", "show", job, "--json").stdout)
    assert (document["message_id"], document["message"]["args"]) == (job, [1])


def test_show_says_what_an_id_is_when_it_is_not_that_of_a_dead_job(indexq: Indexq, sql: Sql) -> None:
    (job,) = bury(sql)
    sql("UPDATE dramatiq.queue SET state = 'queued', reason = NULL")

    ready, unknown = indexq("dead", "show", job), indexq("dead", "show", str(uuid4()))

    assert (ready.exit_code, unknown.exit_code) == (1, 1)
    assert "which is one that is ready" in ready.stderr
    assert "which is nothing" in unknown.stderr


def test_retry_by_id_puts_back_what_is_dead_and_names_what_is_not(indexq: Indexq, sql: Sql) -> None:
    job, other = bury(sql, 2)
    unknown = str(uuid4())

    looked = indexq("dead", "retry", job, "--dry-run")
    assert (looked.exit_code, sql(STATES)) == (0, [("retries_exhausted", 2)])
    result = indexq("dead", "retry", job, unknown)

    assert result.exit_code == 1
    assert result.stdout == "Put back: 1 dead job.\n"
    assert unknown in result.stderr
    assert sql("SELECT message_id::text FROM dramatiq.queue WHERE state = 'queued'") == [(job,)]
    assert indexq("dead", "retry", other, "--json").exit_code == 0


@pytest.mark.parametrize("command", ["retry", "discard"])
def test_what_is_meant_must_be_clear_and_many_need_a_yes(indexq: Indexq, sql: Sql, command: str) -> None:
    (job,) = bury(sql)

    assert indexq("dead", command).exit_code == 2
    assert indexq("dead", command, job, "--all-matching").exit_code == 2
    assert indexq("dead", command, job, "--queue", "default").exit_code == 2
    refused = indexq("dead", command, "--all-matching")

    assert refused.exit_code == 2
    assert "1 dead job? Nobody can be asked here; say --yes" in refused.stderr
    assert sql(STATES) == [("retries_exhausted", 1)]


@pytest.mark.parametrize(("answer", "exit_code", "state"), [("n", 1, "retries_exhausted"), ("y", 0, "queued")])
def test_at_a_terminal_a_bulk_action_asks_first(
    database: str, sql: Sql, tmp_path: Path, answer: str, exit_code: int, state: str
) -> None:
    bury(sql, 2)
    terminal, there = os.openpty()
    try:
        os.write(terminal, answer.encode() + b"\n")
        ran = subprocess.run(
            [INDEXQ, "dead", "retry", "--all-matching"],
            stdin=there,
            capture_output=True,
            cwd=tmp_path,
            env={"SUPABASE_DB_URL": database, "PATH": os.environ["PATH"]},
            timeout=30,
            check=False,
        )
    finally:
        os.close(terminal)
        os.close(there)

    assert (ran.returncode, sql(STATES)) == (exit_code, [(state, 2)])
    assert b"Put back 2 dead jobs? [y/N]" in ran.stderr


def test_retry_all_matching_puts_back_these_and_no_others(indexq: Indexq, sql: Sql) -> None:
    bury(sql, 30)
    bury(sql, 5, reason="permanent", error="ValueError: wrong")
    cause = json.loads(indexq("dead", "list", "--json").stdout)["causes"][0]["cause"]

    looked = indexq("dead", "retry", "--all-matching", "--cause", cause, "--dry-run")
    assert looked.exit_code == 0
    assert "Matching: 30 dead jobs. Nothing was changed." in looked.stdout
    assert sql(STATES) == [("permanent", 5), ("retries_exhausted", 30)]

    some = indexq("dead", "retry", "--all-matching", "--cause", cause, "--limit", "10", "--yes", "--json")
    assert json.loads(some.stdout) == {"dry_run": False, "matching": 30, "retried": 10, "canary": None}
    result = indexq("dead", "retry", "--all-matching", "--cause", cause, "--rate", "1000", "--yes")
    assert result.stdout == "Put back: 20 of 20 matching dead jobs.\n"
    assert sql(STATES) == [("permanent", 5), ("queued", 30)]


def test_discard_all_matching_puts_these_aside(indexq: Indexq, sql: Sql) -> None:
    bury(sql, 3)
    bury(sql, 2, reason="expired", error="not finished within the time it had")

    dry = json.loads(indexq("dead", "discard", "--all-matching", "--reason", "expired", "--dry-run", "--json").stdout)
    assert (dry["matching"], dry["causes"][0]["count"]) == (2, 2)
    result = indexq("dead", "discard", "--all-matching", "--reason", "expired", "--yes", "--json")

    assert json.loads(result.stdout) == {"dry_run": False, "matching": 2, "discarded": 2}
    assert sql(STATES) == [("discarded", 2), ("retries_exhausted", 3)]
    assert json.loads(indexq("dead", "list", "--json").stdout)["causes"][0]["count"] == 3
    assert len(json.loads(indexq("dead", "list", "--jobs", "--reason", "discarded", "--json").stdout)["jobs"]) == 2


def test_export_and_import_bring_dead_jobs_into_another_database(indexq: Indexq, sql: Sql, tmp_path: Path) -> None:
    bury(sql, 250)
    file = tmp_path / "dead.jsonl"

    assert indexq("dead", "export", "--output", file).exit_code == 0
    assert len(file.read_text().splitlines()) == 250
    assert len(indexq("dead", "export").stdout.splitlines()) == 250
    sql("DELETE FROM dramatiq.queue")
    result = indexq("dead", "import", file, "--json")

    assert json.loads(result.stdout) == {"read": 250, "imported": 250, "already_there": 0}
    assert sql(STATES) == [("retries_exhausted", 250)]
    assert indexq("dead", "import", file).stdout == "0 of 250 dead jobs were imported; the others are there already.\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"no json\n", "in line 1"), (b"{}\n[]\n", "in lines 1 to 2"), (b"\xff\n", "in line 1")],
)
def test_a_file_that_is_no_export_is_exit_code_2(indexq: Indexq, tmp_path: Path, content: bytes, expected: str) -> None:
    file = tmp_path / "dead.jsonl"
    file.write_bytes(content)
    result = indexq("dead", "import", file)
    assert result.exit_code == 2
    assert expected in result.stderr


def test_the_others_wait_until_the_canary_has_succeeded(begin: Begin, database: str, sql: Sql) -> None:
    first, *others = bury(sql, 3)
    command = begin("dead", "retry", "--all-matching", "--canary", "--yes", SUPABASE_DB_URL=database)

    command.wait_to_say(f"Canary {first} was put back")
    assert sql(STATES) == [("queued", 1), ("retries_exhausted", 2)]
    sql(
        "WITH gone AS (DELETE FROM dramatiq.queue WHERE state = 'queued' RETURNING *) INSERT INTO dramatiq.done "
        "SELECT message_id, queue_name, message, NULL, NULL, enqueued_at, now(), now(), 1, 0, 0, now() + interval '1h' "
        "FROM gone"
    )

    assert command.wait() == 0
    assert f"Canary {first} has succeeded" in command.stderr
    assert command.stdout == "Put back: 3 of 3 matching dead jobs.\n"
    assert sql(STATES) == [("queued", len(others))]


def test_a_canary_that_gives_way_to_a_newer_job_of_its_key_proves_nothing(indexq: Indexq, sql: Sql) -> None:
    job, _ = bury(sql, 2)
    sql("UPDATE dramatiq.queue SET key = 'work k' WHERE message_id = %s", job)
    newer = str(uuid4())
    sql("INSERT INTO dramatiq.queue (message_id, state, message, key) VALUES (%s, 'queued', '{}', 'work k')", newer)

    result = indexq("dead", "retry", "--all-matching", "--canary", "--canary-seconds", "1", "--yes")

    assert sql("SELECT message_id::text, merged_into::text FROM dramatiq.done") == [(job, newer)]
    assert result.exit_code == 1
    assert "was not done within 1 s" in result.stderr
    assert sql(STATES) == [("queued", 1), ("retries_exhausted", 1)]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("state = 'rejected', reason = 'permanent', error = 'still broken'", "died again (permanent): still broken"),
        ("errors = 1, error = 'once more'", "failed again and will be retried: once more"),
        ("crashes = 1", "failed again"),
        (None, "was not done within 0.3 s"),
    ],
    ids=["dead", "error", "crash", "nothing"],
)
def test_when_the_canary_does_not_succeed_nothing_else_is_put_back(
    begin: Begin, database: str, sql: Sql, change: str | None, expected: str
) -> None:
    bury(sql, 3)
    seconds = "0.3" if change is None else "30"
    arguments = ("dead", "retry", "--all-matching", "--canary", "--canary-seconds", seconds, "--yes")
    command = begin(*arguments, SUPABASE_DB_URL=database)
    command.wait_to_say("was put back")
    if change is not None:
        sql(f"UPDATE dramatiq.queue SET {change} WHERE state = 'queued'")

    assert command.wait() == 1
    assert expected in command.stderr
    assert command.stderr.endswith("nothing else was put back\n")
    assert sql("SELECT count(*) FROM dramatiq.queue WHERE state = 'rejected' AND redriven = 0") == [(2,)]


def test_ctrl_c_stops_between_batches_and_says_how_to_go_on_without_what_died_since(
    begin: Begin, indexq: Indexq, database: str, sql: Sql
) -> None:
    bury(sql, 40)
    command = begin(
        "dead", "retry", "--all-matching", "--queue", "default", "--rate", "8", "--yes", SUPABASE_DB_URL=database
    )
    wait_until(lambda: sql("SELECT count(*) > 2 FROM dramatiq.queue WHERE state = 'queued'") == [(True,)], 20)
    command.send_signal(signal.SIGINT)

    assert command.wait() == 130
    assert "of 40 done" in command.stderr
    assert "Traceback" not in command.stderr
    bury(sql, 1, error="died since")
    go_on = command.stderr.partition("go on with: indexq ")[2].split()
    assert go_on[:5] == ["dead", "retry", "--all-matching", "--queue", "default"]
    assert indexq(*go_on[:-2], "--yes").exit_code == 0
    assert sql(STATES) == [("queued", 40), ("retries_exhausted", 1)]

"""``indexq index --wait``: to the end of the job, or until somebody is tired of it."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from git_repositories import Repository
from processes import ROOT, Command
from sql_access import Sql
from throwaway_postgres import ThrowawayPostgres
from waiting import wait_until

from leasequeue import migrations

from .conftest import INDEXQ, Begin

NO_WORKER = "indexq: no worker is running; start one with: dramatiq actors\n"
COMPLETE = """
UPDATE indexing.index_jobs SET status = 'completed', phase = 'publish', files_total = 3, files_done = 3, symbols = 4,
       started_at = now(), finished_at = now()
"""
BLOCKED = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
#: A second later: what it asked in the same look as before does not count.
ASKED_SINCE = """
SELECT bool_or(query_start > %s + interval '1 second') FROM pg_stat_activity
 WHERE datname = current_database() AND application_name = 'leasequeue send'
"""
FULL_BAR = "\N{BOX DRAWINGS HEAVY HORIZONTAL}" * 40
COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-9]")


def test_a_real_worker_indexes_while_we_watch(
    begin: Begin, worker: Command, database: str, repository: Repository, sql: Sql
) -> None:
    command = begin("index", repository.path, "--wait", SUPABASE_DB_URL=database)

    assert command.wait() == 0
    queued, completed = command.stdout.splitlines()
    assert queued.startswith("Job ")
    assert re.fullmatch(
        rf"Completed: 3 files, 4 symbols, 0 skipped in .* s \(commit {repository.head[:12]}\)\.", completed
    )
    assert "waiting\n" in command.stderr or "resolve\n" in command.stderr
    assert "no worker" not in command.stderr
    assert sql("SELECT status, files_done, symbols FROM indexing.index_jobs") == [("completed", 3, 4)]
    assert sql("SELECT count(*) FROM dramatiq.done") == [(1,)]

    found = begin("symbols", "draw", SUPABASE_DB_URL=database)
    assert found.wait() == 0
    assert "src/square.py:6-6" in found.stdout
    assert "web/draw.ts:1-2" in found.stdout


def test_json_is_one_document_and_nothing_else(begin: Begin, database: str, repository: Repository, sql: Sql) -> None:
    command = begin("index", repository.path, "--wait", "--json", SUPABASE_DB_URL=database)
    wait_until(lambda: sql("SELECT id FROM indexing.index_jobs"), 10, "the job")

    sql(COMPLETE)

    assert command.wait() == 0
    document = json.loads(command.stdout)
    assert (document["status"], document["files_done"], document["symbols"]) == ("completed", 3, 4)
    assert command.stderr == ""


def test_a_job_that_fails_is_exit_code_1_with_its_error(
    begin: Begin, worker: Command, database: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    command = begin("index", tmp_path / "empty", "--wait", "--json", SUPABASE_DB_URL=database)

    assert command.wait() == 1
    document = json.loads(command.stdout)
    assert document["status"] == "failed"
    assert command.stderr == f"indexq: job {document['id']} failed: {document['error']}\n"
    assert "git repository" in document["error"]


def test_ctrl_c_leaves_the_job_in_the_queue_and_the_missing_worker_is_told_once(
    begin: Begin, database: str, repository: Repository, sql: Sql
) -> None:
    command = begin("index", repository.path, "--wait", "--json", SUPABASE_DB_URL=database)
    command.wait_to_say(NO_WORKER)

    command.send_signal(signal.SIGINT)

    assert command.wait(5) == 130
    ((job, status),) = sql("SELECT id::text, status FROM indexing.index_jobs")
    assert command.stderr == (
        f"{NO_WORKER}indexq: stopped waiting; job {job} stays in the queue, see it with: indexq status {job}\n"
    )
    assert json.loads(command.stdout)["id"] == job
    assert status == "pending"
    assert sql("SELECT state::text FROM dramatiq.queue") == [("queued",)]


def test_sigterm_does_the_same_with_its_own_exit_code(
    begin: Begin, database: str, repository: Repository, sql: Sql
) -> None:
    command = begin("index", repository.path, "--wait", SUPABASE_DB_URL=database)
    command.wait_to_say("waiting")

    command.send_signal(signal.SIGTERM)

    assert command.wait(5) == 143
    assert "indexq: terminated; job " in command.stderr
    assert sql("SELECT state::text FROM dramatiq.queue") == [("queued",)]


def test_ctrl_c_works_while_the_server_hangs(begin: Begin, database: str, repository: Repository, sql: Sql) -> None:
    command = begin("index", repository.path, "--wait", SUPABASE_DB_URL=database)
    command.wait_to_say("waiting")
    blocker = psycopg2.connect(database)
    try:
        with blocker.cursor() as cursor:
            cursor.execute("LOCK TABLE indexing.index_jobs IN ACCESS EXCLUSIVE MODE")
            wait_until(lambda: sql(BLOCKED) == [(1,)], 5, "the command to wait for an answer")
            command.send_signal(signal.SIGINT)
            assert command.wait(3) == 130
    finally:
        blocker.close()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("DELETE FROM dramatiq.queue", "no longer in the queue"),
        (
            "UPDATE dramatiq.queue SET state = 'rejected', reason = 'crashed', error = E'first\\nsecond'",
            "crashed: first",
        ),
    ],
    ids=["removed", "dead"],
)
def test_a_job_that_the_queue_gave_up_has_failed_although_nobody_wrote_so(
    begin: Begin, database: str, repository: Repository, sql: Sql, change: str, expected: str
) -> None:
    command = begin("index", repository.path, "--wait", SUPABASE_DB_URL=database)
    command.wait_to_say("waiting")

    sql(change)

    assert command.wait(15) == 1
    assert expected in command.stderr.splitlines()[-1]
    assert "second" not in command.stderr


def test_a_retry_is_told_with_its_error_and_its_time_and_a_missing_worker_only_once(
    begin: Begin, database: str, repository: Repository, sql: Sql
) -> None:
    command = begin("index", repository.path, "--wait", SUPABASE_DB_URL=database)
    command.wait_to_say(NO_WORKER)

    sql("UPDATE indexing.index_jobs SET error = 'the network is down', retry_count = 1")
    sql("UPDATE dramatiq.queue SET errors = 1, available_at = now() + interval '1 hour'")
    command.wait_to_say("indexq: run 1 failed: the network is down; scheduled for ")

    ((told_at,),) = sql("SELECT clock_timestamp()")
    wait_until(lambda: sql(ASKED_SINCE, told_at) == [(True,)], 10, "another look at the queue")
    sql("DELETE FROM dramatiq.queue")
    assert command.wait(10) == 1
    assert command.stderr.count(NO_WORKER) == 1
    assert command.stderr.count("run 1 failed") == 1


def test_a_restart_of_the_database_is_waited_out_and_told_once(
    begin: Begin, throwaway_server: Callable[..., ThrowawayPostgres], repository: Repository
) -> None:
    server = throwaway_server()
    migrations.migrate(server.url, schema="dramatiq")
    migrations.migrate(server.url, schema="indexing", directory=ROOT / "indexing" / "migrations")
    command = begin("index", repository.path, "--wait", SUPABASE_DB_URL=server.url)
    command.wait_to_say("waiting")

    port = server.port
    server.stop(immediate=True)
    command.wait_to_say("the database does not answer")
    with socket.create_server(("127.0.0.1", port)) as nobody:
        nobody.settimeout(10)
        for _ in range(2):  # It knocks again and again.
            nobody.accept()[0].close()
    server.start()
    with closing(psycopg2.connect(server.url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(COMPLETE)

    assert command.wait(20) == 0
    assert "Traceback" not in command.stderr
    assert command.stderr.count("does not answer") == 1


@pytest.mark.parametrize("no_colour", [False, True], ids=["colours", "NO_COLOR"])
def test_on_a_terminal_there_is_a_bar_and_no_color_is_honoured(
    database: str, repository: Repository, sql: Sql, no_colour: bool
) -> None:
    environ = {**os.environ, "SUPABASE_DB_URL": database, "TERM": "xterm-256color", "COLUMNS": "120"}
    environ.pop("NO_COLOR", None)
    if no_colour:
        environ["NO_COLOR"] = "1"
    ours, theirs = pty.openpty()
    command = subprocess.Popen(
        [INDEXQ, "index", repository.path, "--wait"], env=environ, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    try:
        seen = _read(ours, until="waiting")
        sql(COMPLETE)
        seen += _read(ours)
        assert command.wait(10) == 0
    finally:
        command.kill()
        command.wait(10)
        os.close(ours)

    last = seen.rpartition("publish")[2]
    assert FULL_BAR in last
    assert "3/3 files, 4 symbols" in last
    assert seen.rindex("\x1b[?25h") > seen.rindex("\x1b[?25l")  # The cursor is back.
    assert bool(COLOUR.search(seen)) is not no_colour


def _read(terminal: int, until: str | None = None) -> str:
    """What a terminal shows, to its end, or until something is seen."""
    seen = b""
    while until is None or until.encode() not in seen:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # Linux: the other side was closed.
            part = b""
        if not part:
            break
        seen += part
    return seen.decode()

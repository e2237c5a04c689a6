"""``indexq migrate --uninstall``: removes what is ours and nothing else, and nothing that somebody still needs."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from processes import Command
from sql_access import Sql
from waiting import wait_until

import indexing.migrations
from leasequeue import limits, migrations

from .conftest import Begin, Indexq

OURS = "SELECT nspname::text FROM pg_namespace WHERE nspname IN ('dramatiq', 'indexing') ORDER BY 1"
BOTH = [("dramatiq",), ("indexing",)]

WAITING = "INSERT INTO dramatiq.queue (message_id, state, message) VALUES (gen_random_uuid(), 'queued', '{}')"
RUNNING = (
    "INSERT INTO dramatiq.queue (message_id, state, message, worker_id, claim_no) "
    "VALUES (gen_random_uuid(), 'consumed', '{}', gen_random_uuid(), 1)"
)
LIVING = (
    "INSERT INTO dramatiq.worker (worker_id, host, pid, threads, queues) VALUES (gen_random_uuid(), 'here', 1, 1, '{}')"
)
DEAD = (
    "INSERT INTO dramatiq.queue (message_id, state, message, reason) "
    "VALUES (gen_random_uuid(), 'rejected', '{}', 'expired')"
)


def test_it_removes_both_schemas_and_nothing_beside_them(indexq: Indexq, sql: Sql) -> None:
    sql("CREATE SCHEMA product; CREATE TABLE product.kept (id int); CREATE TABLE public.kept (id int)")
    sql(DEAD)  # evidence, and said, but nobody waits for it
    result = indexq("migrate", "--uninstall", "--yes")
    assert result.exit_code == 0
    first, second, third, last = result.stdout.splitlines()
    assert first.startswith("schema dramatiq, ")
    assert ": chore, done, migration, paused, queue, schedule, share, worker" in first
    assert second.startswith("schema indexing, ")
    assert third == "jobs: 0 waiting, 0 running, 1 dead; living workers: 0"
    assert last == "Removed."
    assert sql(OURS) == []
    assert sql("SELECT count(*) FROM pg_class WHERE relname = 'kept'") == [(2,)]

    assert indexq("migrate", "--uninstall", "--yes").stdout == "There is nothing to remove.\n"
    assert indexq("migrate").exit_code == 0
    assert sql(OURS) == BOTH


def test_it_removes_the_counters_of_rate_limits_as_well(indexq: Indexq, sql: Sql, database: str) -> None:
    migrations.migrate(database, schema="dramatiq_limits", directory=limits.DIRECTORY)
    sql("CREATE SCHEMA other_limits; CREATE TABLE other_limits.kept (id int)")
    result = indexq("migrate", "--uninstall", "--yes")
    assert result.exit_code == 0
    assert "schema dramatiq_limits, " in result.stdout
    assert sql("SELECT nspname::text FROM pg_namespace WHERE nspname LIKE '%%limits'") == [("other_limits",)]


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (WAITING, "expected no job to wait or run, got: 1 waiting, 0 running"),
        (RUNNING, "expected no job to wait or run, got: 0 waiting, 1 running"),
        (LIVING, "expected no worker to live, got: 1"),
    ],
)
def test_it_refuses_while_something_is_in_use_unless_told(state: str, said: str, indexq: Indexq, sql: Sql) -> None:
    sql(state)
    result = indexq("migrate", "--uninstall", "--yes")
    assert result.exit_code == 1
    assert result.stderr.startswith("indexq: nothing was removed")
    assert said in result.stderr
    assert "--lose-jobs" in result.stderr
    assert sql(OURS) == BOTH

    assert indexq("migrate", "--uninstall", "--yes", "--lose-jobs").exit_code == 0
    assert sql(OURS) == []


@pytest.mark.parametrize(
    ("make", "said"),
    [
        ("CREATE VIEW public.mine AS SELECT count(*) AS n FROM indexing.repositories", "view public.mine"),
        ("CREATE TABLE public.mine (state dramatiq.state)", "column state of table public.mine"),
        (
            "CREATE TABLE public.mine (job uuid REFERENCES dramatiq.queue)",
            "constraint mine_job_fkey on table public.mine",
        ),
        (
            "CREATE TABLE public.mine (t text); "
            "DO $$ BEGIN EXECUTE format('CREATE INDEX my_index ON public.mine USING gin (t %%I.gin_trgm_ops)', "
            "(SELECT n.nspname FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace "
            "WHERE extname = 'pg_trgm')); END $$",
            "index public.my_index",
        ),
    ],
    ids=["a view", "a column of our type", "a foreign key", "an index by an extension in our schema"],
)
def test_what_others_have_built_on_it_is_named_and_never_dropped(
    make: str, said: str, indexq: Indexq, sql: Sql
) -> None:
    sql(make)
    result = indexq("migrate", "--uninstall", "--yes", "--lose-jobs")
    assert result.exit_code == 1
    assert said in result.stderr
    assert "drop that first" in result.stderr
    assert "--lose-jobs" not in result.stderr
    assert sql(OURS) == BOTH
    assert sql("SELECT count(*) FROM pg_class WHERE relname = 'mine'") == [(1,)]


def test_a_schema_that_no_migration_made_is_somebody_elses(indexq: Indexq, sql: Sql) -> None:
    sql("CREATE SCHEMA auth; CREATE TABLE auth.users (id int)")
    result = indexq("migrate", "--uninstall", "--yes", "--lose-jobs", QUEUE_SCHEMA="auth")
    assert result.exit_code == 1
    assert "expected schema auth to be one that the migrations made" in result.stderr
    assert sql("SELECT count(*) FROM auth.users") == [(0,)]
    assert sql(OURS) == BOTH


@pytest.mark.parametrize(
    "record",
    [
        "(id int)",
        "(version integer, name text, applied_at timestamptz, checksum text)",
        "(version integer, name text, applied_at timestamptz); "
        "INSERT INTO indexing.migration VALUES (1, 'products', now()), (2, 'index', now())",
        "(version integer, name text, applied_at timestamptz)",
    ],
    ids=["other columns", "more columns", "another first migration", "an empty record"],
)
def test_a_schema_with_a_record_of_somebody_elses_migrations_stays(record: str, indexq: Indexq, sql: Sql) -> None:
    sql(
        "DROP SCHEMA indexing CASCADE; CREATE SCHEMA indexing; CREATE TABLE indexing.products (id int); "
        f"CREATE TABLE indexing.migration {record}"
    )
    result = indexq("migrate", "--uninstall", "--yes", "--lose-jobs")
    assert result.exit_code == 1
    assert "expected schema indexing to be one that the migrations made, got one whose table migration" in result.stderr
    assert sql("SELECT count(*) FROM indexing.products") == [(0,)]
    assert sql(OURS) == BOTH


def test_what_any_release_has_left_is_known_as_ours(indexq: Indexq, empty_database: str, tmp_path: Path) -> None:
    directories = {"dramatiq": migrations.DIRECTORY, "indexing": Path(indexing.migrations.__path__[0])}
    for version in range(1, max(map(migrations.latest, directories.values())) + 1):
        for schema, directory in directories.items():
            earlier = tmp_path / f"{schema}-{version}"
            earlier.mkdir()
            for each in migrations.available(directory)[:version]:
                shutil.copy(each.path, earlier)
            migrations.migrate(empty_database, schema=schema, directory=earlier)
        removed = indexq("migrate", "--uninstall", "--yes", SUPABASE_DB_URL=empty_database)
        assert (removed.exit_code, removed.stdout.splitlines()[-1]) == (0, "Removed."), version


def test_without_a_yes_it_does_not_go_on_and_a_dry_run_changes_nothing(indexq: Indexq, sql: Sql) -> None:
    asked = indexq("migrate", "--uninstall")
    assert asked.exit_code == 2
    assert "Remove dramatiq and indexing with everything in it for good?" in asked.stderr
    assert "say --yes" in asked.stderr
    document = json.loads(indexq("migrate", "--uninstall", "--dry-run", "--json").stdout)
    assert (document["dry_run"], document["removed"]) == (True, [])
    assert [each["name"] for each in document["schemas"]] == ["dramatiq", "indexing"]
    assert indexq("migrate", "--yes").exit_code == 2
    assert sql(OURS) == BOTH


def test_a_living_worker_is_seen_and_one_that_has_ended_is_not(
    worker: Command, begin: Begin, database: str, sql: Sql
) -> None:
    refused = begin("migrate", "--uninstall", "--yes", SUPABASE_DB_URL=database)
    assert refused.wait() == 1
    assert "expected no worker to live, got: " in refused.stderr
    worker.process.terminate()
    assert worker.wait() == 0
    removed = begin("migrate", "--uninstall", "--yes", SUPABASE_DB_URL=database)
    assert removed.wait() == 0
    assert sql(OURS) == []


def test_a_job_that_is_sent_between_the_question_and_the_removal_is_not_lost(
    begin: Begin, database: str, direct_database: str, sql: Sql
) -> None:
    with closing(psycopg2.connect(direct_database)) as sender, sender.cursor() as cursor:
        cursor.execute(WAITING)  # not committed: the look does not see it, the removal waits for it
        command = begin("migrate", "--uninstall", "--yes", SUPABASE_DB_URL=database)
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        wait_until(lambda: sql(waits) == [(1,)], 10, "it does not wait for the sender")
        sender.commit()
    assert command.wait() == 1
    assert "got: 1 waiting" in command.stderr
    assert sql(OURS) == BOTH

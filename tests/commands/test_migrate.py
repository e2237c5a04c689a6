"""``indexq migrate``."""

from __future__ import annotations

import json
from contextlib import closing

import psycopg2
from sql_access import Sql

from .conftest import Begin, Indexq

TABLES = "SELECT table_schema || '.' || table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'"


def tables(url: str) -> set[str]:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(TABLES)
        return {name for (name,) in cursor.fetchall()}


def test_it_makes_both_schemas_says_so_and_is_safe_to_repeat(begin: Begin, empty_database: str) -> None:
    first = begin("migrate", SUPABASE_DB_URL=empty_database)
    assert first.wait() == 0
    assert first.stdout.splitlines()[0].startswith("dramatiq: ran 0001_queue")
    assert first.stdout.splitlines()[1].startswith("indexing: ran 0001_index")

    again = begin("migrate", SUPABASE_DB_URL=empty_database)
    assert again.wait() == 0
    assert all("up to date (version " in line for line in again.stdout.splitlines())
    assert first.stderr == again.stderr == ""

    names = tables(empty_database)
    assert {"dramatiq.queue", "dramatiq.migration", "indexing.index_jobs", "indexing.migration"} <= names
    assert not any(name.startswith("public.") for name in names)


def test_the_queue_goes_into_the_schema_that_the_settings_name(begin: Begin, empty_database: str) -> None:
    command = begin("migrate", "--json", SUPABASE_DB_URL=empty_database, QUEUE_SCHEMA="jobs")

    assert command.wait() == 0
    queue, index = json.loads(command.stdout)["schemas"]
    assert (queue["schema"], queue["run"][0]) == ("jobs", "0001_queue")
    assert (index["schema"], index["run"][0]) == ("indexing", "0001_index")
    assert queue["version"] == len(queue["run"])
    names = tables(empty_database)
    assert "jobs.queue" in names
    assert not any(name.startswith("dramatiq.") for name in names)


def test_a_schema_of_a_newer_release_is_left_alone(indexq: Indexq, sql: Sql) -> None:
    sql("INSERT INTO dramatiq.migration (version, name) VALUES (9999, 'future')")

    result = indexq("migrate")

    assert result.exit_code == 1
    assert "upgrade this one" in result.stderr


def test_with_a_direct_url_that_is_the_way_and_it_must_lead_to_the_same_database(
    begin: Begin, empty_database: str, database: str
) -> None:
    elsewhere = begin("migrate", SUPABASE_DB_URL=empty_database, SUPABASE_DB_DIRECT_URL=database)
    assert elsewhere.wait() == 2
    assert "expected direct_url to lead to the database of url" in elsewhere.stderr
    assert "direct_url is SUPABASE_DB_DIRECT_URL" in elsewhere.stderr
    assert "dramatiq.queue" not in tables(empty_database)

    nowhere = begin(
        "migrate", SUPABASE_DB_URL=empty_database, SUPABASE_DB_DIRECT_URL="postgresql://u:s3cret@127.0.0.1:1/d"
    )
    assert nowhere.wait() == 3
    assert "expected SUPABASE_DB_DIRECT_URL to have a server that listens" in nowhere.stderr
    assert "s3cret" not in nowhere.stderr

    done = begin("migrate", SUPABASE_DB_URL=empty_database, SUPABASE_DB_DIRECT_URL=empty_database)
    assert done.wait() == 0
    assert "dramatiq.queue" in tables(empty_database)

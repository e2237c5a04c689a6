"""The schema makes itself, once, and takes over what dramatiq-pg left."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dramatiq
import dramatiq_pg
import psycopg2
import pytest
from dramatiq_pg.cli import QUERIES as DRAMATIQ_PG_CLI
from dramatiq_pg.schema import generate_init_sql

from leasequeue import LeaseBroker, SchemaMismatch, migrations
from leasequeue.middleware import BootFailed

REPOSITORY = Path(__file__).resolve().parents[2]


def rows(url: str, statement: str) -> list[tuple[object, ...]]:
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def relations(url: str) -> dict[object, object]:
    """How many relations each schema has; TOAST tables are everybody's."""
    statement = (
        "SELECT n.nspname, count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname <> 'pg_toast' GROUP BY 1"
    )
    return {str(schema): count for schema, count in rows(url, statement)}


def test_the_schema_is_created_and_no_other_is_touched(empty_database: str) -> None:
    before = relations(empty_database)
    run = migrations.migrate(empty_database, schema="my queue's % schema")
    after = relations(empty_database)

    assert [m.version for m in run] == list(range(1, migrations.latest() + 1))
    assert set(after) - set(before) == {"my queue's % schema"}
    assert {schema: after[schema] for schema in before} == before
    assert migrations.migrate(empty_database, schema="my queue's % schema") == []


def test_ten_processes_that_start_at_the_same_moment_migrate_once(empty_database: str) -> None:
    program = (
        "import sys; from leasequeue.migrations import migrate;"
        "sys.stdin.read(1); print(len(migrate(sys.argv[1], schema='dramatiq')))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, empty_database],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(10)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("g")
        process.stdin.flush()
    answers = [process.communicate(timeout=60)[0].strip() for process in processes]

    assert [process.returncode for process in processes] == [0] * 10
    assert sum(map(int, answers)) == migrations.latest()


def test_a_table_of_dramatiq_pg_is_taken_over_and_its_messages_are_run(
    empty_database: str, make_broker: Callable[..., LeaseBroker], start_worker: Callable[..., dramatiq.Worker]
) -> None:
    ran: list[int] = []
    rows(empty_database, generate_init_sql("dramatiq", ""))
    old = dramatiq_pg.PostgresBroker(url=empty_database, schema="dramatiq", prefix="")
    old_actor = dramatiq.actor(ran.append, broker=old, actor_name="remember", store_results=True)
    for number in (1, 2):
        old_actor.send(number)
    old_actor.send_with_options(args=(3,), delay=3_600_000)
    interrupted, finished, rejected = (old_actor.send(number) for number in (4, 5, 6))
    rows(
        empty_database,
        "UPDATE dramatiq.queue SET state = CASE message->'args'->>0 WHEN '4' THEN 'consumed' WHEN '5' THEN 'done' "
        "WHEN '6' THEN 'rejected' END::dramatiq.state WHERE message->'args'->>0 IN ('4', '5', '6')",
    )
    old.pool.closeall()

    broker = make_broker(url=empty_database)
    dramatiq.actor(ran.append, broker=broker, actor_name="remember")
    start_worker(broker)
    rows(
        empty_database, "UPDATE dramatiq.queue SET available_at = now() WHERE available_at > now() + interval '50 min'"
    )
    broker.join("default", timeout=10_000)

    assert sorted(ran) == [1, 2, 3, 4]
    assert rows(empty_database, "SELECT message_id::text, state::text, reason FROM dramatiq.queue") == [
        (rejected.message_id, "rejected", "rejected")
    ]
    assert (finished.message_id,) in rows(empty_database, "SELECT message_id::text FROM dramatiq.done")
    assert (interrupted.message_id,) in rows(empty_database, "SELECT message_id::text FROM dramatiq.done")


def test_dramatiq_pg_stats_still_reads_the_table(broker: LeaseBroker, database: str) -> None:
    broker.declare_queue("default")
    for _ in range(3):
        broker.enqueue(dramatiq.Message("default", "anything", (), {}, {}))
    DRAMATIQ_PG_CLI.build_queries("dramatiq", "")
    assert rows(database, DRAMATIQ_PG_CLI.STATS) == [("queued", 3)]


def test_a_schema_of_a_newer_release_is_refused(database: str) -> None:
    rows(database, "INSERT INTO dramatiq.migration (version, name) VALUES (999, 'from_the_future')")
    with pytest.raises(SchemaMismatch, match=r"expected schema dramatiq to have version \d+, got: 999"):
        migrations.migrate(database, schema="dramatiq")


def test_a_worker_that_may_not_migrate_by_its_own_policy_refuses_a_schema_of_another_version(
    make_broker: Callable[..., LeaseBroker], start_worker: Callable[..., dramatiq.Worker], database: str
) -> None:
    rows(database, "DELETE FROM dramatiq.migration WHERE version > 1")
    strict = make_broker(auto_migrate=False)
    with pytest.raises(BootFailed, match=r"got: 1. Migrate it as the role that owns it."):
        start_worker(strict)
    rows(database, "INSERT INTO dramatiq.migration (version, name) VALUES (999, 'from_the_future')")
    with pytest.raises(BootFailed, match=r"got: 999. It was migrated by a newer release: upgrade this one."):
        start_worker(strict)


def test_the_migrations_are_plain_sql_without_names_of_a_schema() -> None:
    for migration in migrations.available():
        code = "\n".join(line.split("--")[0] for line in migration.path.read_text().splitlines())
        assert "dramatiq." not in code


def test_misnumbered_migrations_are_refused(tmp_path: Path) -> None:
    (tmp_path / "0001_first.sql").touch()
    (tmp_path / "0003_third.sql").touch()
    with pytest.raises(ValueError, match=r"expected migrations 1, 2, 3, .* got: \[1, 3\]"):
        migrations.available(tmp_path)

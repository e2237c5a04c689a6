"""The doctor: each ailment is found, named, and has an advice; a healthy database has none."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import dramatiq
import psycopg2
import pytest
from psycopg2.extensions import make_dsn
from sql_access import Sql
from throwaway_pgbouncer import PROGRAM, Pooler

from leasequeue import LeaseBroker
from leasequeue.admin import Queues, doctor
from leasequeue.admin.doctor import Doctor, Finding

pytestmark = pytest.mark.direct("it would tell of the pooler each time; tests with one of their own are here")

#: What the throw-away server of the tests is told to spare itself.
_OF_THE_TESTS = ("fsync is off", "full_page_writes is off")


def ailments(broker: LeaseBroker) -> list[Finding]:
    findings = list(Doctor(broker).examine())
    assert all((each.advice is None) == (each.level == "ok") for each in findings)
    return [each for each in findings if each.level != "ok" and not each.told.startswith(_OF_THE_TESTS)]


def test_a_healthy_database_has_nothing_and_each_question_an_answer(broker: LeaseBroker, sql: Sql) -> None:
    findings = {each.name: each for each in Doctor(broker).examine()}

    assert ailments(broker) == []
    assert set(findings) == {
        "server",
        "connection",
        "notifications",
        "clock",
        "server settings",
        "sessions",
        "old transactions",
        "schema",
        "drift",
        "access",
        "dead rows",
        "workers",
    }
    assert findings["connection"].told == "direct"
    assert sql("SELECT count(*) FROM pg_namespace WHERE starts_with(nspname, 'leasequeue_doctor')") == [(0,)]


def test_rights_of_everybody_are_named_whatever_they_are_on(broker: LeaseBroker, sql: Sql) -> None:
    sql("GRANT USAGE ON SCHEMA dramatiq TO PUBLIC")
    sql("GRANT SELECT ON dramatiq.queue TO PUBLIC")
    sql("GRANT EXECUTE ON FUNCTION dramatiq.enqueue TO PUBLIC")
    (found,) = ailments(broker)
    assert (found.name, found.level) == ("access", "warning")
    assert found.told == "PUBLIC has rights on function enqueue, table queue, the schema"
    assert found.advice == "Close the schema: indexq roles --apply, as its owner."


@pytest.mark.parametrize(
    ("change", "level", "told"),
    [
        ("DROP INDEX dramatiq.queue_dead", "warning", "index queue_dead is missing"),
        ("CREATE INDEX own ON dramatiq.queue (mtime)", "warning", "index own is not of this release"),
        ("ALTER TABLE dramatiq.queue DROP COLUMN redriven", "failure", "column queue.redriven is missing"),
        (
            "ALTER TABLE dramatiq.queue ALTER errors TYPE bigint",
            "failure",
            "column queue.errors is (bigint NOT NULL DEFAULT 0), expected (integer NOT NULL DEFAULT 0)",
        ),
        (
            "ALTER TABLE dramatiq.queue DROP CONSTRAINT queue_dead_has_a_reason",
            "failure",
            "constraint queue.queue_dead_has_a_reason is missing",
        ),
        (
            "ALTER TABLE dramatiq.done RESET (autovacuum_vacuum_cost_delay)",
            "warning",
            "table settings done is (autovacuum_vacuum_scale_factor=0.05), expected "
            "(autovacuum_vacuum_cost_delay=0, autovacuum_vacuum_scale_factor=0.05)",
        ),
    ],
)
def test_a_schema_that_somebody_changed_is_told_by_what_differs(
    broker: LeaseBroker, sql: Sql, change: str, level: str, told: str
) -> None:
    sql(change)
    (found,) = ailments(broker)
    assert (found.name, found.level, found.told) == ("drift", level, told)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("INSERT INTO dramatiq.migration VALUES (999, 'new')", "got: 999"),
        ("DELETE FROM dramatiq.migration WHERE version > 1", "got: 1"),
        ("DROP SCHEMA dramatiq CASCADE", "got: 0"),
    ],
)
def test_a_schema_of_another_version_fails(broker: LeaseBroker, sql: Sql, change: str, told: str) -> None:
    sql(change)
    found = ailments(broker)[0]
    assert (found.name, found.level) == ("schema", "failure")
    assert found.told.endswith(told)


@pytest.mark.parametrize(
    ("elsewhere", "statement", "is_named"),
    [
        (False, "SELECT 1", True),
        (True, "SELECT 1", False),  # vacuum here does not wait for readers there
        (True, "SELECT pg_current_xact_id()", True),
    ],
)
def test_who_holds_back_vacuum_is_named(
    broker: LeaseBroker,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    elsewhere: bool,
    statement: str,
    is_named: bool,
) -> None:
    monkeypatch.setattr(doctor, "TRANSACTION_LIMIT", 0.0)
    url = make_dsn(database, dbname="postgres") if elsewhere else database
    with closing(psycopg2.connect(url, application_name="nightly report")) as connection:
        connection.set_session(isolation_level="REPEATABLE READ")
        connection.cursor().execute(statement)
        who = f"session pid {connection.info.backend_pid}, application nightly report"
        # others may use the server as well
        found = [each for each in ailments(broker) if who in each.told]

    assert [(each.name, each.level) for each in found] == [("old transactions", "warning")] * is_named
    assert all("idle in transaction" in each.told for each in found)


def test_dead_rows_beyond_what_vacuum_should_leave_are_told(
    broker: LeaseBroker, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "DEAD_ROWS_LIMIT", 10)
    sql("ALTER TABLE dramatiq.queue SET (autovacuum_enabled = off)")
    sql("INSERT INTO dramatiq.queue (message_id, state) SELECT gen_random_uuid(), 'queued' FROM generate_series(1, 50)")
    sql("DELETE FROM dramatiq.queue")
    sql("SELECT pg_stat_force_next_flush()")

    found = {each.name: each for each in ailments(broker)}

    assert found["dead rows"].told.startswith("queue: 0 rows, 50 dead ones, ")
    assert "autovacuum_enabled=off" in found["drift"].told


def test_jobs_that_nobody_takes_fail_and_a_paused_queue_is_told(broker: LeaseBroker) -> None:
    broker.declare_queue("lonely")
    broker.enqueue(dramatiq.Message("lonely", "work", (), {}, {}))
    (found,) = ailments(broker)
    assert (found.level, found.told) == ("failure", "1 jobs of queue lonely are ready and no worker takes any")

    Queues(broker).pause("lonely")
    (found,) = ailments(broker)
    assert (found.level, found.told.partition(" is paused since ")[0]) == ("warning", "queue lonely")


@pytest.mark.parametrize(
    ("setting", "value", "level", "told"),
    [
        ("default_transaction_read_only", "on", "failure", "the database accepts no writes"),
        ("statement_timeout", "5s", "warning", "statement_timeout is 5 s"),
        ("synchronous_commit", "off", "warning", "synchronous_commit is off"),
    ],
)
def test_settings_of_the_server_that_stand_in_the_way_are_told(
    broker: LeaseBroker, sql: Sql, setting: str, value: str, level: str, told: str
) -> None:
    ((name,),) = sql("SELECT current_database()")
    sql(f"ALTER DATABASE \"{name}\" SET {setting} TO '{value}'")
    found = next(each for each in ailments(broker) if each.name == "server settings")
    assert found.level == level
    assert found.told.startswith(told)


@pytest.mark.skipif(PROGRAM is None, reason="needs pgbouncer")
def test_a_transaction_pooler_is_recognized_and_what_it_swallows(
    make_broker: Callable[..., LeaseBroker], database: str
) -> None:
    with Pooler(database) as pooler:
        broker = make_broker(url=pooler.url_of(database))
        found = {each.name: each for each in ailments(broker)}
        broker.close()

    assert found["connection"].told.startswith("through a transaction pooler: a worker that dies is noticed by its")
    assert found["notifications"].told == "LISTEN delivers nothing: jobs are found by polling, within 0.05 s"
    assert set(found) == {"connection", "notifications"}, "all other questions are answered through it, too"


@pytest.mark.skipif(PROGRAM is None, reason="needs pgbouncer")
def test_a_direct_url_makes_up_for_a_pooler_and_one_that_leads_elsewhere_or_nowhere_fails(
    make_broker: Callable[..., LeaseBroker], database: str, empty_database: str
) -> None:
    def examined(direct_url: str) -> dict[str, Finding]:
        broker = make_broker(url=url, direct_url=direct_url)
        return {each.name: each for each in Doctor(broker).examine()}

    with Pooler(database) as pooler:
        url = pooler.url_of(database)
        well = examined(database)
        elsewhere = examined(empty_database)
        nowhere = examined("postgresql://nobody:secret@127.0.0.1:1/nothing")

    assert (well["direct connection"].level, well["connection"].level, well["notifications"].level) == ("ok",) * 3
    for failed in (elsewhere, nowhere):
        assert failed["direct connection"].level == "failure"
        assert failed["notifications"].level == "warning"
        assert "secret" not in str(failed)
    assert "expected direct_url to lead to the database of url" in elsewhere["direct connection"].told


def test_workers_that_poll_or_are_switched_off_are_counted(broker: LeaseBroker, sql: Sql) -> None:
    told = ['{"notified": false, "claiming": true}', '{"notified": true, "claiming": false}', None]
    for loops in told:
        sql(
            "INSERT INTO dramatiq.worker (worker_id, host, pid, threads, queues, loops) "
            "VALUES (gen_random_uuid(), 'here', 1, 1, '{}', %s)",
            loops,
        )
    assert [(each.name, each.level, each.told.partition(":")[0]) for each in ailments(broker)] == [
        ("workers", "warning", "1 of 3 processes are switched off"),
        ("workers", "warning", "1 of 3 processes find jobs by polling"),
    ]

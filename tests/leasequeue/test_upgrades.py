"""The release before meets the schema of this one: its workers go on, or say what to do.

`earlier/leasequeue-schema-3.tar.gz` is the room as it was at schema version 3, made by `git archive`: a clone in CI has
no history to take it from.
"""

from __future__ import annotations

import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import dramatiq
import psycopg2
import pytest
from processes import Command
from waiting import wait_until

from leasequeue import LeaseBroker, migrations

HERE = Path(__file__).resolve().parent
EARLIER = HERE / "earlier" / "leasequeue-schema-3.tar.gz"
EARLIER_VERSION = 3

Start = Callable[[str], Command]
Rows = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def rows(empty_database: str) -> Iterator[Rows]:
    """Asks the database; it has the tables that the actors write."""
    with closing(psycopg2.connect(empty_database)) as connection:
        connection.autocommit = True

        def ask(statement: str, *values: object) -> list[tuple[Any, ...]]:
            with connection.cursor() as cursor:
                cursor.execute(statement, values)
                return cursor.fetchall() if cursor.description else []

        ask("CREATE TABLE public.ran (number integer, release integer); CREATE TABLE public.released (number integer)")
        yield ask


@pytest.fixture
def start(empty_database: str, tmp_path: Path) -> Iterator[Start]:
    """Starts a worker process of a release: ``start("earlier")`` or ``start("this")``."""
    with tarfile.open(EARLIER) as archive:
        archive.extractall(tmp_path / "earlier")  # ours: Python 3.11.2 knows no filter
    with ExitStack() as started:

        def run(release: str) -> Command:
            sources = tmp_path / "earlier" if release == "earlier" else HERE.parents[1]
            command = Command(
                [sys.executable, "-m", "dramatiq", "upgrade_actors", "-p", "1", "-t", "4"],
                {"DATABASE_URL": empty_database, "PYTHONPATH": f"{sources}:{HERE}"},
                tmp_path,
            )
            started.callback(command.remove)
            return command

        yield run


@pytest.fixture
def broker(empty_database: str, rows: Rows) -> Iterator[LeaseBroker]:
    """A sender of this release that leaves the schema as it is."""
    broker = LeaseBroker(url=empty_database, auto_migrate=False)
    with closing(broker):
        yield broker


def message(actor: str, *arguments: object, **options: object) -> dramatiq.Message[None]:
    return dramatiq.Message("default", actor, arguments, {}, options)


def numbers(rows: Rows, release: int | None = None) -> list[int]:
    asked = "SELECT number FROM public.ran WHERE coalesce(release = %s, true) ORDER BY 1"
    return [number for (number,) in rows(asked, release)]


def version(rows: Rows) -> int:
    return int(rows("SELECT max(version) FROM dramatiq.migration")[0][0])


@pytest.mark.direct("it wants both releases to get jobs: without notifications it is luck which one looks first")
def test_workers_and_senders_of_the_release_before_go_on_while_the_schema_changes_under_them(
    start: Start, broker: LeaseBroker, rows: Rows
) -> None:
    old = start("earlier")
    old.wait_to_say("is ready for action", 30)
    assert version(rows) == EARLIER_VERSION
    broker.enqueue(message("hold", 1))
    broker.enqueue_many([message("remember", number, 2, number % 10 == 0) for number in range(10, 40)])
    wait_until(lambda: 1 in numbers(rows) and len(numbers(rows)) > 20)

    new = start("this")
    new.wait_to_say("is ready for action", 30)
    assert version(rows) == migrations.latest() > EARLIER_VERSION
    broker.enqueue_many([message("remember", number, 2, number % 10 == 0) for number in range(40, 70)])
    failing = [number for number in range(10, 70) if number % 10 == 0]
    expected = sorted(
        [1, *range(10, 70), *failing]
        + [number * 100 + child for number in (*range(10, 70), *failing) for child in range(2)]
    )
    wait_until(lambda: len(numbers(rows)) >= len(expected), 30)
    # Alone again, it also ends, on the new schema, what it began on its own.
    new.process.terminate()
    assert new.wait() == 0
    broker.enqueue_many([message("remember", number) for number in range(70, 80)])
    rows("INSERT INTO public.released VALUES (1)")
    wait_until(lambda: rows("SELECT count(*) FROM dramatiq.queue") == [(0,)], 20)

    assert numbers(rows) == sorted([*expected, *range(70, 80)])
    assert set(numbers(rows, EARLIER_VERSION)) >= {1, *range(70, 80)}
    assert numbers(rows, migrations.latest())
    assert "ERROR" not in old.stderr + new.stderr
    assert "Traceback" not in new.stderr
    old.process.terminate()
    assert old.wait() == 0


def test_a_worker_of_the_release_before_claims_nothing_while_a_key_waits_for_itself_and_loses_nothing(
    start: Start, broker: LeaseBroker, rows: Rows, empty_database: str
) -> None:
    old = start("earlier")
    old.wait_to_say("is ready for action", 30)
    migrations.migrate(empty_database, schema="dramatiq")
    broker.enqueue(message("hold", 1, key="a"))
    wait_until(lambda: numbers(rows) == [1])
    merged = [broker.enqueue(message("hold", number, key="a")) for number in (2, 3)]
    broker.enqueue_many([message("remember", number) for number in range(10, 20)])
    # It knows no keys, and its claim is refused whole: the reason to upgrade workers before such jobs are sent.
    old.wait_to_say('loop_failed loop=claim: duplicate key value violates unique constraint "queue_key"')
    rows("INSERT INTO public.released VALUES (1), (3)")
    wait_until(lambda: rows("SELECT count(*) FROM dramatiq.queue") == [(0,)], 20)
    assert merged[0].message_id == merged[1].message_id
    assert numbers(rows) == [1, 3, *range(10, 20)]


def test_a_worker_of_the_release_before_that_starts_on_the_new_schema_says_what_to_do(
    start: Start, empty_database: str, rows: Rows
) -> None:
    migrations.migrate(empty_database, schema="dramatiq")
    old = start("earlier")
    assert old.wait() == 3
    latest = migrations.latest()
    assert f"expected schema dramatiq to have version {EARLIER_VERSION}, got: {latest}. It was migrated" in old.stderr
    assert "upgrade this one" in old.stderr

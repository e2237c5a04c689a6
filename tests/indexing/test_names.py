"""Names for fuzzy search are taken over behind the jobs, each once, and missed at no time."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from git_repositories import Repository
from index_database import Index
from waiting import wait_until

import indexing
from indexing import frames, names, search, upkeep
from indexing.background import Background
from indexing.batches import Batches
from indexing.found import Import, Symbol
from indexing.frames import Parsed, Rows
from indexing.report import Reporter
from indexing.store import Blob
from leasequeue.migrations import migrate

MIGRATIONS = Path(indexing.__file__).parent / "migrations"

Make = Callable[..., Repository]


def taken(index: Index) -> list[str]:
    return [name for (name,) in index.rows("SELECT name FROM indexing.names ORDER BY name")]


def waiting(index: Index) -> int:
    return int(index.rows("SELECT count(*) FROM indexing.unnamed_contents")[0][0])


def alike(index: Index, name: str) -> list[str]:
    with index.connection, index.connection.cursor() as cursor:
        return [hit.name for hit in search.find_symbols(cursor, name, match="fuzzy")]


def rows_of(*symbols: Symbol, imports: tuple[Import, ...] = ()) -> Rows:
    parsed = Parsed(1, None, symbols, imports)
    return frames.decode_parsed(bytes(frames.unpack(bytearray(frames.encode_parsed(parsed))) or b""))


def test_names_are_found_before_they_are_taken_over_and_behind_it(index: Index, make_repository: Make) -> None:
    repository = make_repository({"a.py": "class Worker: pass\nclass Worker: pass\n"})
    index.run(repository.url)
    assert (alike(index, "Workers"), taken(index), waiting(index)) == (["Worker"] * 2, [], 1)
    assert names.take_names(index.connection, upkeep.no_pause) == 1
    assert (alike(index, "Workers"), taken(index), waiting(index)) == (["Worker"] * 2, ["Worker"], 0)
    # The next commit has a new name, and one that is known.
    repository.commit({"b.py": "class Worker: pass\nclass Workers: pass\n"})
    index.run(repository.url)
    assert alike(index, "Workers") == ["Workers", *["Worker"] * 3]
    names.take_names(index.connection, upkeep.no_pause)
    assert alike(index, "Workers") == ["Workers", *["Worker"] * 3]
    assert taken(index) == ["Worker", "Workers"]


def test_what_waits_counts_as_what_is_taken_over_does(index: Index) -> None:
    # Given so many alike names that the less alike ones are not asked for,
    many = [Symbol(f"find_name{n}", "function", 1, 1, "", None) for n in range(60)]
    far = [Symbol("find_something_else", "function", 1, 1, "", None)]
    store(index, rows_of(*many))
    names.take_names(index.connection, upkeep.no_pause)
    # When others of both kinds wait,
    store(index, rows_of(*many, Symbol("find_names", "function", 1, 1, "", None), *far), oid="b")
    with index.connection, index.connection.cursor() as cursor:
        found = names.similar_names(cursor, "find_name")
    # Then each has its place, and none comes twice.
    assert found[0] == "find_name0" or found[0] == "find_names"
    assert len(found) == len(set(found)) == names.MOST_SIMILAR
    assert "find_names" in found
    assert "find_something_else" not in found


def store(index: Index, rows: Rows, oid: str = "a") -> None:
    with Background("store") as storing:
        batch = Batches(index.connection, Reporter(lambda _: None), storing, lambda *_: None)
        batch.add(Blob(oid * 40, "python"), rows, 1)
        batch.finish()


def test_two_take_over_different_contents_at_the_same_time(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "_BATCHES", 1)
    same, other, third = (Symbol(name, "function", 1, 1, "", None) for name in ("same", "other", "third"))
    store(index, rows_of(same))
    store(index, rows_of(third), oid="c")
    store(index, rows_of(same, other), oid="b")
    with closing(psycopg2.connect(index.url)) as first, first.cursor() as cursor:
        # Given one that has taken the first contents and has not committed,
        cursor.execute(indexing.queries.query("take_names"), {"batches": 1})
        # When another comes, then it takes the next without a wait for that,
        with index.connection, index.connection.cursor() as taking:
            taking.execute("SET LOCAL lock_timeout TO '5s'")
            taking.execute(indexing.queries.query("take_names"), {"batches": 1})
        assert taken(index) == ["third"]
        # and waits for the name that the one behind has as well, and neither fails.
        second = threading.Thread(target=names.take_names, args=(index.connection, upkeep.no_pause))
        second.start()
        blocked = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        wait_until(lambda: bool(index.rows(blocked)))
        first.commit()
        second.join()
    assert (taken(index), waiting(index)) == (["other", "same", "third"], 0)


def test_it_stops_between_two_transactions_and_goes_on_later(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "_BATCHES", 1)
    for oid, name in (("a", "first"), ("b", "second"), ("c", "third")):
        store(index, rows_of(Symbol(name, "function", 1, 1, "", None)), oid=oid)

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        names.take_names(index.connection, stop)
    assert (taken(index), waiting(index)) == (["first"], 2)
    assert names.take_names(index.connection, upkeep.no_pause) == 2
    assert taken(index) == ["first", "second", "third"]


def test_no_job_waits_for_whoever_holds_the_names(index: Index, make_repository: Make) -> None:
    with closing(psycopg2.connect(index.url)) as holding, holding.cursor() as cursor:
        cursor.execute("LOCK TABLE indexing.names")
        index.run(make_repository({"a.py": "def f(): pass\n"}).url)
    assert waiting(index) == 1


def test_contents_that_are_removed_before_their_turn_leave_no_names(index: Index, make_repository: Make) -> None:
    repository = make_repository({"a.py": "def gone(): pass\n"})
    index.run(repository.url)
    assert upkeep.remove_repository(index.connection, index.repository_id(repository.url))
    assert names.take_names(index.connection, upkeep.no_pause) == 1
    assert (taken(index), waiting(index)) == ([], 0)


def test_a_batch_that_was_lost_leaves_no_word_and_the_next_one_does(index: Index) -> None:
    name = 'größe"\\n\n'
    symbol = Symbol(name, "function", 1, 1, "", None)
    with index.connection, index.connection.cursor() as cursor:
        cursor.execute("ALTER TABLE indexing.imports ADD CHECK (target <> 'refused')")
    with pytest.raises(psycopg2.errors.CheckViolation):
        store(index, rows_of(symbol, imports=(Import(1, "refused", None, None),)))
    assert waiting(index) == 0
    store(index, rows_of(symbol), oid="b")
    names.take_names(index.connection, upkeep.no_pause)
    assert index.rows("SELECT name FROM indexing.symbols") == [(name,)]
    assert taken(index) == [name]


def test_a_collection_takes_names_over(index: Index, make_repository: Make) -> None:
    index.run(make_repository({"a.py": "def f(): pass\n"}).url)
    upkeep.collect(index.connection)
    assert (taken(index), waiting(index)) == (["f"], 0)


def migrate_to_the_release_before(url: str, directory: Path) -> None:
    before = directory / "migrations"
    before.mkdir()
    for migration in sorted(MIGRATIONS.glob("*.sql"))[:9]:
        shutil.copy(migration, before)
    migrate(url, schema="indexing", directory=before)


def test_names_that_are_added_while_they_are_moved_are_not_lost(empty_database: str, tmp_path: Path) -> None:
    migrate_to_the_release_before(empty_database, tmp_path)
    add = "INSERT INTO indexing.symbol_names (name) VALUES (%s)"
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

    def add_late(connection: Any) -> None:
        with connection, connection.cursor() as cursor:
            cursor.execute(add, ("late",))

    with closing(psycopg2.connect(empty_database)) as early, closing(psycopg2.connect(empty_database)) as late:
        index = Index(empty_database, early)
        # Given a job that has added a name and has not committed, and one that adds another behind the migration,
        with early.cursor() as cursor:
            cursor.execute(add, ("early",))
        moving = threading.Thread(
            target=migrate, args=(empty_database,), kwargs={"schema": "indexing", "directory": MIGRATIONS}
        )
        moving.start()
        wait_until(lambda: len(index.rows(waiting)) == 1)
        adding = threading.Thread(target=add_late, args=(late,))
        adding.start()
        wait_until(lambda: len(index.rows(waiting)) == 2)
        # When the first one commits, then both names are there.
        early.commit()
        moving.join()
        adding.join()
        assert taken(index) == ["early", "late"]


def test_names_of_the_release_before_are_kept_and_its_workers_may_add_more(empty_database: str, tmp_path: Path) -> None:
    migrate_to_the_release_before(empty_database, tmp_path)
    with closing(psycopg2.connect(empty_database)) as connection:
        index = Index(empty_database, connection)
        with connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO indexing.symbol_names VALUES ('known'), ('known'), ('__'), ('a_longer_name')")
        migrate(empty_database, schema="indexing", directory=MIGRATIONS)
        # As a worker does that was started before the migration.
        with connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO indexing.symbol_names (name) SELECT unnest(ARRAY['new', 'known', 'new'])")
            cursor.execute("SELECT name FROM indexing.symbol_names WHERE name OPERATOR(indexing.%) 'knowns'")
            assert cursor.fetchall() == [("known",)]
            assert names.similar_names(cursor, "a_longer_nam") == ["a_longer_name"]
        assert taken(index) == ["__", "a_longer_name", "known", "new"]
        sizes = "SELECT name, size, cardinality(indexing.show_trgm(name)) FROM indexing.names"
        assert all(size == trigrams for _, size, trigrams in index.rows(sizes))

"""Whole jobs: a repository in, rows out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Any

import psycopg2
import pytest
from git_repositories import Repository
from index_database import Index
from waiting import wait_until

from indexing import batches, contents, frames, languages, report, store, upkeep
from indexing.found import Symbol
from indexing.frames import Parsed, Rows
from indexing.report import Progress, Reporter
from indexing.store import Blob

Make = Callable[..., Repository]


class Stop(Exception):
    pass


def test_files_and_symbols_are_what_the_commit_contains(index: Index, make_repository: Make) -> None:
    repository = make_repository(
        {
            "src/app.py": "import os\n\n\nclass App:\n    def run(self, port) -> None:\n        ...\n\n\nLIMIT = 3\n",
            "web/index.ts": "export interface Shape {\n  area(): number;\n}\n",
            "README.md": "# App\nno symbols\nno line end",
            "empty.py": "",
            "copy/app.py": "class App:\n    pass\n",
        }
    )
    report = index.run(repository.url)

    head = repository.head
    assert (report.commit_sha, report.files_processed, report.files_skipped, report.symbols_extracted) == (
        head,
        5,
        0,
        6,
    )
    assert report.files_by_language == {"python": 3, "typescript": 1, "text": 1}
    assert report.skips_by_reason == {}
    assert set(report.seconds) == {"resolve", "fetch", "list", "parse", "store", "publish"}
    assert index.rows(
        "SELECT path, language, size_bytes, lines, symbol_count, skip_reason FROM indexing.files ORDER BY 1"
    ) == [
        ("README.md", "text", 28, 3, 0, None),
        ("copy/app.py", "python", 20, 2, 1, None),
        ("empty.py", "python", 0, 0, 0, None),
        ("src/app.py", "python", 80, 9, 3, None),
        ("web/index.ts", "typescript", 45, 3, 2, None),
    ]
    assert index.rows(
        "SELECT path, name, kind, first_line, last_line, signature, parent FROM indexing.symbols_at_commit"
        " ORDER BY path, ordinal"
    ) == [
        ("copy/app.py", "App", "class", 1, 2, "class App", None),
        ("src/app.py", "App", "class", 4, 6, "class App", None),
        ("src/app.py", "run", "method", 5, 6, "def run(self, port) -> None", "App"),
        ("src/app.py", "LIMIT", "constant", 9, 9, "LIMIT = 3", None),
        ("web/index.ts", "Shape", "interface", 1, 3, "interface Shape", None),
        ("web/index.ts", "area", "method", 2, 2, "area(): number", "Shape"),
    ]
    oid = repository.git("rev-parse", "HEAD:src/app.py")
    assert index.rows("SELECT blob_sha FROM indexing.files WHERE path = 'src/app.py'") == [(oid,)]


def test_progress_goes_through_the_phases_and_ends_at_the_total(index: Index, make_repository: Make) -> None:
    index.run(make_repository({"a.py": "x = 1\n", "b.py": "y = 1\n"}).url)
    assert [each.phase for each in index.progress] == ["resolve", "fetch", "list", "parse", "store", "publish"]
    assert [each.files_total for each in index.progress] == [None, None, None, 2, 2, 2]


def test_running_twice_gives_the_same_tables(index: Index, make_repository: Make) -> None:
    repository = make_repository({"a.py": "def f(): pass\n", "b.rb": "def g; end\n", "c.bin": b"\x00"})
    first = index.run(repository.url)
    before = index.everything()
    again = index.run(repository.url)
    assert index.everything() == before
    assert replace(again, seconds={}) == replace(first, seconds={})
    assert "parse" not in again.seconds


def test_a_new_version_of_a_language_reads_the_commit_again_and_takes_its_place(
    index: Index, make_repository: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = make_repository({"a.py": "def f(): pass\n", "b.rb": "def g; end\n"})
    index.run(repository.url)
    before = index.everything()
    version = languages.LANGUAGES["python"].version
    newer = languages.LANGUAGES["python"]._replace(version=99)
    monkeypatch.setitem(languages.LANGUAGES, "python", newer)
    monkeypatch.setattr(languages, "FINGERPRINT", "changed")
    report = index.run(repository.url)
    assert "parse" in report.seconds
    after = index.everything()
    assert (after["files"], after["symbols"]) == (before["files"], before["symbols"])
    assert index.rows("SELECT count(*) FROM indexing.commits") == [(1,)]
    assert sorted(index.rows("SELECT language, extractor_version FROM indexing.blobs")) == [
        ("python", version),
        ("python", 99),
        ("ruby", languages.LANGUAGES["ruby"].version),
    ]


def test_the_next_commit_parses_only_what_is_new(index: Index, make_repository: Make) -> None:
    repository = make_repository({"a.py": "def f(): pass\n", "b.py": "def g(): pass\n"})
    index.run(repository.url)
    repository.commit({"b.py": "def h(): pass\n"})
    index.progress.clear()
    index.run(repository.url)
    assert index.progress[-1].symbols == 1
    assert index.rows("SELECT name FROM indexing.symbols_at_commit WHERE is_current ORDER BY 1") == [("f",), ("h",)]
    assert index.rows("SELECT count(*) FROM indexing.symbols_at_commit") == [(4,)]


def test_the_same_content_in_another_repository_is_not_parsed_again(index: Index, make_repository: Make) -> None:
    files = {"a.py": "def f(): pass\n"}
    index.run(make_repository(files, "one").url)
    # A parser that cannot start: it is not needed.
    index.run(make_repository(files, "two").url, parser_command=("false",))
    assert index.rows("SELECT repository FROM indexing.symbols_at_commit ORDER BY 1") == [("one",), ("two",)]


def test_an_older_commit_indexed_again_becomes_the_current_one(index: Index, make_repository: Make) -> None:
    repository = make_repository({"a.py": "def old(): pass\n"})
    old = repository.head
    new = repository.commit({"a.py": "def new(): pass\n"})
    current = "SELECT sha FROM indexing.commits JOIN indexing.repositories r ON r.current_commit_id = commits.id"
    for sha in (old, new, old):
        index.run(repository.url, sha)
        assert index.rows(current) == [(sha,)]


def test_readers_see_nothing_until_the_commit_is_published(index: Index, make_repository: Make) -> None:
    repository = make_repository({"a.py": "def f(): pass\n"})
    seen: list[Any] = []

    def look(_cursor: Any) -> None:
        seen.append(index.rows("SELECT count(*) FROM indexing.files"))
        seen.append(index.rows("SELECT count(*) FROM indexing.symbols_at_commit"))

    index.run(repository.url, before_publish=look)
    assert seen == [[(0,)], [(0,)]]
    assert index.rows("SELECT count(*) FROM indexing.symbols_at_commit") == [(1,)]


def test_a_caller_that_lost_its_lease_publishes_nothing_and_leaves_nothing(index: Index, make_repository: Make) -> None:
    repository = make_repository({"a.py": "def f(): pass\n"})
    index.run(repository.url)
    repository.commit({"a.py": "def g(): pass\n"})

    def lost(_cursor: Any) -> None:
        raise Stop

    with pytest.raises(Stop):
        index.run(repository.url, before_publish=lost)
    assert index.rows("SELECT name FROM indexing.symbols_at_commit WHERE is_current") == [("f",)]
    assert index.rows("SELECT count(*) FROM indexing.commits") == [(1,)]
    index.run(repository.url)
    assert index.rows("SELECT name FROM indexing.symbols_at_commit WHERE is_current") == [("g",)]


@pytest.mark.parametrize("phase", ["resolve", "fetch", "list", "parse", "store", "publish"])
def test_stopping_in_any_phase_leaves_nothing_visible_and_the_next_run_ends_the_work(
    index: Index, make_repository: Make, phase: str
) -> None:
    repository = make_repository({"a.py": "def f(): pass\n"})

    def stop(progress: Progress) -> None:
        if progress.phase == phase:
            raise Stop

    with pytest.raises(Stop):
        index.run(repository.url, on_progress=stop)
    assert index.rows("SELECT count(*) FROM indexing.commits") == [(0,)]
    # What was parsed is kept.
    assert index.rows("SELECT count(*) FROM indexing.symbols") == [(1 if phase in ("store", "publish") else 0,)]
    index.run(repository.url)
    assert index.rows("SELECT count(*) FROM indexing.symbols_at_commit") == [(1,)]


def test_files_are_stored_while_others_are_parsed_and_seen_by_nobody_until_all_are(
    index: Index, make_repository: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given contents that are in several groups of files, once in each language that they are read in.
    monkeypatch.setattr(batches, "_STORE_FILES", 10)
    monkeypatch.setattr(batches, "_STORE_BLOBS", 5)
    monkeypatch.setattr(contents, "_ASK_FIRST", 30)
    monkeypatch.setattr(report, "REPORT_SECONDS", 0.0)
    files = {f"{n:03}/{kind}": f"function f{n % 25}() {{}}\n" for n in range(100) for kind in ("a.js", "b.ts", "c.txt")}
    repository = make_repository(files)
    stored, visible, parsed = [], [], [0]

    def look(progress: Progress) -> None:
        parsed.append(progress.symbols)
        if progress.phase == "parse":
            stored.extend(index.rows("SELECT count(*) FROM indexing.listing_files"))
            visible.extend(index.rows("SELECT count(*) FROM indexing.files"))

    done = index.run(repository.url, on_progress=look)
    assert any(0 < count < 300 for (count,) in stored)
    assert set(visible) == {(0,)}
    assert max(parsed) == 50
    assert (done.files_processed, done.symbols_extracted) == (300, 200)
    assert index.rows("SELECT path FROM indexing.files ORDER BY path") == [(name,) for name in sorted(files)]
    assert index.rows("SELECT count(*) FROM indexing.blobs") == [(75,)]


def test_a_run_that_stops_while_files_are_stored_leaves_them_to_the_upkeep(
    index: Index, make_repository: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_STORE_FILES", 10)
    monkeypatch.setattr(batches, "_STORE_BLOBS", 5)
    monkeypatch.setattr(report, "REPORT_SECONDS", 0.0)
    repository = make_repository({f"{n:03}.py": f"def f{n}(): pass\n" for n in range(300)})

    def stop(progress: Progress) -> None:
        if progress.phase == "parse" and index.rows("SELECT count(*) FROM indexing.listing_files") != [(0,)]:
            raise Stop

    with pytest.raises(Stop):
        index.run(repository.url, on_progress=stop)
    assert index.rows("SELECT count(*) > 0 FROM indexing.symbols") == [(True,)]
    assert index.rows("SELECT has_commits, touched_at = '-infinity' FROM indexing.listings") == [(False, True)]
    index.run(repository.url)
    assert index.rows("SELECT count(*) FROM indexing.symbols_at_commit") == [(300,)]
    upkeep.collect(index.connection)
    assert index.rows("SELECT count(*) FROM indexing.listing_files") == [(300,)]


def test_progress_is_reported_outside_of_transactions(index: Index, make_repository: Make) -> None:
    repository = make_repository({f"{n}.py": f"def f{n}(): pass\n" for n in range(50)})
    seen = set()
    index.run(
        repository.url,
        on_progress=lambda _: seen.add(index.connection.info.transaction_status),
    )
    assert seen == {psycopg2.extensions.TRANSACTION_STATUS_IDLE}


def test_progress_within_a_phase_is_throttled(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Progress] = []
    reporter = Reporter(seen.append)
    with reporter.phase("parse", files_total=1000):
        for _ in range(1000):
            reporter.add(files=1)
            reporter.tick()
        assert len(seen) < 10
        monkeypatch.setattr("indexing.report.time.monotonic", lambda: float("inf"))
        reporter.tick()
    assert (seen[0].files_done, seen[-1].files_done, seen[-1].files_total) == (0, 1000, 1000)


def test_a_content_met_again_before_it_was_stored_is_stored_once(
    index: Index, make_repository: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexing.contents._READ_FILES", 1)
    repository = make_repository({f"{n}.py": "def f(): pass\n" for n in range(5)})
    assert index.run(repository.url).symbols_extracted == 5
    assert index.rows("SELECT count(*) FROM indexing.symbols") == [(1,)]


def test_a_connection_that_commits_by_itself_is_as_good(index: Index, make_repository: Make) -> None:
    index.connection.autocommit = True
    repository = make_repository({"a.py": "def f(): pass\n"})

    def lost(_cursor: Any) -> None:
        raise Stop

    with pytest.raises(Stop):
        index.run(repository.url, before_publish=lost)
    assert index.rows("SELECT count(*) FROM indexing.commits") == [(0,)]
    assert index.run(repository.url).symbols_extracted == 1


def test_two_jobs_that_store_the_same_contents_in_opposite_orders_both_end(index: Index) -> None:
    parsed = Parsed(1, None, [Symbol("f", "function", 1, 1, "", None)])
    rows = frames.decode_parsed(bytes(frames.unpack(bytearray(frames.encode_parsed(parsed))) or b""))
    blobs = {Blob(f"{n:040x}", "python"): rows for n in range(50)}
    errors: list[Exception] = []

    def store_on(connection: Any, contents: dict[Blob, Rows]) -> None:
        try:
            with connection, connection.cursor() as cursor:
                store.store_blobs(cursor, contents)
        except psycopg2.Error as error:
            errors.append(error)

    def wait_for_locks(count: int) -> None:
        blocked = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        wait_until(lambda: len(index.rows(blocked)) == count)

    one, other = psycopg2.connect(index.url), psycopg2.connect(index.url)
    with index.connection.cursor() as cursor:
        # Given a content in the middle that a third transaction holds,
        store.store_blobs(cursor, dict(islice(blobs.items(), 25, 26)))
        forwards = threading.Thread(target=store_on, args=(one, blobs))
        backwards = threading.Thread(target=store_on, args=(other, dict(reversed(blobs.items()))))
        # When one job comes to it from below and the other from above,
        forwards.start()
        wait_for_locks(1)
        backwards.start()
        wait_for_locks(2)
    index.connection.rollback()
    forwards.join()
    backwards.join()
    one.close()
    other.close()
    # Then neither holds what the other waits for.
    assert errors == []
    assert index.rows("SELECT count(*), count(DISTINCT blob_id) FROM indexing.symbols") == [(50, 50)]


def test_only_the_publishing_transaction_waits_for_the_disk(index: Index, make_repository: Make) -> None:
    with index.connection, index.connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE indexing.waits (what text, setting text);"
            "CREATE FUNCTION indexing.note_waiting() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " INSERT INTO indexing.waits VALUES (TG_TABLE_NAME, current_setting('synchronous_commit')); RETURN NULL;"
            " END $$"
        )
        for table in ("blobs", "listing_files", "commits"):
            cursor.execute(
                f"CREATE TRIGGER note_waiting AFTER INSERT ON indexing.{table} EXECUTE FUNCTION indexing.note_waiting()"
            )
    index.run(make_repository({"a.py": "def f(): pass\n"}).url)
    assert dict(index.rows("SELECT what, setting FROM indexing.waits")) == {
        "blobs": "off",
        "listing_files": "off",
        "commits": "on",
    }


def test_a_connection_with_an_open_transaction_is_refused(index: Index, make_repository: Make) -> None:
    repository = make_repository({"a.py": ""})
    repository_id = index.repository_id(repository.url)
    with index.connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    with pytest.raises(ValueError, match="idle connection"):
        index.run(repository.url, repository_id=repository_id)


def test_two_runs_of_one_commit_at_the_same_time_leave_it_published_once(index: Index, make_repository: Make) -> None:
    repository = make_repository({f"{n}.py": f"def f{n}(): pass\n" for n in range(300)})
    repository_id = index.repository_id(repository.url)
    errors: list[Exception] = []

    def work() -> None:
        connection = psycopg2.connect(index.url)
        try:
            Index(index.url, connection).run(repository.url, repository_id=repository_id)
        except Exception as error:  # noqa: BLE001 the test fails with it below
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert index.rows("SELECT count(*) FROM indexing.commits") == [(1,)]
    assert index.rows("SELECT count(*) FROM indexing.symbols_at_commit") == [(300,)]
    assert index.rows("SELECT count(*) FROM indexing.symbols") == [(300,)]

"""Whole jobs: a repository in, rows out."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from git_repositories import Repository
from index_database import Index
from waiting import wait_until

from indexing import languages, store
from indexing.errors import (
    CommitNotFound,
    NotAGitRepository,
    RepositoryNotFound,
    RepositoryTooLarge,
    TransientIndexError,
)
from indexing.extract import Symbol
from indexing.frames import Parsed
from indexing.limits import Limits
from indexing.report import Progress, Reporter
from indexing.store import Blob

Make = Callable[..., Repository]

#: A parser whose language modules are real, and which does what these contents say instead of parsing them.
PARSER_WITH_TRICKS = (sys.executable, "-P", str(Path(__file__).parent / "parser_with_tricks.py"))


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
    assert index.rows("SELECT path, language, size_bytes, lines, symbol_count, skip_reason FROM indexing.files") == [
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
    newer = replace(languages.LANGUAGES["python"], version=99)
    monkeypatch.setitem(languages.LANGUAGES, "python", newer)
    monkeypatch.setattr(languages, "FINGERPRINT", "changed")
    report = index.run(repository.url)
    assert "parse" in report.seconds
    after = index.everything()
    assert (after["files"], after["symbols"]) == (before["files"], before["symbols"])
    assert index.rows("SELECT count(*) FROM indexing.commits") == [(1,)]
    assert sorted(index.rows("SELECT language, extractor_version FROM indexing.blobs")) == [
        ("python", 1),
        ("python", 99),
        ("ruby", 1),
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
    monkeypatch.setattr("indexing.run._READ_FILES", 1)
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
    blobs = {Blob(f"{n:040x}", "python"): Parsed(1, None, [Symbol("f", "function", 1, 1, "", None)]) for n in range(50)}
    errors: list[Exception] = []

    def store_on(connection: Any, contents: dict[Blob, Parsed]) -> None:
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


def test_a_connection_with_an_open_transaction_is_refused(index: Index, make_repository: Make) -> None:
    repository = make_repository({"a.py": ""})
    repository_id = index.repository_id(repository.url)
    with index.connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    with pytest.raises(ValueError, match="idle connection"):
        index.run(repository.url, repository_id=repository_id)


def test_what_a_dead_run_left_is_removed_when_it_is_old_and_only_then(index: Index, make_repository: Make) -> None:
    repository = make_repository({"a.py": "def f(): pass\n"})
    repository_id = index.repository_id(repository.url)
    with index.connection, index.connection.cursor() as cursor:
        dead = store.begin_commit(cursor, repository_id, "a" * 40)
        alive = store.begin_commit(cursor, repository_id, "b" * 40)
        cursor.execute("UPDATE indexing.commits SET touched_at = now() - interval '1 day' WHERE id = %s", (dead,))
    index.run(repository.url)
    assert index.rows("SELECT id FROM indexing.commits WHERE published_at IS NULL") == [(alive,)]


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


def test_binaries_submodules_links_large_and_missing_files_are_skipped_with_the_reason(
    index: Index, make_repository: Make
) -> None:
    repository = make_repository()
    code = repository.blob(b"def f(): pass\n")
    sha = repository.commit_tree(
        [
            ("100644", "blob", repository.blob(b"\x7fELF\x00\x01"), b"binary.py"),
            ("120000", "blob", repository.blob(b"/etc/passwd"), b"link.py"),
            ("100644", "blob", repository.blob(b"x" * 2000), b"large.py"),
            ("100644", "blob", "1" * 40, b"missing.py"),
            ("160000", "commit", "2" * 40, b"module"),
            ("100755", "blob", code, b"code.py"),
        ]
    )
    report = index.run(repository.url, limits=Limits(parse_processes=1, max_file_bytes=1000))
    assert report.commit_sha == sha
    assert index.skips() == {
        "binary.py": "binary",
        "link.py": "symlink",
        "large.py": "too_large",
        "missing.py": "missing",
        "module": "submodule",
        "code.py": None,
    }
    assert (report.files_processed, report.files_skipped) == (1, 5)
    assert report.skips_by_reason == {"binary": 1, "symlink": 1, "too_large": 1, "missing": 1, "submodule": 1}
    assert index.rows("SELECT lines, language FROM indexing.files WHERE path = 'binary.py'") == [(None, "python")]


def test_a_damaged_object_is_a_skip_and_not_what_its_content_is_elsewhere(index: Index, make_repository: Make) -> None:
    repository = make_repository({"good.py": "def good(): pass\n", "bad.py": "def bad(): pass\n" * 50})
    oid = repository.git("rev-parse", "HEAD:bad.py")
    target = repository.path / ".git/objects" / oid[:2] / oid[2:]
    content = target.read_bytes()
    target.chmod(0o644)
    target.write_bytes(content[: len(content) // 2])
    index.run(repository.url)
    assert index.skips() == {"good.py": None, "bad.py": "missing"}
    assert index.rows("SELECT count(*) FROM indexing.blobs WHERE encode(oid, 'hex') = %s", oid) == [(0,)]


def test_paths_of_any_bytes_are_stored(index: Index, make_repository: Make) -> None:
    repository = make_repository()
    oid = repository.blob(b"def f(): pass\n")
    names = [
        b"-rf.py",
        b"new\nline.py",
        b"bad\xff.py",
        b'"quoted".py',
        b"tab\t.py",
        "größe.py".encode(),
        b"..py",
        b"%s.py",
    ]
    repository.commit_tree([("100644", "blob", oid, name) for name in names])
    index.run(repository.url)
    assert set(index.skips()) == {
        "-rf.py",
        '"new\\nline.py"',
        '"bad\\377.py"',
        '"\\"quoted\\".py"',
        '"tab\\t.py"',
        "größe.py",
        "..py",
        "%s.py",
    }
    assert index.rows("SELECT count(*) FROM indexing.symbols_at_commit") == [(len(names),)]


def test_a_path_that_is_too_long_is_a_skip(index: Index, make_repository: Make) -> None:
    repository = make_repository()
    repository.commit_tree([("100644", "blob", repository.blob(b""), b"x" * 5000)])
    index.run(repository.url)
    assert index.skips() == {"x" * 1024: "path_too_long"}


def test_a_commit_with_too_many_files_is_refused(index: Index, make_repository: Make) -> None:
    repository = make_repository({f"{n}.txt": "" for n in range(4)})
    with pytest.raises(RepositoryTooLarge, match="at most 3 files"):
        index.run(repository.url, limits=Limits(max_files=3))


def test_a_commit_with_endless_paths_is_refused(index: Index, make_repository: Make) -> None:
    repository = make_repository()
    tree, kind = repository.blob(b""), "blob"
    for _ in range(10):
        listed = "".join(
            f"{'100644' if kind == 'blob' else '040000'} {kind} {tree}\t{letter}\n" for letter in "abcdefghij"
        )
        tree, kind = repository.git("mktree", stdin=listed.encode()), "tree"
    repository.git("update-ref", "refs/heads/main", repository.git("commit-tree", tree, "-m", "bomb"))
    with pytest.raises(RepositoryTooLarge, match="list of paths"):
        index.run(repository.url, limits=Limits(max_listing_bytes=1_000_000))


@pytest.mark.parametrize("name", ["main", "refs/heads/main", "heads/main", "light", "annotated", "nested", "feature/x"])
def test_a_commit_is_found_by_branch_and_tag(index: Index, make_repository: Make, name: str) -> None:
    repository = make_repository({"a.py": ""})
    head = repository.head
    repository.git("tag", "light")
    repository.git("tag", "-a", "annotated", "-m", "x")
    repository.git("tag", "-a", "nested", "annotated", "-m", "x")
    repository.git("branch", "feature/x")
    assert index.run(repository.url, name).commit_sha == head
    repository.git("pack-refs", "--all")
    repository.git("gc", "--quiet")
    assert index.run(repository.url, name).commit_sha == head


def test_a_commit_is_found_by_its_short_id_and_a_detached_head(index: Index, make_repository: Make) -> None:
    repository = make_repository({"a.py": ""})
    old = repository.head
    repository.commit({"a.py": "x = 1\n"})
    assert index.run(repository.url, old[:8]).commit_sha == old
    assert index.run(repository.url, old.upper()[:12]).commit_sha == old
    repository.git("checkout", "--quiet", "--detach", old)
    assert index.run(repository.url).commit_sha == old


def test_a_repository_with_sha256_ids_is_indexed(index: Index, make_repository: Make) -> None:
    repository = make_repository({"a.py": "def f(): pass\n"}, object_format="sha256")
    report = index.run(repository.url)
    assert (len(report.commit_sha), report.symbols_extracted) == (64, 1)


def test_a_bare_repository_and_a_file_url_are_indexed(index: Index, make_repository: Make, tmp_path: Path) -> None:
    repository = make_repository({"a.py": "def f(): pass\n"})
    bare = tmp_path / "with space" / "bare.git"
    repository.git("clone", "--quiet", "--bare", "--no-hardlinks", ".", str(bare))
    assert index.run(f"file://{str(bare).replace(' ', '%20')}").commit_sha == repository.head
    assert index.rows("SELECT url, name FROM indexing.repositories") == [(str(bare), "bare")]


@pytest.mark.parametrize(
    "name",
    [
        "nowhere",
        "0" * 40,
        "abcdef12",
        "../../etc/passwd",
        "--upload-pack=x",
        "main.lock",
        "a..b",
        "HEAD^{tree}",
        "x\ny",
    ],
)
def test_a_commit_that_is_not_there_is_a_permanent_error(index: Index, make_repository: Make, name: str) -> None:
    repository = make_repository({"a.py": ""})
    with pytest.raises(CommitNotFound, match="expected an id, branch or tag"):
        index.run(repository.url, name)


def test_a_blob_is_not_a_commit(index: Index, make_repository: Make) -> None:
    repository = make_repository({"a.py": ""})
    with pytest.raises(CommitNotFound):
        index.run(repository.url, repository.git("rev-parse", "HEAD:a.py"))


def test_an_empty_repository_is_a_permanent_error(index: Index, make_repository: Make) -> None:
    with pytest.raises(CommitNotFound, match="is it empty"):
        index.run(make_repository().url)


def test_a_path_without_a_repository_is_a_permanent_error(index: Index, make_repository: Make, tmp_path: Path) -> None:
    with pytest.raises(RepositoryNotFound, match="no such directory"):
        index.run(str(tmp_path / "nothing"))
    with pytest.raises(NotAGitRepository, match="top of a git repository"):
        index.run(str(tmp_path))
    repository = make_repository({"sub/a.py": ""})
    with pytest.raises(NotAGitRepository):
        index.run(str(repository.path / "sub"))
    with pytest.raises((NotAGitRepository, RepositoryNotFound)):
        index.run(str(repository.path / "sub/a.py"))


def test_a_repository_that_was_removed_from_the_table_is_a_permanent_error(index: Index, make_repository: Make) -> None:
    repository = make_repository({"a.py": ""})
    with pytest.raises(RepositoryNotFound, match="has been removed"):
        index.run(repository.url, repository_id="00000000-0000-0000-0000-000000000000")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a repository to somebody else")
def test_a_repository_of_another_user_is_indexed(index: Index, make_repository: Make) -> None:
    repository = make_repository({"a.py": "def f(): pass\n"})
    for parent, _, names in os.walk(repository.path):
        for name in [".", *names]:
            os.lchown(Path(parent) / name, 65534, 65534)
    assert index.run(repository.url).symbols_extracted == 1


@pytest.mark.parametrize(
    ("trick", "reason"),
    [
        ("spin", "parse_timeout"),
        ("sleep", "parse_timeout"),
        ("crash", "parse_crashed"),
        ("exhaust", "parse_memory"),
        ("babble", "parse_crashed"),
    ],
)
def test_a_file_that_harms_its_parser_is_a_skip_and_the_others_are_indexed(
    index: Index, make_repository: Make, trick: str, reason: str
) -> None:
    files = {f"{n:03}.py": f"def f{n}(): pass\n" for n in range(60)}
    repository = make_repository({**files, "005x.py": f"TRICK {trick}\n"})
    limits = Limits(
        parse_processes=2,
        parse_seconds=0.3,
        parse_kill_cpu_seconds=0.1,
        # Only this ends one that sleeps; one that spins is ended by the kernel long before.
        parse_silence_seconds=2 if trick in ("sleep", "babble") else 60,
        parse_memory_bytes=500 * 1024 * 1024,
    )
    report = index.run(repository.url, limits=limits, parser_command=PARSER_WITH_TRICKS)
    assert report.skips_by_reason == {reason: 1}
    assert index.skips()["005x.py"] == reason
    assert report.symbols_extracted == 60


def test_a_source_that_the_real_parser_never_ends_is_a_skip(index: Index, make_repository: Make) -> None:
    # Given 18 bytes on which error recovery of this grammar goes in a circle.
    repository = make_repository({"endless.tsx": "<i {{k:>t:m(n o)\n", "good.tsx": "function f() {}\n"})
    index.run(repository.url, limits=Limits(parse_processes=1, parse_seconds=0.3))
    assert index.skips() == {"endless.tsx": "parse_timeout", "good.tsx": None}
    assert index.rows("SELECT name FROM indexing.symbols_at_commit") == [("f",)]


def test_a_file_with_too_many_symbols_is_a_skip(index: Index, make_repository: Make) -> None:
    repository = make_repository({"many.py": "A = 1\n" * 11, "few.py": "A = 1\n" * 10})
    index.run(repository.url, limits=Limits(parse_processes=1, max_symbols_per_file=10))
    assert index.skips() == {"many.py": "too_many_symbols", "few.py": None}


@pytest.mark.parametrize(
    "content", [b"(" * 1_000_000, b"[" * 50_000 + b"]" * 50_000, b"x=" * 300_000, random.Random(1).randbytes(900_000)]
)
def test_deep_and_senseless_sources_end_and_the_others_are_indexed(
    index: Index, make_repository: Make, content: bytes
) -> None:
    names = ("a.py", "a.js", "a.cpp", "a.rb")
    repository = make_repository({**dict.fromkeys(names, content.replace(b"\x00", b"")), "good.py": "def f(): pass\n"})
    index.run(repository.url, limits=Limits(parse_processes=2, parse_seconds=0.5))
    skips = index.skips()
    assert skips.pop("good.py") is None
    assert set(skips) == set(names)
    assert set(skips.values()) <= {None, "parse_timeout", "parse_crashed", "parse_memory"}
    assert index.rows("SELECT name FROM indexing.symbols_at_commit WHERE path = 'good.py'") == [("f",)]


def test_a_file_whose_parser_was_killed_once_by_somebody_else_is_indexed(
    index: Index, make_repository: Make, tmp_path: Path
) -> None:
    repository = make_repository({"a.py": f"TRICK crash-once {tmp_path / 'crashed'}\ndef f(): pass\n"})
    report = index.run(repository.url, parser_command=PARSER_WITH_TRICKS)
    assert (tmp_path / "crashed").exists()
    assert (report.skips_by_reason, report.symbols_extracted) == ({}, 1)


def test_a_parser_that_does_not_start_is_a_transient_error_and_blames_no_file(
    index: Index, make_repository: Make
) -> None:
    repository = make_repository({"a.py": "def f(): pass\n"})
    with pytest.raises(TransientIndexError, match="expected a parser process to start"):
        index.run(repository.url, parser_command=("false",))
    assert index.rows("SELECT count(*) FROM indexing.blobs") == [(0,)]


def test_no_process_is_left_when_a_run_is_stopped_at_a_hung_parser(index: Index, make_repository: Make) -> None:
    repository = make_repository({"a.py": "TRICK spin\n"})

    def stop(progress: Progress) -> None:
        if progress.phase == "parse" and _children():
            raise Stop

    with pytest.raises(Stop):
        index.run(repository.url, on_progress=stop, parser_command=PARSER_WITH_TRICKS)
    assert _children() == set()


def test_parsers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys\n"
        "from indexing.limits import Limits\n"
        "from indexing.parsers import Parsers, Task\n"
        "with Parsers(Limits(parse_processes=2)) as parsers:\n"
        "    tasks = [Task(str(n), 'text', b'') for n in range(100)]\n"
        "    list(parsers.parse(tasks, lambda: None))\n"
        "    print(*[each._process.pid for each in parsers._running], flush=True)\n"
        "    sys.stdin.read()\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with parent:
        assert parent.stdout is not None
        pids = parent.stdout.readline().split()
        assert len(pids) == 2
        assert all(Path(f"/proc/{int(pid)}/cmdline").read_bytes() for pid in pids)
        parent.kill()
        wait_until(lambda: not any(_is_running(int(pid)) for pid in pids))


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""  # empty: ended, and nobody has asked how
    except OSError:
        return False


def _children() -> set[str]:
    """Our own parser processes."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
            command = (stat.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if fields[1] == str(os.getpid()) and b"parser" in command:
            found.add(stat.parent.name)
    return found

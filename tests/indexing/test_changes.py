"""The second commit of a repository: told by its difference from the first, and the same in every way."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg2
import pytest
from git_repositories import Repository
from index_database import Index

from indexing import changes, publish
from indexing.errors import RepositoryTooLarge
from indexing.limits import Limits

Make = Callable[..., Repository]

#: A parser that cannot start: where it does no harm, nothing was parsed.
NO_PARSER = ("false",)


def listings(index: Index) -> int:
    return int(index.rows("SELECT count(*) FROM indexing.listings")[0][0])


def visible(index: Index, sha: str) -> list[tuple[Any, ...]]:
    return index.rows(
        "SELECT f.path, f.blob_sha, f.size_bytes, f.language, f.lines, f.symbol_count, f.skip_reason, s.name, s.parent"
        "  FROM indexing.files AS f LEFT JOIN indexing.symbols_at_commit AS s"
        "       ON s.commit_id = f.commit_id AND s.path = f.path"
        " WHERE f.commit_sha = %s ORDER BY f.path, s.ordinal",
        sha,
    )


def test_a_small_change_adds_its_own_rows_only(index: Index, make_repository: Make) -> None:
    repository = make_repository({f"{n}.py": f"def f{n}(): pass\n" for n in range(20)})
    first = repository.head
    index.run(repository.url)
    before = visible(index, first)
    (repository.path / "3.py").unlink()
    second = repository.commit({"4.py": "def changed(): pass\n", "new.rb": "def g; end\n"})
    report = index.run(repository.url)

    assert (report.files_processed, report.symbols_extracted) == (20, 20)
    assert report.files_by_language == {"python": 19, "ruby": 1}
    assert index.rows("SELECT count(*) FROM indexing.listing_files") == [(22,)]
    assert listings(index) == 1
    # Both commits are whole, and each is what it was.
    assert visible(index, first) == before
    now = {path: name for path, *_, name, _parent in visible(index, second)}
    assert now == {f"{n}.py": f"f{n}" for n in range(20) if n not in (3, 4)} | {"4.py": "changed", "new.rb": "g"}


LIMITS = Limits(parse_processes=1, max_file_bytes=2000)


def test_any_history_gives_the_same_rows_as_reading_each_commit_whole(
    index: Index, make_repository: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given commits that add, change, move and remove files, and one that makes links and submodules of directories,
    repository = make_repository({"a.py": "def a(): pass\n"})
    commits = [repository.head]
    draw = random.Random(7)
    for step in range(8):
        for path in [each for each in repository.path.rglob("*.*") if ".git" not in each.parts]:
            if draw.random() < 0.3:
                path.unlink()
        contents: list[str | bytes] = [f"def s{step}(): pass\n", "", b"\x00", "int f(void) { return 1; }\n", "x" * 3000]
        files: dict[str, bytes | str] = {
            f"d{draw.randrange(3)}/f{draw.randrange(9)}.{draw.choice(['py', 'c', 'bin'])}": draw.choice(contents)
            for _ in range(draw.randrange(6))
        }
        commits.append(repository.commit(files))
    link = ("120000", "blob", repository.blob(b"elsewhere"), b"d0")
    commits.append(repository.commit_tree([link, ("160000", "commit", "2" * 40, b"d1")]))
    # When each is told from the one before,
    reports = [index.run(repository.url, sha, limits=LIMITS) for sha in commits]
    assert listings(index) == 1
    changed = [visible(index, sha) for sha in commits]
    # Then it is the same as when each is read whole.
    index.rows("DELETE FROM indexing.repositories RETURNING id")
    monkeypatch.setattr(publish, "find_base", lambda *_: None)
    whole = [index.run(repository.url, sha, limits=LIMITS) for sha in commits]
    assert listings(index) == len(commits)
    assert changed == [visible(index, sha) for sha in commits]
    assert [replace(each, seconds={}) for each in reports] == [replace(each, seconds={}) for each in whole]


def test_a_commit_back_in_history_and_one_on_another_branch_are_told_by_changes_too(
    index: Index, make_repository: Make
) -> None:
    repository = make_repository({"a.py": "def a(): pass\n", "b.py": "def b(): pass\n"})
    first = repository.head
    second = repository.commit({"a.py": "def a2(): pass\n"})
    repository.git("checkout", "--quiet", "-b", "side", first)
    side = repository.commit({"b.py": "def side(): pass\n"})
    for sha in (second, side, first):
        index.run(repository.url, sha)
    names = "SELECT name FROM indexing.symbols_at_commit WHERE commit_sha = %s ORDER BY 1"
    assert index.rows(names, second) == [("a2",), ("b",)]
    assert index.rows(names, side) == [("a",), ("side",)]
    assert index.rows(names, first) == [("a",), ("b",)]
    assert index.rows("SELECT DISTINCT commit_sha FROM indexing.files WHERE is_current") == [(first,)]
    assert listings(index) == 1


def test_what_makes_the_whole_list_different_starts_a_new_one(
    index: Index, make_repository: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = make_repository({"a.h": "int f(void);\n", **{f"{n}.txt": "" for n in range(9)}})
    index.run(repository.url)
    # Another limit,
    repository.commit({"b.h": ""})
    index.run(repository.url, limits=LIMITS)
    assert listings(index) == 2
    # the first C++ source: headers are C++ from here on,
    repository.commit({"b.cpp": ""})
    index.run(repository.url, limits=LIMITS)
    assert listings(index) == 3
    assert index.rows("SELECT language FROM indexing.files WHERE path = 'a.h' AND is_current") == [("cpp",)]
    # too many changes,
    monkeypatch.setattr(changes, "_MOST_CHANGES", 1)
    repository.commit({f"{n}.txt": "new" for n in range(9)})
    index.run(repository.url, limits=LIMITS)
    assert listings(index) == 4
    # and a commit before that is not in the repository any more.
    index.rows("UPDATE indexing.commits SET sha = repeat('a', 40) WHERE sha = %s RETURNING 1", repository.head)
    repository.commit({"c.txt": ""})
    index.run(repository.url, limits=LIMITS)
    assert listings(index) == 5


def test_a_file_that_was_missing_is_looked_for_again(index: Index, make_repository: Make) -> None:
    repository = make_repository()
    content = b"def late(): pass\n"
    oid = repository.blob(content)
    (repository.path / ".git/objects" / oid[:2] / oid[2:]).unlink()
    repository.commit_tree([("100644", "blob", oid, b"late.py")])
    index.run(repository.url)
    assert index.skips() == {"late.py": "missing"}
    assert repository.blob(content) == oid
    repository.commit_tree([("100644", "blob", oid, b"late.py"), ("100644", "blob", repository.blob(b""), b"x.py")])
    index.run(repository.url)
    assert index.skips() == {"late.py": None, "x.py": None}


def test_a_commit_that_grows_beyond_the_limit_is_refused(index: Index, make_repository: Make) -> None:
    repository = make_repository({f"{n}.txt": "" for n in range(3)})
    index.run(repository.url, limits=Limits(max_files=3))
    repository.commit({"3.txt": ""})
    with pytest.raises(RepositoryTooLarge, match="at most 3 files"):
        index.run(repository.url, limits=Limits(max_files=3))


def test_nothing_is_started_for_a_change_without_new_contents(index: Index, make_repository: Make) -> None:
    repository = make_repository({"a.py": "def f(): pass\n", "b.py": ""})
    index.run(repository.url)
    repository.git("mv", "a.py", "c.py")
    repository.commit({})
    assert index.run(repository.url, parser_command=NO_PARSER).symbols_extracted == 1
    assert index.rows("SELECT path FROM indexing.symbols_at_commit WHERE is_current") == [("c.py",)]


def test_a_caller_that_lost_its_lease_leaves_the_commit_before_as_it_was(index: Index, make_repository: Make) -> None:
    repository = make_repository({"a.py": "def f(): pass\n"})
    index.run(repository.url)
    before = index.everything()
    repository.commit({"a.py": "def g(): pass\n"})

    class Lost(Exception):
        pass

    def lost(_cursor: Any) -> None:
        raise Lost

    with pytest.raises(Lost):
        index.run(repository.url, before_publish=lost)
    after = index.everything()
    assert (after["files"], after["symbols"]) == (before["files"], before["symbols"])
    assert index.run(repository.url).symbols_extracted == 1


def test_jobs_for_different_commits_of_one_repository_at_once_all_end(index: Index, make_repository: Make) -> None:
    repository = make_repository({f"{n}.py": f"def f{n}(): pass\n" for n in range(30)})
    index.run(repository.url)
    repository_id = index.repository_id(repository.url)
    commits = [repository.commit({f"{n}.py": f"def changed{n}(): pass\n"}) for n in range(6)]
    errors: list[Exception] = []

    def work(sha: str) -> None:
        connection = psycopg2.connect(index.url)
        try:
            Index(index.url, connection).run(repository.url, sha, repository_id=repository_id)
        except Exception as error:  # noqa: BLE001 the test fails with it below
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(sha,)) for sha in [*commits, commits[-1]]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for number, sha in enumerate(commits):
        names = index.rows("SELECT name FROM indexing.symbols_at_commit WHERE commit_sha = %s", sha)
        assert sum(name.startswith("changed") for (name,) in names) == number + 1
        assert len(names) == 30

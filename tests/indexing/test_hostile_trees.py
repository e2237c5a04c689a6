"""Commits that no work tree could hold: too much, too deep, too odd. Each ends as documented, and the next job runs."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from git_repositories import Repository
from index_database import Index

from indexing import paths
from indexing.errors import IndexingError, RepositoryTooLarge, UnsafeRepository
from indexing.limits import MIB, Limits

Make = Callable[..., Repository]


def write_object(repository: Repository, kind: str, content: bytes) -> str:
    """An object that git would not make by itself."""
    return repository.git("hash-object", "-w", "-t", kind, "--literally", "--stdin", stdin=content)


def commit_raw_tree(repository: Repository, entries: list[tuple[bytes, bytes, str]]) -> str:
    """Commit (mode, name, id) entries as they are, and make it the head."""
    content = b"".join(mode + b" " + name + b"\x00" + bytes.fromhex(oid) for mode, name, oid in entries)
    tree = write_object(repository, "tree", content)
    sha = repository.git("commit-tree", tree, "-m", "odd")
    repository.git("update-ref", "refs/heads/main", sha)
    return sha


def error_of(index: Index, repository: Repository) -> IndexingError | None:
    try:
        index.run(repository.url)
    except IndexingError as error:
        return error
    return None


@pytest.fixture
def next_job_runs(index: Index, tmp_path: Path) -> Callable[[], None]:
    """After the job that a test is about, another one is indexed as if nothing had been."""

    def check() -> None:
        good = Repository.make(tmp_path / "good", {"a.py": "def good(): pass\n"})
        assert index.run(good.url).symbols_extracted == 1
        assert index.rows("SELECT name FROM indexing.symbols_at_commit WHERE repository = 'good'") == [("good",)]

    return check


def test_a_million_files_in_one_directory_are_refused(
    index: Index, make_repository: Make, next_job_runs: Callable[[], None]
) -> None:
    repository = make_repository()
    oid = repository.blob(b"")
    commit_raw_tree(repository, [(b"100644", b"%07d" % number, oid) for number in range(1_000_000)])
    with pytest.raises(RepositoryTooLarge, match="at most 500000 files"):
        index.run(repository.url)
    next_job_runs()


def test_five_thousand_nested_directories_are_listed_and_skipped_or_refused(
    index: Index, make_repository: Make, next_job_runs: Callable[[], None]
) -> None:
    repository = make_repository()
    deep = "d/" * 5000
    stream = (
        "commit refs/heads/main\ncommitter A <a@example.com> 1 +0000\ndata 1\nx"
        f"M 100644 inline {deep}f.py\ndata 4\nx=1\nM 100644 inline a.py\ndata 12\ndef a():pass\n"
    )
    repository.git("fast-import", "--quiet", stdin=stream.encode())
    error = error_of(index, repository)
    skips = index.skips()
    # Newer gits do not follow so far.
    assert "nested too deep" in str(error) or skips.pop("a.py") is None
    assert set(skips.values()) <= {"path_too_long"}
    next_job_runs()


def test_odd_names_are_names_and_lead_nowhere(
    index: Index, make_repository: Make, next_job_runs: Callable[[], None]
) -> None:
    repository = make_repository()
    oid = repository.blob(b"def f(): pass\n")
    names = [
        b"..",
        b"../../../etc/passwd.py",
        b"/etc/absolute.py",
        b".git/hooks/post-checkout.py",
        b"-rf.py",
        b"--upload-pack=x.py",
        b"A.py",
        b"a.py",
        b"\x01\x02\x7f.py",
        b"\xff\xfe.py",
        b"a\nb.py",
        b'"quoted".py',
        b"C:\\windows.py",
        b"nul\xc0\x80.py",
        "fünf\u202e.py".encode(),
        b"$(touch x).py",
        b"%s%n.py",
        b"x\\.py",
    ]
    commit_raw_tree(repository, [(b"100644", name, oid) for name in names])
    index.run(repository.url)
    assert {paths.to_bytes(path) for path in index.skips()} == set(names)
    assert set(index.skips().values()) == {None}
    next_job_runs()


def test_a_path_that_is_there_twice_is_refused_in_a_whole_list_and_in_a_change(
    index: Index, make_repository: Make, next_job_runs: Callable[[], None]
) -> None:
    repository = make_repository({"a.py": "", "b.py": ""})
    index.run(repository.url)
    before = index.everything()
    oid = repository.blob(b"def f(): pass\n")
    for path in ("a.py", "c.py"):
        commit_raw_tree(
            repository, [(b"100644", b"b.py", repository.blob(b"")), *[(b"100644", path.encode(), oid)] * 2]
        )
        with pytest.raises(UnsafeRepository, match="each path once"):
            index.run(repository.url)
    assert index.everything()["files"] == before["files"]
    index.rows("DELETE FROM indexing.commits RETURNING 1")
    with pytest.raises(UnsafeRepository, match="each path once"):
        index.run(repository.url)
    next_job_runs()


def test_modes_and_kinds_that_do_not_fit_are_skips(
    index: Index, make_repository: Make, next_job_runs: Callable[[], None]
) -> None:
    repository = make_repository({"a.py": "def a(): pass\n"})
    blob, commit = repository.blob(b"def f(): pass\n"), repository.head
    commit_raw_tree(
        repository,
        [
            (b"100644", b"commit.py", commit),
            (b"100777", b"mode.py", blob),
            (b"120000", b"outward.py", repository.blob(b"/etc/passwd")),
            (b"160000", b"submodule", blob),
        ],
    )
    index.run(repository.url)
    skips = index.skips()
    assert (skips["outward.py"], skips["submodule"], skips["mode.py"]) == ("symlink", "submodule", None)
    assert skips["commit.py"] == "missing"
    next_job_runs()


@pytest.mark.parametrize("content", [b"garbage", b"100644 a.py\x00short", b""])
def test_a_tree_that_is_damaged_ends_the_job_with_an_error_or_nothing(
    index: Index, make_repository: Make, next_job_runs: Callable[[], None], content: bytes
) -> None:
    repository = make_repository({"a.py": "x"})
    tree = write_object(repository, "tree", content)
    repository.git("update-ref", "refs/heads/main", repository.git("commit-tree", tree, "-m", "x"))
    error = error_of(index, repository)
    assert (error is None) == (content == b"")
    assert index.skips() == {}
    next_job_runs()


def test_a_blob_of_200_megabytes_is_a_skip_that_is_never_read(
    index: Index, make_repository: Make, next_job_runs: Callable[[], None]
) -> None:
    repository = make_repository({"small.py": "def f(): pass\n"})
    large = repository.path / "large.py"
    with large.open("wb") as file:
        file.truncate(200 * MIB)
    repository.git("-c", "core.compression=1", "add", "--all")
    repository.git("commit", "--quiet", "-m", "x")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    index.run(repository.url)
    assert index.skips() == {"large.py": "too_large", "small.py": None}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024
    next_job_runs()


def test_a_file_of_one_line_of_50_megabytes_is_a_skip_also_when_the_limit_is_raised(
    index: Index, make_repository: Make, next_job_runs: Callable[[], None]
) -> None:
    line = b"x = [" + b"1, " * (50 * MIB // 3) + b"]"
    repository = make_repository({"line.js": line, "small.py": "def f(): pass\n"})
    index.run(repository.url)
    assert index.skips() == {"line.js": "too_large", "small.py": None}
    raised = Limits(parse_processes=1, max_file_bytes=100 * MIB, parse_seconds=0.5)
    index.run(repository.url, limits=raised)
    assert index.skips()["line.js"] in ("parse_timeout", "parse_memory", "parse_crashed")
    assert index.skips()["small.py"] is None
    next_job_runs()


def test_a_work_tree_is_never_written_and_nothing_is_left_in_it(index: Index, make_repository: Make) -> None:
    repository = make_repository({"a.py": "def f(): pass\n"})
    listed = ["find", str(repository.path), "-printf", "%p %T@ %s\n"]
    before = subprocess.run(listed, capture_output=True, check=True).stdout
    index.run(repository.url)
    assert subprocess.run(listed, capture_output=True, check=True).stdout == before

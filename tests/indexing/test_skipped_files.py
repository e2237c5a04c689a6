"""What is not read of a commit, and why: recorded for each file, never the end of the job."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from git_repositories import Repository
from index_database import Index

from indexing.errors import (
    RepositoryTooLarge,
)
from indexing.limits import Limits

Make = Callable[..., Repository]


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
    # Given two that are the same for longer than is stored, and one that just fits.
    names = [b"x" * 5000, b"x" * 4999 + b"y", b"z" * 2000]
    repository.commit_tree([("100644", "blob", repository.blob(b""), name) for name in names])
    index.run(repository.url)
    skips = index.skips()
    assert skips.pop("z" * 2000) is None
    assert len(skips) == 2
    assert all(path.startswith("x" * 400 + "~") for path in skips)
    assert set(skips.values()) == {"path_too_long"}


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

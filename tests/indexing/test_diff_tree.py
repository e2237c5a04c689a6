"""What tells changes: whole answers only, whatever paths are called, and None where they are too many."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from git_repositories import Repository

from indexing import git, objects
from indexing.diff_tree import _Answer
from indexing.errors import TransientIndexError
from indexing.limits import Limits
from indexing.objects import ObjectStore

Make = Callable[..., Repository]

ODD_NAMES = ("end\n", "a\nend\n", ":100644 100644", "ü", "-rf")


@pytest.fixture
def repository(make_repository: Make) -> Repository:
    return make_repository({f"d{n}/e/f.py": f"# {n}\n" for n in range(20)})


@pytest.fixture
def store(repository: Repository, tmp_path: Path) -> Iterator[ObjectStore]:
    directory = Path(repository.url) / ".git" / "objects"
    with objects.create(tmp_path, Limits(), git.nothing_to_do, object_directory=directory) as opened:
        opened.start()
        yield opened


def test_changes_are_told_whatever_paths_are_called(store: ObjectStore, repository: Repository) -> None:
    base = repository.head
    changed = repository.commit({**dict.fromkeys(ODD_NAMES, "new\n"), "d0/e/f.py": "# other\n"})
    for _ in range(2):
        found = store.changes(base, changed, 100)
        assert found is not None
        assert {each.path.decode(): each.status for each in found} == {
            **dict.fromkeys(ODD_NAMES, b"A"),
            "d0/e/f.py": b"M",
        }
        assert store.changes(base, base, 100) == []
    back = store.changes(changed, base, 100)
    assert back is not None
    assert sorted(each.status for each in back) == [b"D"] * 5 + [b"M"]


def test_too_many_changes_are_none_and_the_next_question_is_not_answered_by_them(
    store: ObjectStore, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = repository.head
    changed = repository.commit({f"d{n}/e/f.py": "# other\n" for n in range(10)})
    assert store.changes(base, changed, 9) is None
    one = store.changes(base, changed, 10)
    assert one is not None
    assert len(one) == 10
    monkeypatch.setattr("indexing.diff_tree._MOST_BYTES", 500)
    assert store.changes(base, changed, 10) is None


def test_what_is_missing_is_no_commit_without_changes(store: ObjectStore, repository: Repository) -> None:
    base = repository.head
    with pytest.raises(git.GitFailed, match="a commit is missing"):
        store.changes("1" * 40, base, 10)
    with pytest.raises(git.GitFailed, match="a tree is missing"):
        store._talks.changes.changes("1" * 40, repository.git("rev-parse", "HEAD^{tree}"), 10, git.nothing_to_do)
    # In a directory: git ends with that.
    changed = repository.commit({"d0/e/f.py": "# other\n"})
    tree = repository.git("rev-parse", f"{changed}:d0/e")
    (Path(repository.url) / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    with pytest.raises(git.GitFailed, match=tree):
        store.changes(base, changed, 10)


def test_an_answer_that_comes_in_pieces_is_whole_at_its_end_only() -> None:
    said = b"old new\n:100644 100644 1 2 M\0end\n\0:000000 100644 0 3 A\0other\0end\n"
    answer, unread = _Answer(b"old new\n", most=10), bytearray()
    for byte in said[:-1]:
        unread.append(byte)
        assert answer.take(unread) == 1
    unread += said[-1:]
    assert answer.take(unread) == 0
    assert [(each.status, each.path) for each in answer.changes] == [(b"M", b"end\n"), (b"A", b"other")]


def test_a_git_that_was_killed_has_told_nothing(store: ObjectStore, repository: Repository) -> None:
    base, changed = repository.head, repository.commit({"d0/e/f.py": "# other\n"})
    store._talks.changes.start()
    process = store._talks.changes._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(git.GitFailed, match="exit code -9"):
        store.changes(base, changed, 10)
    assert store.changes(base, changed, 10) is not None


def test_a_git_that_says_nothing_has_a_time_limit(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, changed = repository.head, repository.commit({"d0/e/f.py": "# other\n"})
    silent = tmp_path / "bin"
    silent.mkdir()
    (silent / "git").write_text(
        f'#!/bin/sh\n[ "$1" = diff-tree ] && exec sleep 600\nPATH={os.environ["PATH"]} exec git "$@"\n'
    )
    (silent / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{silent}:{os.environ['PATH']}")
    directory = Path(repository.url) / ".git" / "objects"
    limits = Limits(git_timeout_seconds=0.5)
    with (
        objects.create(tmp_path, limits, git.nothing_to_do, object_directory=directory) as store,
        pytest.raises(TransientIndexError, match=r"diff-tree to answer within 0\.5 s"),
    ):
        store.changes(base, changed, 10)

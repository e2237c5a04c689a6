"""From what the caller named to a commit, or to an error that says what is missing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from git_repositories import Repository
from index_database import Index

from indexing.errors import (
    CommitNotFound,
    NotAGitRepository,
    RepositoryNotFound,
)

Make = Callable[..., Repository]


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

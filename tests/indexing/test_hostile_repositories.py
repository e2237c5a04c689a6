"""A local repository whose files were written by an attacker: nothing of it is run, nothing outside of it is read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from git_repositories import Repository
from index_database import Index
from waiting import wait_until

from indexing.errors import CommitNotFound, UnsafeRepository
from indexing.git import nothing_to_do
from indexing.limits import Limits
from indexing.local import open_repository

Make = Callable[..., Repository]

SECRET = "TOP_SECRET_OF_ANOTHER_REPOSITORY"


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A command that leaves a mark when it is run; the mark is the fixture's value."""
    mark = tmp_path / "was-run"
    command = tmp_path / "trap.sh"
    command.write_text(f"#!/bin/sh\ntouch {mark}\nexit 1\n")
    command.chmod(0o755)
    return mark


def command_of(mark: Path) -> str:
    return str(mark.parent / "trap.sh")


def lose(repository: Repository, oid: str) -> None:
    (repository.path / ".git/objects" / oid[:2] / oid[2:]).unlink()


def test_a_partial_clone_whose_configuration_names_commands_runs_none(
    index: Index, make_repository: Make, trap: Path
) -> None:
    repository = make_repository({"lost.py": "def lost(): pass\n", "kept.py": "def kept(): pass\n"})
    lose(repository, repository.git("rev-parse", "HEAD:lost.py"))
    for key, value in {
        "core.repositoryformatversion": "1",
        "extensions.partialclone": "origin",
        "remote.origin.promisor": "true",
        "remote.origin.url": str(repository.path),
        "remote.origin.uploadpack": command_of(trap),
        "core.fsmonitor": command_of(trap),
        "core.sshcommand": command_of(trap),
        "core.pager": command_of(trap),
        "core.hookspath": str(trap.parent),
        "uploadpack.packobjectshook": command_of(trap),
        "diff.external": command_of(trap),
        "filter.x.smudge": command_of(trap),
        "filter.x.process": command_of(trap),
        "core.alternaterefscommand": command_of(trap),
        "include.path": "/dev/null",
    }.items():
        repository.git("config", key, value)
    (repository.path / ".git/info/attributes").write_text("* filter=x diff=x\n")

    index.run(repository.url)
    assert index.skips() == {"kept.py": None, "lost.py": "missing"}
    assert not trap.exists()


def test_the_same_partial_clone_does_run_its_command_under_plain_git(make_repository: Make, trap: Path) -> None:
    # Given the repository of the test above, so that it is known to be able to fail.
    repository = make_repository({"lost.py": "def lost(): pass\n"})
    oid = repository.git("rev-parse", "HEAD:lost.py")
    lose(repository, oid)
    for key, value in {
        "core.repositoryformatversion": "1",
        "extensions.partialclone": "origin",
        "remote.origin.promisor": "true",
        "remote.origin.url": str(repository.path),
        "remote.origin.uploadpack": command_of(trap),
    }.items():
        repository.git("config", key, value)
    with pytest.raises(AssertionError):
        repository.git("cat-file", "-p", oid)
    assert trap.exists()


def test_a_configuration_that_git_would_refuse_changes_nothing(index: Index, make_repository: Make) -> None:
    repository = make_repository({"a.py": "def f(): pass\n"})
    config = repository.path / ".git/config"
    config.write_text(config.read_text() + "[extensions]\n\tnonsense = true\n[core]\n\trepositoryformatversion = 1\n")
    assert index.run(repository.url).symbols_extracted == 1


def test_a_commit_that_is_missing_is_not_fetched(index: Index, make_repository: Make, trap: Path) -> None:
    repository = make_repository({"a.py": ""})
    lose(repository, repository.head)
    for key, value in {
        "core.repositoryformatversion": "1",
        "extensions.partialclone": "origin",
        "remote.origin.promisor": "true",
        "remote.origin.url": str(repository.path),
        "remote.origin.uploadpack": command_of(trap),
    }.items():
        repository.git("config", key, value)
    with pytest.raises(CommitNotFound):
        index.run(repository.url)
    assert not trap.exists()


def test_variables_of_git_in_our_own_environment_change_nothing(
    index: Index, make_repository: Make, trap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = make_repository({"a.py": "def f(): pass\n"})
    for name, value in {
        "GIT_DIR": "/nowhere",
        "GIT_OBJECT_DIRECTORY": "/nowhere",
        "GIT_EXTERNAL_DIFF": command_of(trap),
        "GIT_TRACE": str(trap),
        "GIT_EXEC_PATH": "/nowhere",
        "GIT_NAMESPACE": "x",
    }.items():
        monkeypatch.setenv(name, value)
    # Nothing is committed from here on: the git of the test itself would see them.
    assert index.run(repository.url).symbols_extracted == 1
    assert not trap.exists()


def test_objects_borrowed_from_another_repository_are_refused(
    index: Index, make_repository: Make, tmp_path: Path
) -> None:
    other = make_repository({"secret.py": SECRET}, "other")
    repository = make_repository({"a.py": ""})
    alternates = repository.path / ".git/objects/info/alternates"
    alternates.parent.mkdir(exist_ok=True)
    alternates.write_text(f"{other.path}/.git/objects\n")
    with pytest.raises(UnsafeRepository, match="alternates"):
        index.run(repository.url, other.head)


def test_a_linked_worktree_is_refused_with_a_hint(index: Index, make_repository: Make, tmp_path: Path) -> None:
    repository = make_repository({"a.py": ""})
    repository.git("worktree", "add", "--quiet", str(tmp_path / "linked"))
    with pytest.raises(UnsafeRepository, match="give the path of the main repository"):
        index.run(str(tmp_path / "linked"))


def test_a_common_directory_is_refused(index: Index, make_repository: Make) -> None:
    other = make_repository({"secret.py": SECRET}, "other")
    repository = make_repository({"a.py": ""})
    (repository.path / ".git/commondir").write_text(f"{other.path}/.git\n")
    with pytest.raises(UnsafeRepository, match="commondir"):
        index.run(repository.url)


@pytest.mark.parametrize("part", ["objects", "objects/pack", "objects/xx"])
def test_links_in_the_object_directory_are_refused(index: Index, make_repository: Make, part: str) -> None:
    other = make_repository({"secret.py": SECRET}, "other")
    other.git("repack", "-a", "-d", "--quiet")
    repository = make_repository({"a.py": ""})
    target = repository.path / ".git" / part
    if target.exists():
        shutil.rmtree(target)
    target.symlink_to(other.path / ".git" / (part if part != "objects/xx" else "objects"))
    with pytest.raises(UnsafeRepository, match="link"):
        index.run(repository.url)


@pytest.mark.parametrize("what", ["link", "pipe", "alternates"])
def test_nothing_of_git_is_left_where_objects_are_refused(make_repository: Make, tmp_path: Path, what: str) -> None:
    repository = make_repository({"a.py": ""})
    objects = repository.path / ".git/objects"
    if what == "link":
        (objects / "zz").symlink_to("/etc/passwd")
    else:
        # Whoever reads it waits for ever.
        os.mkfifo(objects / ("info/alternates" if what == "alternates" else "pack/pack-x.idx"))
    with closing(open_repository(repository.url, tmp_path, Limits(), nothing_to_do)) as opened:
        with pytest.raises(UnsafeRepository):
            opened.start()
        # It was started while they were looked at, and asked nothing.
        wait_until(lambda: len(running_gits()) == 1, 10, "it was not started")
    assert running_gits() == []


def running_gits() -> list[int]:
    """Process ids of the children of this process that read objects."""
    children = [each for task in Path("/proc/self/task").iterdir() for each in (task / "children").read_text().split()]
    return [int(pid) for pid in children if "cat-file" in Path(f"/proc/{pid}/cmdline").read_text()]


def test_a_git_directory_that_is_a_link_is_refused(index: Index, make_repository: Make, tmp_path: Path) -> None:
    other = make_repository({"secret.py": SECRET}, "other")
    (tmp_path / "top").mkdir()
    (tmp_path / "top/.git").symlink_to(other.path / ".git")
    with pytest.raises(UnsafeRepository):
        index.run(str(tmp_path / "top"))


def test_a_pipe_among_the_objects_is_refused_and_one_among_the_references_does_not_hang(
    index: Index, make_repository: Make
) -> None:
    repository = make_repository({"a.py": ""})
    os.mkfifo(repository.path / ".git/refs/heads/pipe")
    with pytest.raises(CommitNotFound):
        index.run(repository.url, "pipe")
    os.mkfifo(repository.path / ".git/objects/pack/pack-1.pack")
    with pytest.raises(UnsafeRepository, match="device"):
        index.run(repository.url)


def test_a_reference_that_leads_outside_is_not_followed(index: Index, make_repository: Make, tmp_path: Path) -> None:
    repository = make_repository({"a.py": ""})
    outside = tmp_path / "outside"
    outside.write_text(repository.head)
    (repository.path / ".git/refs/heads/link").symlink_to(outside)
    with pytest.raises(CommitNotFound):
        index.run(repository.url, "link")
    (repository.path / ".git/refs/heads/away").write_text("ref: refs/heads/../../../../outside")
    with pytest.raises(CommitNotFound):
        index.run(repository.url, "away")


def test_references_that_go_in_a_circle_end(index: Index, make_repository: Make) -> None:
    repository = make_repository({"a.py": ""})
    (repository.path / ".git/refs/heads/circle").write_text("ref: refs/heads/circle\n")
    with pytest.raises(CommitNotFound):
        index.run(repository.url, "circle")


def test_replacements_are_ignored(index: Index, make_repository: Make) -> None:
    repository = make_repository({"a.py": "def real(): pass\n"})
    fake = repository.blob(b"def fake(): pass\n")
    repository.git("replace", repository.git("rev-parse", "HEAD:a.py"), fake)
    index.run(repository.url)
    assert index.rows("SELECT name FROM indexing.symbols_at_commit") == [("real",)]

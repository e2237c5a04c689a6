"""Fetching, through a real ``git upload-pack`` behind a stand-in for ``ssh``: git's transport without a network."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from git_repositories import Repository
from index_database import Index
from waiting import wait_until

from indexing import git, remote
from indexing.access import Access
from indexing.errors import (
    CommitNotFound,
    GitUnavailable,
    IndexingError,
    NotAGitRepository,
    RepositoryNotFound,
    RepositoryRefused,
    RepositoryTooLarge,
    TransientIndexError,
    UnsafeRepository,
)
from indexing.limits import Limits

Make = Callable[..., Repository]


@pytest.fixture(autouse=True)
def stand_ins_may_be_read(index: Index) -> None:
    index.access = Access(allowed_hosts=("example.com", "127.0.0.1"))


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ``ssh`` on the PATH that runs the server's command here, whatever the host; returns its log of arguments."""
    directory = tmp_path / "bin"
    directory.mkdir()
    log = tmp_path / "ssh.log"
    stand_in = directory / "ssh"
    stand_in.write_text(
        f'#!/bin/sh\necho "$@" >> {log}\nfor last; do :; done\nunset GIT_ALLOW_PROTOCOL\nexec sh -c "$last"\n'
    )
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    return log


def replace_ssh(tmp_path: Path, body: str) -> None:
    (tmp_path / "bin/ssh").write_text(f"#!/bin/sh\n{body}\n")


@pytest.mark.parametrize("form", ["ssh://git@example.com{}", "git@example.com:{}"])
def test_the_head_of_a_remote_repository_is_indexed(index: Index, make_repository: Make, ssh: Path, form: str) -> None:
    repository = make_repository({"a.py": "def old(): pass\n"})
    head = repository.commit({"a.py": "def f(): pass\n", "b.bin": b"\x00"})
    report = index.run(form.format(repository.path))
    assert (report.commit_sha, report.files_processed, report.files_skipped) == (head, 1, 1)
    assert index.rows("SELECT name FROM indexing.symbols_at_commit") == [("f",)]
    assert "BatchMode=yes" in ssh.read_text()


def test_a_remote_commit_is_found_by_full_id_branch_and_annotated_tag(
    index: Index, make_repository: Make, ssh: Path
) -> None:
    repository = make_repository({"a.py": "def old(): pass\n"})
    old = repository.head
    repository.git("tag", "-a", "v1", "-m", "x")
    repository.git("branch", "release/1")
    repository.commit({"a.py": "def new(): pass\n"})
    url = f"git@example.com:{repository.path}"
    for name in (old, "v1", "release/1", "refs/heads/release/1"):
        assert index.run(url, name).commit_sha == old


def test_a_remote_commit_that_is_not_there_is_a_permanent_error(index: Index, make_repository: Make, ssh: Path) -> None:
    repository = make_repository({"a.py": ""})
    url = f"git@example.com:{repository.path}"
    for name in ("nowhere", "a" * 40, repository.head[:8], "--upload-pack=touch x"):
        with pytest.raises(CommitNotFound):
            index.run(url, name)


def test_a_commit_that_was_indexed_is_not_fetched_again(index: Index, make_repository: Make, ssh: Path) -> None:
    url = f"git@example.com:{make_repository({'a.py': ''}).path}"
    index.run(url)
    before = ssh.read_text().count("upload-pack")
    index.run(url)
    assert ssh.read_text().count("upload-pack") == before + 1  # the question for the head


def test_a_directory_that_is_no_repository_is_a_permanent_error(index: Index, tmp_path: Path, ssh: Path) -> None:
    with pytest.raises((NotAGitRepository, RepositoryNotFound)):
        index.run(f"git@example.com:{tmp_path}/nothing")


def test_a_fetch_that_takes_too_long_is_a_transient_error_and_leaves_no_process(
    index: Index, make_repository: Make, ssh: Path, tmp_path: Path
) -> None:
    replace_ssh(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 600")
    url = f"git@example.com:{make_repository({'a.py': ''}).path}"
    with pytest.raises(TransientIndexError, match="within 2 s"):
        index.run(url, limits=Limits(fetch_timeout_seconds=2))
    state = Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}/stat")
    wait_until(lambda: not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z")


def test_a_fetch_that_grows_too_large_is_refused(index: Index, make_repository: Make, ssh: Path) -> None:
    repository = make_repository({"a.bin": os.urandom(3_000_000)})
    with pytest.raises(RepositoryTooLarge, match="at most 1000000 bytes"):
        index.run(f"git@example.com:{repository.path}", limits=Limits(max_fetch_bytes=1_000_000))


def test_a_server_that_refuses_the_connection_is_a_transient_error(index: Index) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        with pytest.raises(TransientIndexError, match="cannot be reached now"):
            index.run(f"https://127.0.0.1:{port}/team/app")


@pytest.mark.parametrize(
    ("stderr", "error"),
    [
        ("fatal: unable to access 'https://h/': Could not resolve host: h", TransientIndexError),
        ("ssh: connect to host h port 22: Connection timed out", TransientIndexError),
        ("fatal: unable to access 'https://h/': The requested URL returned error: 503", TransientIndexError),
        ("something git never said before", TransientIndexError),
        ("remote: Repository not found.\nfatal: repository 'https://h/x/' not found", RepositoryNotFound),
        ("fatal: Authentication failed for 'https://h/x/'", RepositoryRefused),
        ("fatal: could not read Username for 'https://h': terminal prompts disabled", RepositoryRefused),
        ("git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.", RepositoryRefused),
        ("Host key verification failed.", RepositoryRefused),
        ("fatal: unable to access 'https://h/': The requested URL returned error: 301", RepositoryRefused),
        ("error: object 1234: hasDotdot: contains '..'\nfatal: fsck error in packed object", UnsafeRepository),
        ("fatal: transport 'file' not allowed", RepositoryRefused),
        ("fatal: '/x' does not appear to be a git repository", NotAGitRepository),
        ("fatal: couldn't find remote ref x", CommitNotFound),
        ("fatal: remote error: upload-pack: not our ref aaaa", CommitNotFound),
    ],
)
def test_what_git_says_decides_whether_another_try_makes_sense(stderr: str, error: type[IndexingError]) -> None:
    translated = remote.translate(git.GitFailed("fetch", 128, stderr), "https://h/x")
    assert type(translated) is error or (error, type(translated)) == (TransientIndexError, remote.Unreachable)


def test_a_machine_without_git_or_with_an_old_one_is_told_so(
    index: Index, make_repository: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = make_repository({"a.py": ""}).url
    (tmp_path / "old").mkdir()
    old = tmp_path / "old/git"
    old.write_text("#!/bin/sh\necho git version 2.17.1\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "old"))
    with pytest.raises(GitUnavailable, match=r"expected git 2.31 or newer, got 2\.17"):
        index.run(url)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(GitUnavailable, match="install git"):
        index.run(url)

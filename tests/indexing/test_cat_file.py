"""git that is asked again and again: it answers in order, and no harm is done when it ends in between."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from git_repositories import Repository
from waiting import wait_until

from indexing import git, objects
from indexing.cat_file import CatFile, Died
from indexing.errors import TransientIndexError
from indexing.limits import Limits
from indexing.objects import ObjectStore

Make = Callable[..., Repository]

FILES: dict[str, bytes | str] = {f"{n:02}.py": f"# {n}\n" * n * 1000 for n in range(1, 40)}


@pytest.fixture
def repository(make_repository: Make) -> Repository:
    return make_repository(FILES)


@pytest.fixture(params=[None, "git version 2.35.8"])
def store(
    repository: Repository, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ObjectStore]:
    """With this machine's git, and with one of which it must be thought that it is older."""
    if request.param:
        older = script_in(
            tmp_path / "older",
            f'[ "$1" = --version ] && exec echo {request.param}\nPATH={os.environ["PATH"]} exec git "$@"',
        )
        monkeypatch.setenv("PATH", f"{older}:{os.environ['PATH']}")
    directory = Path(repository.url) / ".git" / "objects"
    with objects.create(tmp_path, Limits(), git.nothing_to_do, object_directory=directory) as opened:
        opened.start()
        yield opened


def script_in(directory: Path, text: str) -> Path:
    """A directory with a git of this text."""
    directory.mkdir()
    (directory / "git").write_text(f"#!/bin/sh\n{text}\n")
    (directory / "git").chmod(0o755)
    return directory


def ids(repository: Repository) -> list[str]:
    return [line.split()[2] for line in repository.git("ls-tree", "HEAD").splitlines()]


def processes(store: ObjectStore) -> list[int]:
    """Of git, that wait for questions of this store."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environ, command = (entry / "environ").read_text(), (entry / "cmdline").read_text()
            except OSError:
                continue
            if f"GIT_DIR={store.directory}" in environ and ("cat-file" in command or "diff-tree" in command):
                found.append(int(entry.name))
    return found


def test_contents_come_in_the_order_of_the_question_whatever_their_length(
    store: ObjectStore, repository: Repository
) -> None:
    asked = [*ids(repository), "1" * 40, *reversed(ids(repository))]
    answers = list(store.contents(asked, git.nothing_to_do))
    assert [oid for oid, _ in answers] == asked
    texts = [text.encode() for text in FILES.values() if isinstance(text, str)]
    assert [content for _, content in answers] == [*texts, None, *reversed(texts)]
    assert store.sizes(asked[:2]) == [len(texts[0]), len(texts[1])]
    # Neither a tree nor what is missing has a size or a content.
    tree = repository.git("rev-parse", "HEAD^{tree}")
    assert store.sizes([tree, "1" * 40]) == [None, None]
    assert list(store.contents([tree], git.nothing_to_do)) == [(tree, None)]
    assert store.sizes([]) == []
    assert list(store.contents([], git.nothing_to_do)) == []


def test_commits_are_found_by_their_ids_and_other_things_are_none(store: ObjectStore, repository: Repository) -> None:
    head = repository.git("rev-parse", "HEAD")
    tag = repository.git("rev-parse", "HEAD^{tree}")
    assert store.commit_id(head) == store.commit_id(head[:8]) == head
    assert store.commit_id(tag) is store.commit_id("1" * 40) is store.commit_id("12345") is None


def test_a_git_that_was_killed_is_started_again(store: ObjectStore, repository: Repository) -> None:
    asked = ids(repository)
    sizes = store.sizes(asked)
    for _ in range(2):
        for pid in processes(store):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not processes(store), 10, "they still run")
        assert store.sizes(asked) == sizes
        assert all(content is not None for _, content in store.contents(asked, git.nothing_to_do))


def test_an_object_that_git_dies_of_is_the_only_one_that_is_missing(store: ObjectStore, repository: Repository) -> None:
    # What cannot be packed smaller: its head is whole, so that git promises a content, and then has none.
    repository.commit({"noise.bin": random.Random(1).randbytes(200_000)})
    damaged = repository.git("rev-parse", "HEAD:noise.bin")
    asked = [*ids(repository)[:7], damaged, *ids(repository)[7:]]
    loose = Path(repository.url) / ".git" / "objects" / damaged[:2] / damaged[2:]
    loose.chmod(0o644)
    loose.write_bytes(loose.read_bytes()[:100_000])
    with pytest.raises(Died):
        store._talks.contents.contents([damaged], git.nothing_to_do)
    answers = dict(store.contents(asked, git.nothing_to_do))
    assert [oid for oid, content in answers.items() if content is None] == [damaged]


def test_none_of_its_processes_is_left(store: ObjectStore, repository: Repository) -> None:
    list(store.contents(ids(repository), git.nothing_to_do))
    store.changes(repository.head, repository.head, 1)
    assert len(processes(store)) == 2 + (git.version() < (2, 36))
    store.close()
    assert processes(store) == []


def test_a_question_without_an_answer_ends_and_the_next_one_is_not_answered_by_it(
    repository: Repository, tmp_path: Path
) -> None:
    silent = script_in(tmp_path / "bin", "sleep 600")
    directory = tmp_path / "repository.git"
    objects.write_repository(directory, "sha1")
    objects_of = {"GIT_DIR": str(directory), "GIT_OBJECT_DIRECTORY": str(Path(repository.url) / ".git" / "objects")}
    (oid, *_) = ids(repository)
    environment = git.environment(tmp_path) | objects_of
    asked = CatFile("--batch-check", environment, timeout_seconds=0.3)
    environment["PATH"] = f"{silent}:{os.environ['PATH']}"
    with pytest.raises(TransientIndexError, match=r"answer within 0\.3 s"):
        asked.info([oid], git.nothing_to_do)
    environment["PATH"] = os.environ["PATH"]
    (answer,) = asked.info([oid], git.nothing_to_do)
    asked.close()
    assert answer is not None
    assert answer.oid == oid


def test_a_git_that_says_a_little_all_the_time_is_stopped_and_has_a_time_limit_too(tmp_path: Path) -> None:
    slow = script_in(tmp_path / "bin", 'while read -r name; do echo "$name missing"; sleep 0.05; done')
    environment = git.environment(tmp_path) | {"PATH": f"{slow}:{os.environ['PATH']}"}
    asked = CatFile("--batch-check", environment, timeout_seconds=0.5)
    looks: list[None] = []
    with pytest.raises(TransientIndexError, match="did not"):
        asked.info(["1" * 40] * 1000, lambda: looks.append(None))
    assert looks

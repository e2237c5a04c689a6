"""A job looks at its caller's wishes often enough to end within two seconds, whatever it waits for."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from git_repositories import Repository
from index_database import Index

from indexing import jobs
from indexing.access import Access
from indexing.limits import Limits
from indexing.report import Progress, Reporter

Make = Callable[..., Repository]

PARSER_WITH_TRICKS = (sys.executable, "-P", "-S", str(Path(__file__).parent / "parser_with_tricks.py"))

#: What a drain leaves to a job, in seconds.
STOP_SECONDS = 2.0


class Stop(Exception):
    pass


class StopLater:
    """Wishes the job to stop half a second after it began what hangs, and says how long that took."""

    def __init__(self, phase: str) -> None:
        self._phase = phase
        self._wished = 0.0

    def __call__(self, progress: Progress) -> None:
        if progress.phase != self._phase:
            return
        self._wished = self._wished or time.monotonic() + 0.5
        if time.monotonic() > self._wished:
            raise Stop

    @property
    def late(self) -> float:
        return time.monotonic() - self._wished


@pytest.fixture
def hanging_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes one command of git hang."""
    directory = tmp_path / "bin"
    directory.mkdir()

    def hang(command: str, version: str = "git version 2.50.0") -> None:
        git = directory / "git"
        git.write_text(
            f'#!/bin/sh\ncase " $* " in *" {command} "*) sleep 600 ;; " --version ") exec echo {version} ;; esac\n'
            f'PATH={os.environ["PATH"]} exec git "$@"\n'
        )
        git.chmod(0o755)
        monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")

    return hang


@pytest.mark.parametrize(
    ("command", "phase"),
    [("--batch-command", "resolve"), ("ls-tree", "list"), ("diff-tree", "list"), ("--batch", "parse")],
)
def test_a_git_that_hangs_is_left_at_once(
    index: Index, make_repository: Make, hanging_git: Callable[..., None], command: str, phase: str
) -> None:
    repository = make_repository({"a.py": "def f(): pass\n"})
    if command == "diff-tree":
        index.run(repository.url)
        repository.commit({"a.py": "def g(): pass\n"})
    # Contents have a process of their own where git is older.
    hanging_git(command, "git version 2.31.0" if command == "--batch" else "git version 2.50.0")
    stop = StopLater(phase)
    with pytest.raises(Stop):
        index.run(repository.url, on_progress=stop)
    assert stop.late < STOP_SECONDS


def test_a_server_that_is_silent_is_left_at_once(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()

    def silent(*_arguments: Any, **_options: Any) -> None:
        never.wait(30)
        raise OSError("no answer")

    monkeypatch.setattr("indexing.access.socket.getaddrinfo", silent)
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    stop = StopLater("resolve")
    with pytest.raises(Stop):
        index.run("https://git.example/x", access=Access(), on_progress=stop)
    assert stop.late < STOP_SECONDS
    never.set()


def test_a_parser_that_hangs_is_left_at_once_and_what_was_parsed_is_kept(index: Index, make_repository: Make) -> None:
    files: dict[str, bytes | str] = {f"{n:03}.py": f"def f{n}(): pass\n" for n in range(100)}
    repository = make_repository({**files, "zzz.py": "TRICK sleep\n"})
    stop = StopLater("parse")
    with pytest.raises(Stop):
        index.run(repository.url, on_progress=stop, parser_command=PARSER_WITH_TRICKS)
    assert stop.late < STOP_SECONDS
    assert index.rows("SELECT count(*) FROM indexing.symbols") == [(100,)]
    assert index.rows("SELECT count(*) FROM indexing.files") == [(0,)]


def test_the_wishes_are_asked_for_all_along_a_larger_job(index: Index, make_repository: Make) -> None:
    source = "".join(f"def f{n}(a, b):\n    return a\n\n\n" for n in range(150))
    repository = make_repository({f"{n}.py": f"X{n} = 1\n{source}" for n in range(200)})
    asked: list[float] = [time.monotonic()]
    index.run(repository.url, limits=Limits(parse_processes=2), on_progress=lambda _: asked.append(time.monotonic()))
    assert max(later - earlier for earlier, later in pairwise(asked)) < STOP_SECONDS
    assert index.rows("SELECT count(*) FROM indexing.symbols") == [(30_200,)]


def test_the_rest_of_a_phase_is_estimated_and_kept_with_the_job(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("indexing.report.time.monotonic", lambda: now[0])
    seen: list[Progress] = []
    reporter = Reporter(seen.append)
    with reporter.phase("parse", files_total=100):
        reporter.add(files=20, size_bytes=5000)
        now[0] += 1
        reporter.tick()
        assert seen[-1].rest_seconds is None
        now[0] += 3
        reporter.tick()
    assert seen[-1].rest_seconds == pytest.approx(16)
    connection = psycopg2.connect(index.url)
    with connection, connection.cursor() as cursor:
        job_id = jobs.add_job(cursor, jobs.add_repository(cursor, "/srv/app"))
        jobs.mark_processing(cursor, job_id)
        jobs.report_progress(cursor, job_id, seen[-1])
        job = jobs.get_job(cursor, job_id)
    connection.close()
    assert job is not None
    assert (job.rest_seconds, job.bytes_done, job.files_done) == (16, 5000, 20)

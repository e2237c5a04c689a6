"""Children end when they are asked to, and when they do not, with all they started."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from children import Children
from waiting import wait_until

POLITE = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done"
STUBBORN = "trap '' TERM; sleep 300 & echo $!; wait; while :; do sleep 0.05; done"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def children(directory: Path, stop_seconds: float) -> Children:
    return Children(directory, os.environ, stop_seconds)


def read(log: Path) -> str:
    return log.read_text() if log.exists() else ""


def is_gone(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return not state.stdout.strip() or state.stdout.startswith("Z")


def test_a_child_is_asked_to_end_and_may_finish(tmp_path: Path, log: Path) -> None:
    with children(tmp_path, 20) as group:
        child = group.start(["sh", "-c", POLITE], log=log)
        wait_until(lambda: "up" in read(log), 10, "the child is up")

    assert child.returncode == 0
    assert read(log) == "up\nbye\n"


def test_a_child_that_does_not_listen_is_killed_with_its_own_children(tmp_path: Path, log: Path) -> None:
    with children(tmp_path, 0.2) as group:
        child = group.start(["sh", "-c", STUBBORN], log=log)
        grandchild = int(wait_until(lambda: read(log).strip(), 10, "the grandchild is up"))

    assert child.returncode == -9
    wait_until(lambda: is_gone(grandchild), 10, "the grandchild is gone")


def test_all_share_one_deadline(tmp_path: Path, log: Path) -> None:
    with children(tmp_path, 0.5) as group:
        for number in range(4):
            group.start(["sh", "-c", STUBBORN], log=log.with_suffix(f".{number}"))
        for number in range(4):
            wait_until(partial(read, log.with_suffix(f".{number}")), 10, "the child is up")
        began = time.monotonic()

    assert time.monotonic() - began < 1.5


def test_an_error_does_not_wait_for_the_deadline(tmp_path: Path, log: Path) -> None:
    began = time.monotonic()
    group = children(tmp_path, 60)
    group.start(["sh", "-c", STUBBORN], log=log)
    wait_until(lambda: read(log), 10, "the child is up")

    with pytest.raises(ZeroDivisionError), group:
        _ = 1 / 0

    assert time.monotonic() - began < 10


def test_a_child_gets_the_environment_and_the_directory(tmp_path: Path, log: Path) -> None:
    with Children(tmp_path, {"GREETING": "hello"}, 5) as group:
        question = "import os; print(os.environ['GREETING'], os.getcwd())"
        assert group.start([sys.executable, "-c", question], log=log).wait(20) == 0

    assert read(log).split() == ["hello", str(tmp_path)]

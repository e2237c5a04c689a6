"""Real ``dramatiq`` processes on a database of the test's own; whatever the test does, none of them outlives it."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import pytest
from waiting import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]


class Workers:
    """One ``dramatiq`` master with its worker processes, in a process group of their own."""

    def __init__(self, url: str, log: Path, policy: dict[str, object], processes: int, threads: int) -> None:
        self.log = log
        self._processes = processes
        self._command = [sys.executable, "-m", "dramatiq", "fault_actors", "-p", str(processes), "-t", str(threads)]
        self._environment = {
            **os.environ,
            "FAULT_DATABASE_URL": url,
            "FAULT_POLICY": json.dumps(policy),
            "PYTHONPATH": str(Path(__file__).parent),
        }
        self.boots = 0
        self.start()

    def start(self) -> None:
        """Start the master and wait for its workers, or for its end."""
        with self.log.open("ab") as output:
            self.master = subprocess.Popen(
                self._command,
                cwd=REPOSITORY,
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        before = self._ready()
        self.boots += 1
        wait_until(
            lambda: self._ready() >= before + self._processes or self.master.poll() is not None,
            30,
            "the workers did not boot",
        )

    def _ready(self) -> int:
        return self.text().count("is ready for action")

    def supervise(self) -> None:
        """What a supervisor does: start it again when it has ended."""
        if self.master.poll() is not None:
            self.start()

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def send_signal(self, number: signal.Signals, *, group: bool = False) -> None:
        (os.killpg if group else os.kill)(self.master.pid, number)

    def wait(self, seconds: float) -> int:
        return self.master.wait(seconds)

    def remove(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.master.pid, signal.SIGKILL)
        self.master.wait(10)


@pytest.fixture
def fault_actors(database: str, direct_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The actors' module as an API process has it, on this test's database, with the ledger made."""
    yield from load_fault_actors(database, direct_database, monkeypatch)


def load_fault_actors(url: str, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The same on any database. The ledger is written on the direct way, whatever stands before the queue."""
    monkeypatch.setenv("FAULT_DATABASE_URL", url)
    monkeypatch.setenv("FAULT_LEDGER_URL", ledger_url)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    sys.modules.pop("fault_actors", None)
    module = importlib.import_module("fault_actors")
    module.write(module.LEDGER)
    yield module
    module.broker.close()
    sys.modules.pop("fault_actors", None)


@pytest.fixture
def start_workers(database: str, tmp_path: Path) -> Iterator[Callable[..., Workers]]:
    """Starts workers: ``start_workers(processes=1, threads=2, **policy)``. Logs are shown when the test fails."""
    started: list[Workers] = []

    def start(processes: int = 1, threads: int = 2, url: str = database, **policy: object) -> Workers:
        policy.setdefault("poll_interval", 0.2)
        workers = Workers(url, tmp_path / f"workers-{len(started)}.log", policy, processes, threads)
        started.append(workers)
        return workers

    yield start
    for workers in started:
        workers.remove()
        print(f"--- {workers.log.name}\n{workers.text()}")

"""The health application as its callers meet it: real servers, real workers, and databases that really fail."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from jsonschema import Draft202012Validator
from ports import free_port
from process_facts import processes_below
from throwaway_postgres import ThrowawayPostgres
from waiting import wait_until

from health.app import openapi
from leasequeue import migrations

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

#: Seconds within which a probe has its answer, whatever the database does.
ANSWER_SECONDS = 2.0

#: The routes of probes, in the order of the table in docs/health.md.
ROUTES = ("live", "ready", "startup", "health")

#: In a test nobody waits a minute.
QUICK = {"HEALTH_STALLED_SECONDS": "2", "LOOP_STUCK_SECONDS": "8", "HEARTBEAT_SECONDS": "0.5", "POLL_INTERVAL": "0.2"}


#: Holds an answer to what /openapi.json says of it.
ANSWER = Draft202012Validator({**openapi(), "$ref": "#/components/schemas/Answer"})


class Program:
    """A process of the product, in a process group of its own; `log` is what it says."""

    def __init__(self, arguments: list[str], log: Path, environ: dict[str, str]) -> None:
        self._log = log
        self._secret = urlsplit(environ["SUPABASE_DB_URL"]).password or ""
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{HERE.parent}", **environ},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_to_say(self, words: str, times: int = 1) -> None:
        wait_until(
            lambda: self.said().count(words) >= times or self.process.poll() is not None,
            30,
            f"{words!r} in {self._log}",
        )

    def send_signal(self, number: signal.Signals, *, group: bool = False) -> None:
        with suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.process.pid, number)

    def remove(self) -> None:
        self.send_signal(signal.SIGCONT, group=True)
        self.send_signal(signal.SIGKILL, group=True)
        self.process.wait(10)
        print(f"--- {self._log.name}\n{self.said()}")
        assert self._secret
        assert self._secret not in self.said()


@dataclass
class Probe:
    """Asks the routes of one health application, and checks what must hold for every answer."""

    url: str
    secret: str
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=10, trust_env=False))
    slowest: float = 0.0

    def ask(self, route: str) -> tuple[int, dict[str, Any]]:
        started = time.monotonic()
        answer = self.client.get(f"{self.url}/{route}")
        took = time.monotonic() - started
        self.slowest = max(self.slowest, took)
        assert took < ANSWER_SECONDS
        assert answer.headers["cache-control"] == "no-store"
        assert self.secret
        assert self.secret not in answer.text
        assert "Traceback" not in answer.text
        body = answer.json()
        ANSWER.validate(body)
        assert (body["status"] == "ok") == (answer.status_code == 200) == (body["reasons"] == [])
        return answer.status_code, body

    def codes(self) -> tuple[int, ...]:
        """The status of each of the four routes."""
        return tuple(self.ask(route)[0] for route in ROUTES)


@dataclass
class House:
    """Starts what a test needs on one machine: sidecars and workers that share a temporary directory of their own."""

    directory: Path
    stack: ExitStack
    number: int = 0

    def run(self, arguments: list[str], url: str, **more: str) -> Program:
        """A Python process on the settings of the tests."""
        self.number += 1
        environ = {"SUPABASE_DB_URL": url, "TMPDIR": str(self.directory), **QUICK, **more}
        program = Program(arguments, self.directory / f"{self.number}.log", environ)
        self.stack.callback(program.remove)
        return program

    def sidecar(self, url: str, **more: str) -> Probe:
        """A ``uvicorn health_app:app`` on a port of its own."""
        port = free_port()
        program = self.run(["-m", "uvicorn", "health_app:app", "--port", str(port), "--no-access-log"], url, **more)
        program.wait_to_say("Uvicorn running")
        return self.probe(url, port)

    def probe(self, url: str, port: int) -> Probe:
        probe = Probe(f"http://127.0.0.1:{port}", urlsplit(url).password or "")
        self.stack.callback(probe.client.close)
        return probe

    def workers(self, url: str, processes: int = 1, threads: int = 1, **more: str) -> Program:
        """``dramatiq health_actors``, ready for action."""
        arguments = ["-m", "dramatiq", "health_actors", "-p", str(processes), "-t", str(threads)]
        program = self.run(arguments, url, **more)
        program.wait_to_say("is ready for action", processes)
        return program


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with ExitStack() as stack:
        yield House(tmp_path, stack)


@pytest.fixture
def queue_server(throwaway_server: Callable[..., ThrowawayPostgres]) -> ThrowawayPostgres:
    """A server of the test's own with the queue in it."""
    server = throwaway_server()
    migrations.migrate(server.url, schema="dramatiq")
    return server


@contextmanager
def stopped(server: ThrowawayPostgres) -> Iterator[None]:
    """All processes of a server are stopped by signal: its kernel takes connections, nobody answers."""
    pids = [pid for pid in (server.pid,) if pid is not None]
    os.kill(pids[0], signal.SIGSTOP)  # First: it would start others in place of those that seem dead.
    try:
        for pid in processes_below(server.data_directory):
            os.kill(pid, signal.SIGSTOP)
            pids.append(pid)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

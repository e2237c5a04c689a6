"""From an installed checkout to a repository indexed in the background. Run by dev-start.sh.

database -> migrate -> workers and health -> index REPO -> stay until Ctrl+C -> drain -> stop
"""

from __future__ import annotations

import argparse
import io
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, closing
from pathlib import Path
from types import FrameType

from children import Children
from development_database import KEY, development_database
from postgres_programs import PostgresError

from settings import Settings, SettingsError, load_settings

ROOT = Path(__file__).resolve().parent.parent

#: Seconds beyond DRAIN_SECONDS that a worker gets to hand its jobs back and close.
DRAIN_MARGIN_SECONDS = 10.0

#: Seconds between two looks at the children while nothing happens.
LOOK_SECONDS = 0.2

#: Where the workers serve the health app when HEALTH_PORT is not set, and where a free port is looked for instead.
USUAL_PORT = 8000
FREE_PORTS = range(8001, 8200)

#: Lines of a log that are shown when a child ended by itself.
SHOWN_LINES = 15


class StartFailed(Exception):
    """A step failed; the message is one line. `code` is the exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class Stopped(Exception):
    """Somebody asked us to stop."""


class StopRequest:
    """Set by SIGINT, SIGTERM and SIGHUP. Waits end at once when it comes."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._hurried = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self._event.is_set():
            self._event.set()
        elif not self._hurried:
            self._hurried = True
            raise KeyboardInterrupt  # Asked twice: the drain is cut short. Never more: cleaning up has to finish.

    def wait(self, seconds: float) -> None:
        """Wait so long at most; raises Stopped as soon as a stop is asked for."""
        if self._event.wait(seconds):
            raise Stopped


class Start:
    """One start: the steps, in the order of `run`."""

    def __init__(self, repository: str, once: bool) -> None:
        self._repository = repository
        self._once = once
        self._stop = StopRequest()
        self._logs = ROOT / ".local" / "log"
        self._indexed = False

    def run(self) -> int:
        """The exit code: that of the index job; 0 as well when it was stopped after the job."""
        code = 130
        with ExitStack() as cleanup:
            try:
                url = cleanup.enter_context(development_database(ROOT, os.environ, self._is_to_be_asked))
                environ = {**os.environ, KEY: url}
                settings = load_settings(environ, ROOT / ".env")
                seconds = settings.drain_seconds + DRAIN_MARGIN_SECONDS
                port = self._health_port(settings)
                environ["HEALTH_PORT"] = str(port)
                children = cleanup.enter_context(Children(ROOT, environ, seconds))
                self._migrate(children)
                servers = self._start_servers(children, settings, port)
                code = self._index(children, servers)
                if not self._once:
                    self._stay(servers)
            except Stopped:
                print("\nStopping; running jobs may finish. Ctrl+C again to hurry.")
            else:
                print("Stopping.")
            children.stop()
            print("Job queue stopped")
        return code

    def _is_to_be_asked(self) -> bool:
        """Who started with --once has an index now, and wants to look into it."""
        return self._once and self._indexed

    # -- the steps

    def _migrate(self, children: Children) -> None:
        code = self._finish(children.start([_program("indexq"), "migrate"]))
        if code != 0:
            raise StartFailed(f"expected indexq migrate to succeed, it ended with exit code {code}; see above", code)

    def _health_port(self, settings: Settings) -> int:
        wanted = settings.health_port or USUAL_PORT
        port = free_port(settings.health_host, wanted)
        if port != wanted:
            print(f"Port {wanted} is taken; the health app uses {port}.")
        return port

    def _start_servers(self, children: Children, settings: Settings, port: int) -> dict[Path, subprocess.Popen[bytes]]:
        """The workers, which serve the health app themselves; their log and process."""
        self._logs.mkdir(parents=True, exist_ok=True)
        team = settings.worker_team_size
        processes = min(team, os.cpu_count() or 1)
        worker: list[str | Path] = [sys.executable, "-m", "dramatiq", "actors"]
        worker += ["--processes", str(processes), "--threads", str(team)]
        log = self._logs / "worker.log"
        servers = {log: children.start(worker, log=log)}
        print(f"Workers and health app started: http://{settings.health_host}:{port}/health (logs: {self._logs})")
        return servers

    def _index(self, children: Children, servers: dict[Path, subprocess.Popen[bytes]]) -> int:
        print(f"Indexing {self._repository}")
        job = children.start([_program("indexq"), "index", self._repository, "--wait"])
        code = self._finish(job, servers)
        self._indexed = code == 0
        return code

    def _stay(self, servers: dict[Path, subprocess.Popen[bytes]]) -> None:
        print("Workers are up. Try: .venv/bin/indexq symbols NAME. Ctrl+C stops.")
        while True:
            self._stop.wait(LOOK_SECONDS)
            _expect_running(servers)

    def _finish(
        self, child: subprocess.Popen[bytes], servers: dict[Path, subprocess.Popen[bytes]] | None = None
    ) -> int:
        """The exit code of `child`, for which `servers` have to stay up."""
        while child.poll() is None:
            self._stop.wait(LOOK_SECONDS)
            _expect_running(servers or {})
        return child.returncode


def _expect_running(servers: dict[Path, subprocess.Popen[bytes]]) -> None:
    for log, server in servers.items():
        if server.poll() is not None:
            end = "\n".join(log.read_text(errors="replace").splitlines()[-SHOWN_LINES:])
            raise StartFailed(
                f"expected the process that writes {log} to keep running, "
                f"but it ended with exit code {server.returncode}:\n{end}"
            )


def _program(name: str) -> Path:
    """A command that was installed beside this Python."""
    return Path(sys.executable).with_name(name)


def free_port(host: str, wanted: int) -> int:
    """`wanted`, or a free port where somebody else listens on it."""
    for port in (wanted, *random.sample(FREE_PORTS, len(FREE_PORTS))):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
                probe.listen(1)
            except OSError:
                continue
            return port
    raise StartFailed(f"expected a free port on {host} for the health app; set HEALTH_PORT and HEALTH_HOST")


def absolute_repository(given: str | None) -> str:
    """A local path made independent of the working directory; a URL, also in git's short form, as it is."""
    if given is None:
        return str(ROOT)
    if Path(given).exists() or ":" not in given:
        return str(Path(given).absolute())
    return given


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="dev-start.sh", description="Index a repository in the background.")
    parser.add_argument("--once", action="store_true", help="end after the job, with its exit code")
    parser.add_argument("repository", metavar="REPO", nargs="?", help="path or URL (default: this repository)")
    chosen = parser.parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # In order with what the children say, also into a file.
    try:
        return Start(absolute_repository(chosen.repository), chosen.once).run()
    except StartFailed as error:
        print(f"dev-start: {error}", file=sys.stderr)
        return error.code
    except (SettingsError, PostgresError) as error:
        print(f"dev-start: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())

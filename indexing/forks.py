"""The parent's side of the fork server: one a process, started when a parser is first needed, kept for all jobs."""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Final

from indexing.errors import TransientIndexError
from indexing.limits import Limits

#: Loaded before anybody asks: its patterns take longer to make than all the rest, while a first commit is listed.
_LOADED_AT_ONCE: Final = ("python",)

#: How the server is started. ``-P``: the current directory is not searched for modules. ``-S``: nor is any other place;
#: it gets the parent's, and starts in half the time.
COMMAND: Final = (sys.executable, "-P", "-S", "-m", "indexing.fork_server", *_LOADED_AT_ONCE)

#: Longest time for the server to do what it was asked for, in seconds; it takes some milliseconds.
_SERVER_SECONDS: Final = 30.0

#: What the kernel keeps for a pipe, in bytes: work for as long as the parent stores something.
_PIPE_BYTES: Final = 1 << 20

#: An exit code on its way, in bytes.
_READ_BYTES: Final = 4096


class Fork:
    """A parser process. ``stdin`` and ``stdout`` are our ends of its pipes, which do not block."""

    def __init__(self, server: _Server, number: int, stdin: int, stdout: int) -> None:
        self._server = server
        self._number = number
        self.stdin = stdin
        self.stdout = stdout

    def end(self) -> int | None:
        """End it, whatever it does, and return how it ended, as ``subprocess`` tells it; None when nobody knows."""
        try:
            return self._server.end(self._number)
        finally:
            self._close()

    def dismiss(self) -> None:
        """End it, whatever it does, without waiting for that."""
        try:
            self._server.dismiss(self._number)
        finally:
            self._close()

    def _close(self) -> None:
        os.close(self.stdin)
        os.close(self.stdout)


class _Server:
    """One server, used by all threads."""

    def __init__(self, command: Sequence[str]) -> None:
        self._lock = threading.Lock()
        self._numbers = count()
        self._unread = b""
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(_SERVER_SECONDS)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 our own module, no shell, nothing of the repository in it
                command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # Ctrl+C and a supervisor's signals are for the parent: they must not look like a file's fault.
                start_new_session=True,
                env=_environment(),
            )

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def fork(self, limits: Limits, languages: Sequence[str]) -> Fork:
        """Ask for a parser, and do not wait for it. OSError when the server is gone."""
        batches, stdin = os.pipe()
        stdout, answers = os.pipe()
        fork = Fork(self, next(self._numbers), stdin, stdout)
        try:
            for descriptor in (stdin, stdout):
                os.set_blocking(descriptor, False)
                if hasattr(fcntl, "F_SETPIPE_SZ"):
                    # The kernel may allow less, which costs only time.
                    with suppress(OSError):
                        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            request = {"fork": fork._number, "limits": _options(limits), "languages": list(languages)}
            with self._lock:
                socket.send_fds(self._socket, [json.dumps(request).encode() + b"\n"], [batches, answers])
        except BaseException:
            os.close(stdin)
            os.close(stdout)
            raise
        finally:
            os.close(batches)
            os.close(answers)
        return fork

    def end(self, number: int) -> int | None:
        with self._lock:
            return self._exit_code(number) if self._ask({"end": number}) else None

    def dismiss(self, number: int) -> None:
        with self._lock:
            self._ask({"dismiss": number})

    def _ask(self, request: dict[str, int]) -> bool:
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError:
            self._give_up()
            return False
        return True

    def _give_up(self) -> None:
        """It is gone, or as good as that, and its parsers end when their pipes are closed."""
        self._process.kill()

    def _exit_code(self, number: int) -> int | None:
        while True:
            line, newline, rest = self._unread.partition(b"\n")
            if not newline:
                try:
                    received = self._socket.recv(_READ_BYTES)
                except OSError:
                    received = b""
                if not received:
                    self._give_up()
                    return None
                self._unread += received
                continue
            self._unread = rest
            answered, exit_code = json.loads(line)
            # The answer to an earlier request may have been left behind by an exception.
            if answered == number:
                return exit_code if exit_code is None else int(exit_code)

    def close(self) -> None:
        """End the server and its parsers."""
        self._socket.close()
        self._process.wait()

    def forget(self) -> None:
        """In a fork of this process: it is the other one's server, and the other one's child to wait for."""
        self._socket.close()
        self._process.returncode = 0


class _Servers:
    """Those of this process, by command; tests have commands of their own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[tuple[str, ...], _Server] = {}

    def get(self, command: Sequence[str]) -> _Server:
        with self._lock:
            key = tuple(command)
            server = self._running.get(key)
            if server is None or not server.is_alive:
                try:
                    server = self._running[key] = _Server(command)
                except OSError as error:
                    raise TransientIndexError(
                        f"expected to start {' '.join(command)}, got {error.strerror}: is there memory left?"
                    ) from error
            return server

    def close(self) -> None:
        for server in self._running.values():
            server.close()

    def forget(self) -> None:
        for server in self._running.values():
            server.forget()
        # Some thread that is not here may have held it.
        self._lock = threading.Lock()
        self._running = {}


_SERVERS: Final = _Servers()
atexit.register(_SERVERS.close)
os.register_at_fork(after_in_child=_SERVERS.forget)


def start(command: Sequence[str] = COMMAND) -> None:
    """Start the server if there is none: it is ready by the time that there is work."""
    _SERVERS.get(command)


def fork_parser(limits: Limits, languages: Sequence[str], command: Sequence[str] = COMMAND) -> Fork:
    """A parser with these limits and these languages. TransientIndexError when there is none to be had."""
    for _ in range(2):
        # The first one may have been killed since it was started: by the kernel, for memory.
        with suppress(OSError):
            return _SERVERS.get(command).fork(limits, languages)
    raise TransientIndexError(
        f"expected {' '.join(command)} to run, and it ended twice: is it runnable, and is there memory left?"
    )


def _options(limits: Limits) -> list[float]:
    """In the order of ``parser.serve``."""
    return [
        limits.parse_seconds,
        limits.parse_kill_cpu_seconds,
        limits.parse_memory_bytes,
        limits.max_symbols_per_file,
    ]


def _environment() -> dict[str, str]:
    """Nothing of the parent's secrets; everything that the parent can import, without a search for it."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    places = [str(Path(__file__).resolve().parent.parent), *filter(None, sys.path)]
    return kept | {"PYTHONPATH": os.pathsep.join(places), "PYTHONDONTWRITEBYTECODE": "1"}

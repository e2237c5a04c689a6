"""The parent's side of a contender's program: started, told to go, asked, and surely ended."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

#: The directory that holds the package of the programs.
SCRIPTS = Path(__file__).resolve().parent.parent

#: Seconds for a program to start and connect.
READY_SECONDS = 60.0

#: Seconds for a program to answer once it was told to go. The slowest contender's longest measurement takes half of it.
ANSWER_SECONDS = 180.0


class ProgramFailed(Exception):
    """A contender's program ended or did not answer; the message ends with what it said."""


class Process:
    """One running program. Leaving the `with` block ends it."""

    def __init__(self, python: Path, program: str, mode: str, arguments: Sequence[str], log: Path) -> None:
        self._what = f"{program} {mode}"
        self._log = log
        self._unread = b""
        with log.open("ab") as errors:
            self._popen = subprocess.Popen(
                [python, "-m", f"benchmarks.programs.{program}", mode, *arguments],
                cwd=SCRIPTS,
                env={**os.environ, "PYTHONPATH": str(SCRIPTS), "PYTHONDONTWRITEBYTECODE": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,  # Ctrl+C is for the bench, which ends its programs itself.
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    def wait_ready(self) -> Process:
        """Wait until the program has made its connections."""
        self._read(READY_SECONDS)
        return self

    def tell(self, word: str) -> None:
        """Say go, status or stop; returns at once."""
        assert self._popen.stdin is not None
        try:
            self._popen.stdin.write(f"{word}\n".encode())
            self._popen.stdin.flush()
        except BrokenPipeError:
            raise self._failure("ended before it was told to " + word) from None

    def answer(self, seconds: float = ANSWER_SECONDS) -> dict[str, Any]:
        """The answer to what was told."""
        return self._read(seconds)

    def ask(self, word: str) -> dict[str, Any]:
        """Tell, and wait for the answer."""
        self.tell(word)
        return self.answer()

    def close(self) -> None:
        """End it. It ends by itself when its input does; one that does not is killed."""
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        with suppress(BrokenPipeError):  # it is gone already
            self._popen.stdin.close()
        try:
            self._popen.wait(2.0)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        self._popen.stdout.close()

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, seconds: float) -> dict[str, Any]:
        assert self._popen.stdout is not None
        fd = self._popen.stdout.fileno()
        deadline = time.monotonic() + seconds
        while b"\n" not in self._unread:
            readable, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
            if not readable:
                raise self._failure(f"did not answer within {seconds:g} s")
            part = os.read(fd, 65536)
            if not part:
                raise self._failure("ended without an answer")
            self._unread += part
        line, _, self._unread = self._unread.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _failure(self, what: str) -> ProgramFailed:
        said = [line for line in self._log.read_text(errors="replace").splitlines() if line.strip()][-3:]
        return ProgramFailed(f"{self._what} {what}; see {self._log}" + (f": {' / '.join(said)}" if said else ""))

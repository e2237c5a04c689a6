"""Child processes that end when their parent's work does."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

#: Seconds between two looks at a child that is to end.
LOOK_SECONDS = 0.05


class Children:
    """A group of running commands: started in order, stopped in reverse order, under one deadline.

    stop_seconds: what they get after SIGTERM, together; then they and all they started are killed.
    """

    def __init__(self, directory: Path, environ: Mapping[str, str], stop_seconds: float) -> None:
        self._directory = directory
        self._environ = dict(environ)
        self._stop_seconds = stop_seconds
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, command: Sequence[str | Path], *, log: Path | None = None) -> subprocess.Popen[bytes]:
        """Start `command`; its output goes to the end of `log`, or where ours goes."""
        output = None if log is None else log.open("ab")
        try:
            child = subprocess.Popen(
                command,
                cwd=self._directory,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl+C reaches the whole terminal's group; who ends when is decided here.
                start_new_session=True,
            )
        finally:
            if output is not None:
                output.close()
        self._running.append(child)
        return child

    def stop(self, hurry: bool = False) -> None:
        """End them all: ask, wait, kill."""
        deadline = time.monotonic() + (0 if hurry else self._stop_seconds)
        for child in reversed(self._running):
            if child.poll() is None:
                child.terminate()
        for child in reversed(self._running):
            with suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, deadline - time.monotonic()))
            with suppress(ProcessLookupError, PermissionError):  # Its whole session, also when it is gone itself.
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        self._running.clear()

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(hurry=error is not None)

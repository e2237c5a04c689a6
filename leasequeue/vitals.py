"""The pulse of each worker process of a machine, told without a database: a small file that its process keeps true.

A file belongs to whoever holds its lock. The kernel gives a lock back when its holder dies, however it dies and in
whatever container, so a file that nobody holds is the remains of a dead process, and whoever finds it removes it. Times
are of the machine's monotonic clock, which all its processes share and nobody sets.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Bytes of a file. Rewritten as a whole in one call, so that a reader sees one beat or the next.
SIZE = 4096

#: Seconds without a beat after which a process is not at work: stopped by a signal, or starved. It beats once a second.
SILENT_AFTER = 5.0

#: Readings of a file that is being rewritten at that moment.
READ_ATTEMPTS = 3

_SUFFIX = ".pulse"


@dataclass(frozen=True, slots=True)
class LoopPulse:
    """One background loop at the moment of reading."""

    #: Seconds since its last sign of life: a round ended, well or with an error that it survived, or a call in it did.
    tick_seconds: float
    #: Seconds since its last round ended well.
    good_seconds: float


@dataclass(frozen=True, slots=True)
class Pulse:
    """One living worker process at the moment of reading."""

    worker_id: str
    pid: int
    #: Of dramatiq's master.
    parent_pid: int
    #: Seconds since its last beat.
    beat_seconds: float
    draining: bool
    #: Why it cannot go on, in words, when it has found that out itself.
    wedged: str | None
    threads: int
    live_threads: int
    #: Jobs that run now, and those of them that are past their time limit.
    running: int
    stuck_jobs: int
    loops: Mapping[str, LoopPulse]

    def trouble(self, stuck_after: float) -> str | None:
        """Why this process has to be replaced, in words; None when it has not.

        Parameters:
          stuck_after: seconds that a loop, or the process as a whole, may go without a sign of life.
        """
        if self.wedged is not None:
            return self.wedged
        if self.beat_seconds > stuck_after:
            return f"it has given no sign of life for {self.beat_seconds:.0f} s"
        for name, loop in self.loops.items():
            if loop.tick_seconds > stuck_after:
                return f"its loop {name} has been stuck for {loop.tick_seconds:.0f} s"
        return None

    def state(self, stuck_after: float) -> str:
        """One of ``wedged`` (to be replaced), ``silent`` (not seen for a moment), ``draining`` and ``working``."""
        if self.trouble(stuck_after) is not None:
            return "wedged"
        if self.beat_seconds > SILENT_AFTER:
            return "silent"
        return "draining" if self.draining else "working"


class PulseFile:
    """The file of one process, written by that process."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}"
        self._path = directory / name
        # Locked before it has its name: a reader never finds one that nobody holds yet.
        unnamed = directory / f"{name}.new"
        self._fd = os.open(unnamed, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        os.register_at_fork(after_in_child=self._leave_to_parent)
        os.pwrite(self._fd, b" " * SIZE, 0)
        unnamed.rename(self._path)

    def write(self, facts: Mapping[str, Any]) -> None:
        """Say what is true now: the fields of :class:`Pulse`, with moments (monotonic seconds) in place of ages."""
        text = json.dumps(facts).encode()
        if len(text) > SIZE:
            raise ValueError(f"expected a pulse of at most {SIZE} bytes, got: {len(text)}")
        os.pwrite(self._fd, text.ljust(SIZE), 0)

    def close(self) -> None:
        """The process is no worker any more. Idempotent."""
        if self._fd >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = -1

    def _leave_to_parent(self) -> None:
        """In a child that was forked without exec: it would hold its parent's lock beyond its parent's death."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def read_pulses(directory: Path, parent_pid: int | None = None) -> list[Pulse]:
    """The living worker processes that beat in a directory, oldest first; of one master only when it is named.

    Removes what dead ones left. An unreadable directory has none.
    """
    try:
        paths = sorted(directory.glob(f"*{_SUFFIX}"))
    except OSError:
        return []
    found = [_read(path) for path in paths]
    pulses = [each for each in found if each is not None and parent_pid in (None, each[1].parent_pid)]
    return [pulse for _, pulse in sorted(pulses, key=lambda each: (each[0], each[1].pid))]


def _read(path: Path) -> tuple[float, Pulse] | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None  # its process has ended since we looked
    try:
        try:
            # Shared: two readers do not take each other for the owner.
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _facts(fd)
        with suppress(OSError):
            path.unlink()
        return None
    finally:
        os.close(fd)


def _facts(fd: int) -> tuple[float, Pulse] | None:
    for _ in range(READ_ATTEMPTS):
        try:
            facts = json.loads(os.pread(fd, SIZE, 0))
        except ValueError:
            continue  # written at this moment, or not yet
        now = time.monotonic()
        loops = {name: LoopPulse(now - tick, now - good) for name, (tick, good) in facts.pop("loops").items()}
        started, beat = facts.pop("started"), facts.pop("beat")
        return started, Pulse(beat_seconds=now - beat, loops=loops, **facts)
    return None

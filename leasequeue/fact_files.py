"""Small files in which the processes of a machine tell each other how they are.

A file belongs to whoever holds its lock. The kernel gives a lock back when its holder dies, however it dies and in
whatever container, so a file that nobody holds is the remains of a dead process.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

#: Readings of a file that is being rewritten at that moment.
READ_ATTEMPTS = 3

#: Bytes by which a file grows, so that most rewritings change no size.
STEP = 4096


class FactFile:
    """One file of this process: a JSON object, rewritten as a whole."""

    def __init__(self, directory: Path, suffix: str) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{os.getpid()}-{secrets.token_hex(4)}{suffix}"
        self._path = directory / name
        # Locked before it has its name: a reader never finds one that nobody holds yet.
        unnamed = directory / f"{name}.new"
        self._fd = os.open(unnamed, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        os.register_at_fork(after_in_child=self.leave)
        unnamed.rename(self._path)

    def write(self, facts: Mapping[str, Any]) -> None:
        """Say what is true now."""
        text = json.dumps(facts, separators=(",", ":")).encode()
        size = -(-len(text) // STEP) * STEP
        os.pwrite(self._fd, text.ljust(size), 0)
        os.ftruncate(self._fd, size)

    def leave(self) -> None:
        """Give the file up and let it lie. In a forked child: it would hold its parent's lock beyond its death."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def remove(self) -> None:
        """There is nothing more to tell. Idempotent."""
        if self._fd >= 0:
            self._path.unlink(missing_ok=True)
            self.leave()


def read_facts(directory: Path, suffix: str, *, keep_dead: float = 0.0, now: float) -> Iterator[dict[str, Any]]:
    """What the living processes tell, and for ``keep_dead`` seconds what dead ones told last. Removes the rest.

    An unreadable directory has nothing to tell.

    Parameters:
      now: seconds since 1970, as files are dated.
    """
    try:
        paths = sorted(directory.glob(f"*{suffix}"))
    except OSError:
        return
    for path in paths:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue  # its process has ended since we looked
        try:
            if _is_held(fd) or os.fstat(fd).st_mtime > now - keep_dead:
                facts = _facts(fd)
                if facts is not None:
                    yield facts
            else:
                with suppress(OSError):
                    path.unlink()
        finally:
            os.close(fd)


def _is_held(fd: int) -> bool:
    try:
        # Shared: two readers do not take each other for the owner.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _facts(fd: int) -> dict[str, Any] | None:
    for _ in range(READ_ATTEMPTS):
        try:
            facts = json.loads(os.pread(fd, os.fstat(fd).st_size, 0))
        except ValueError:
            continue  # written at this moment, or not yet
        return facts if isinstance(facts, dict) else None
    return None

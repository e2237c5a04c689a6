"""How many jobs may run at once beyond what the threads allow: any number, or so many on this machine."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path


class Slots:
    """No limit beyond the threads that there are."""

    def acquire(self, wanted: int) -> int:
        """Take up to ``wanted`` slots without waiting; returns how many were free."""
        return wanted

    def release(self, count: int) -> None:
        """Give slots back."""


class MachineSlots(Slots):
    """``count`` slots that all processes of this user share which name the same directory.

    A slot is an advisory lock on a small file: the kernel gives it back when its holder dies, however it dies. Nobody
    waits for a slot: a process that finds none free leaves the job to those who run now and who will look for the next
    one when they are done.
    """

    def __init__(self, directory: Path, count: int) -> None:
        if count < 1:
            raise ValueError(f"expected at least one slot, got: {count}")
        self._directory = directory
        self._count = count
        self._lock = threading.Lock()
        self._held: list[int] = []

    def acquire(self, wanted: int) -> int:
        with self._lock:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            before = len(self._held)
            for number in range(self._count):
                if len(self._held) - before >= wanted:
                    break
                # A lock belongs to the open file, so a slot that this process holds is found taken like any other.
                fd = os.open(self._directory / f"slot-{number}", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(fd)
                else:
                    self._held.append(fd)
            return len(self._held) - before

    def release(self, count: int) -> None:
        with self._lock:
            for _ in range(min(count, len(self._held))):
                os.close(self._held.pop())

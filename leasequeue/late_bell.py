"""Rings for jobs that were sent in somebody else's transaction, which nobody tells us the end of.

A notification must not be part of the caller's transaction: commits that notify wait for each other, and those of the
application must not. So a bell is rung on a session of our own, a few times in the second behind the block; the commit
is nearly always between two of them. A worker that is rung for nothing looks and finds nothing. What commits later is
found by a poll.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from . import errors

#: Seconds behind the end of a block at which its queues are rung for.
RING_AFTER = (0.01, 0.1, 0.5)


class LateBell:
    """Rings later, on a thread that lives for as long as there is something to ring. Used by any thread."""

    def __init__(self, ring: Callable[[str], None]) -> None:
        self._ring = ring
        self._lock = threading.Lock()
        self._wake = threading.Event()
        #: When to ring for each queue: monotonic seconds.
        self._due: dict[str, list[float]] = {}
        self._thread: threading.Thread | None = None

    def ring_soon(self, queue_names: Iterable[str]) -> None:
        """Ring for these queues at each of :data:`RING_AFTER`. A queue that was to be rung for already begins anew."""
        now = time.monotonic()
        with self._lock:
            for queue_name in queue_names:
                self._due[queue_name] = [now + seconds for seconds in RING_AFTER]
            if self._due and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._run, name="leasequeue late bell", daemon=True)
                self._thread.start()
        self._wake.set()

    @property
    def is_busy(self) -> bool:
        """Whether there is something to ring for."""
        return bool(self._due)

    def close(self) -> None:
        """Ring no more."""
        with self._lock:
            self._due.clear()
        self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.clear()
            with self._lock:
                if not self._due:
                    self._thread = None
                    return
                queue_name, times = min(self._due.items(), key=lambda item: item[1][0])
                pause = times[0] - time.monotonic()
                if pause <= 0:
                    times.pop(0)
                    if not times:
                        del self._due[queue_name]
            if pause > 0:
                self._wake.wait(pause)
                continue
            try:
                self._ring(queue_name)
            except (errors.DatabaseUnavailable, errors.QueueError):
                continue  # workers poll

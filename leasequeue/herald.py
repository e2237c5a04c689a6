"""Tells the application of deaths, on a thread that nothing else waits for: its code may take as long as it likes."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from .lease import Death

#: Deaths that may wait to be told. More are not told: they stand in the table, and the process must not grow for ever.
WAITING_LIMIT = 10_000

#: Seconds that the end of a process waits for those that are not told yet.
TELL_WITHIN = 5.0

#: Seconds between two log lines about deaths that are not told.
COMPLAIN_EVERY = 10.0


class Herald(threading.Thread):
    """One death after the other. At most once: what is not told when the process ends is told by nobody.

    The record is the row of the dead job. Whoever must not miss one looks there.
    """

    def __init__(self, on_death: Callable[[Death], None]) -> None:
        super().__init__(name="leasequeue herald", daemon=True)
        self._on_death = on_death
        self._log = logging.getLogger("leasequeue.herald")
        self._changed = threading.Condition()
        #: The one that is being told included.
        self._untold: deque[Death] = deque()
        self._is_closing = False
        self._dropped = 0
        self._complained_at = float("-inf")

    def tell(self, death: Death) -> None:
        """Have the application told soon. From any thread; returns at once."""
        with self._changed:
            if len(self._untold) < WAITING_LIMIT:
                self._untold.append(death)
                self._changed.notify_all()
            else:
                self._drop()

    def close(self, timeout: float) -> None:
        """Have the thread end when all are told, and wait for that, not longer than ``timeout`` seconds."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        if self.ident is not None:
            self.join(timeout)
        if self._untold:
            self._log.error("deaths_untold count=%d: the process ends before on_death was told", len(self._untold))

    def run(self) -> None:
        while (death := self._next()) is not None:
            try:
                self._on_death(death)
            except Exception:  # noqa: BLE001  # the application's code; the others must be told
                self._log.exception("on_death_failed job_id=%s queue=%s", death.message_id, death.queue_name)
            with self._changed:
                self._untold.popleft()

    def _next(self) -> Death | None:
        with self._changed:
            self._changed.wait_for(lambda: self._untold or self._is_closing)
            return self._untold[0] if self._untold else None

    def _drop(self) -> None:
        self._dropped += 1
        if time.monotonic() - self._complained_at >= COMPLAIN_EVERY:
            self._complained_at = time.monotonic()
            self._log.error("deaths_untold count=%d: %d wait for on_death already", self._dropped, WAITING_LIMIT)

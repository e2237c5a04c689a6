"""A thread that does one thing again and again, and cannot be stopped by its own failures."""

from __future__ import annotations

import logging
import random
import threading
import time
from abc import ABC, abstractmethod

from . import errors
from .connection import Connection
from .histogram import CALL_SECONDS, Histogram
from .sqlstate import Trouble

#: Seconds between attempts after a failure: the first, and the longest.
BACKOFF_FIRST = 0.1
BACKOFF_LONGEST = 2.0

#: The longest pause where attempts are a part of the trouble: no session to be had, no room on the disk.
BACKOFF_OVERLOAD = 5.0

#: Seconds that one call of a loop to the database may take.
CALL_TIMEOUT = 10.0

#: Seconds between two log lines about the same kind of failure.
COMPLAIN_EVERY = 10.0


class Loop(threading.Thread, ABC):
    """Base of the background loops. A subclass says what one round is; this class keeps it going.

    Each loop has its own session with the database, made when it is first needed and thrown away when it is broken:
    one loop's trouble stops no other.
    """

    #: Shown as thread name and as ``application_name`` of the session.
    role: str = "loop"
    #: Seconds of the longest pause between attempts after failures, and between two log lines about them.
    longest_pause = BACKOFF_LONGEST
    complain_every = COMPLAIN_EVERY

    def __init__(self, url: str, label: str) -> None:
        super().__init__(name=f"leasequeue {self.role}", daemon=True)
        self._url = url
        self._label = label
        self._log = logging.getLogger(f"leasequeue.{self.role}")
        self._connection: Connection | None = None
        self._stopping = threading.Event()
        self._failures = 0
        self._complained_at = float("-inf")
        #: Rounds that ended well, rounds that failed, and how long the database took to answer each call.
        self.rounds = self.failed_rounds = 0
        self.calls = Histogram(CALL_SECONDS)
        #: Monotonic seconds of the end of the last round, well or with an error that was survived.
        self.last_tick = time.monotonic()
        #: Monotonic seconds of the end of the last round that ended well.
        self.last_good = time.monotonic()

    @abstractmethod
    def round(self) -> None:
        """One round: do what is to be done, wait until there may be more. Any exception is survived."""

    def finish(self) -> None:
        """What remains to be done when the loop is asked to stop; it still has its session."""

    def greet(self, connection: Connection) -> None:
        """Called with every new session."""

    def wake(self) -> None:
        """End the present wait; called from any thread."""

    def stop(self) -> None:
        """Ask the loop to end; join() it to see it ended. Idempotent, from any thread."""
        self._stopping.set()
        self.wake()

    @property
    def last_sign(self) -> float:
        """Monotonic seconds of the last sign of life: the end of a round, or an answer of the database within one."""
        connection = self._connection
        return max(self.last_tick, connection.answered_at if connection is not None else 0.0)

    @property
    def is_stopping(self) -> bool:
        """Whether the loop was asked to end."""
        return self._stopping.is_set()

    def connection(self) -> Connection:
        """This loop's session, made anew when the last one broke."""
        if self._connection is None or self._connection.closed:
            self._connection = None
            connection = Connection(self._url, f"leasequeue {self.role} {self._label}")
            try:
                self.greet(connection)
            except BaseException:
                connection.close()
                raise
            connection.observe = self.calls.observe
            self._connection = connection
        return self._connection

    def run(self) -> None:
        while not self._stopping.is_set():
            self._guarded(self.round)
        self._guarded(self.finish)
        if self._connection is not None:
            self._connection.close()

    def _guarded(self, work: object) -> None:
        try:
            work()  # type: ignore[operator]  # a bound method
        except Exception as error:  # noqa: BLE001  # a loop must outlive whatever goes wrong in a round
            self._survive(error)
        else:
            if self._failures:
                self._log.info("loop_recovered loop=%s failures=%d", self.role, self._failures)
            self._failures = 0
            self.rounds += 1
            self.last_tick = self.last_good = time.monotonic()

    def _survive(self, error: Exception) -> None:
        self._failures += 1
        self.failed_rounds += 1
        now = self.last_tick = time.monotonic()
        if now - self._complained_at >= self.complain_every:
            self._complained_at = now
            expected = isinstance(error, errors.DatabaseUnavailable | errors.QueueError)
            self._log.warning("loop_failed loop=%s: %s; it tries on", self.role, error, exc_info=not expected)
        slow = isinstance(error, errors.DatabaseUnavailable) and error.trouble in (
            Trouble.DISK_FULL,
            Trouble.OVERLOAD,
        )
        longest = max(BACKOFF_OVERLOAD if slow else 0.0, self.longest_pause)
        pause = min(BACKOFF_FIRST * 2 ** min(self._failures, 10), longest)
        self._stopping.wait(random.uniform(pause / 2, pause))

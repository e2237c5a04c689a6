"""One thing at a time beside the thread that feeds the parsers: the next portion is read, the last one stored."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent import futures
from types import TracebackType
from typing import Any, Final

#: Between two looks at the caller's wishes while something is waited for, in seconds.
_WAKE_SECONDS: Final = 0.2


class Abandoned(Exception):
    """Nobody waits for this any more."""


class Background:
    """A thread with at most one call at a time. Use as a context manager: no call outlives it."""

    def __init__(self, name: str) -> None:
        self._executor = futures.ThreadPoolExecutor(1, thread_name_prefix=name)
        self._running: futures.Future[Any] | None = None
        self._abandoned = threading.Event()

    def __enter__(self) -> Background:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._abandoned.set()
        self._executor.shutdown(wait=True)

    def check(self) -> None:
        """For calls that can take long: raises Abandoned when nobody waits for them any more."""
        if self._abandoned.is_set():
            raise Abandoned

    @property
    def is_busy(self) -> bool:
        """Whether a call is being made."""
        return self._running is not None and not self._running.done()

    def start(self, call: Callable[[], Any]) -> None:
        """Begin a call; the one before must have been waited for."""
        self._running = self._executor.submit(call)

    def wait(self, on_wait: Callable[[], None] | None = None) -> Any:
        """What the call returned, or raised; None when there is none. ``on_wait`` is called several times a second."""
        while (running := self._running) is not None:
            if futures.wait([running], _WAKE_SECONDS).done:
                self._running = None
                return running.result()
            if on_wait is not None:
                on_wait()
        return None

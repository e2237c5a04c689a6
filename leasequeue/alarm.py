"""A way to end the sleep of a loop that waits for its session with the database at the same time."""

from __future__ import annotations

import contextlib
import socket


class Alarm:
    """Rung from any thread; heard by ``poll`` on :meth:`fileno`.

    Sockets, not bare descriptors: a late ring must not write into whatever has the number by then.
    """

    def __init__(self) -> None:
        self._ear, self._button = socket.socketpair()
        self._ear.setblocking(False)
        self._button.setblocking(False)

    def fileno(self) -> int:
        return self._ear.fileno()

    def ring(self) -> None:
        # Full of reasons to wake up already, or closed because the loop has ended.
        with contextlib.suppress(OSError):
            self._button.send(b"!")

    def clear(self) -> None:
        """Forget what was rung so far."""
        with contextlib.suppress(BlockingIOError):
            self._ear.recv(4096)

    def close(self) -> None:
        self._button.close()
        self._ear.close()

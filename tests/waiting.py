"""Waiting for facts. Tests never sleep: they say what must become true, and by when."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

Fact = TypeVar("Fact")

#: Seconds between two looks: short beside any process start, long beside one query.
LOOK_SECONDS = 0.02


def wait_until(fact: Callable[[], Fact], deadline_seconds: float = 10.0, message: str = "") -> Fact:
    """Look at `fact()` until it is truthy, and return it. Fails the test when the deadline passes first."""
    deadline = time.monotonic() + deadline_seconds
    pause = threading.Event()
    while True:
        seen = fact()
        if seen:
            return seen
        if time.monotonic() >= deadline:
            raise AssertionError(f"{message or 'the fact'}: not within {deadline_seconds:g} s, last seen: {seen!r}")
        pause.wait(LOOK_SECONDS)


def let_pass(seconds: float) -> None:
    """Let a fault last so long. Not for waiting for something: that is what :func:`wait_until` is for."""
    threading.Event().wait(seconds)

"""Doing something to many jobs, a batch at a time, no faster than asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

#: Batches in a second when there is a rate: small ones, so that the rate is one also within the second.
BATCHES_A_SECOND = 4


@dataclass(frozen=True, slots=True)
class Batch:
    """What one statement did."""

    #: Ids that it was given, and those of them that it changed.
    asked: int
    changed: list[str]


def in_batches(
    pages: Iterable[list[str]],
    act: Callable[[list[str]], list[str]],
    *,
    limit: int | None = None,
    rate: float | None = None,
) -> Iterator[Batch]:
    """Call ``act`` with the ids of ``pages``, and tell of each call. Between two of them it can be stopped.

    Parameters:
      pages: lists of ids, as from :meth:`.DeadLetters.walk`.
      act: changes jobs and returns the ids of those it changed.
      limit: ids at the most; None: all.
      rate: ids a second at the most, also over a part of a second; None: as fast as the database takes them.
    """
    pause = threading.Event()
    next_at = time.monotonic()
    left = limit
    for page in pages:
        size = len(page) if rate is None else max(1, int(rate / BATCHES_A_SECOND))
        for start in range(0, len(page), size):
            ids = page[start : start + size]
            ids = ids if left is None else ids[:left]
            if not ids:
                return
            if rate is not None:
                pause.wait(max(0.0, next_at - time.monotonic()))
                next_at = max(next_at, time.monotonic()) + len(ids) / rate
            yield Batch(len(ids), act(ids))
            if left is not None:
                left -= len(ids)

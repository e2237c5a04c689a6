"""What a job says of itself: while it runs, and at its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

Phase = Literal["resolve", "fetch", "list", "parse", "store", "publish"]

#: Seconds of a phase, and part of its files, before its rest is estimated: the first files start parsers, and those
#: that are known take no time.
_ESTIMATE_SECONDS: Final = 2.0
_ESTIMATE_PART: Final = 0.02

#: Shortest time between two reports within a phase, in seconds.
REPORT_SECONDS: Final = 0.5


@dataclass(frozen=True)
class Progress:
    """Where a job is. ``files_total`` is None until the commit was listed; known contents count as done at once."""

    phase: Phase
    files_done: int = 0
    files_total: int | None = None
    bytes_done: int = 0
    #: In the contents parsed by this job.
    symbols: int = 0
    #: Until the end of this phase, by the files done so far; None while there are too few to tell.
    rest_seconds: float | None = None


@dataclass(frozen=True)
class IndexReport:
    """What was indexed. A file is processed or skipped, never both; seconds are those of this run, by phase."""

    commit_sha: str
    files_processed: int
    files_skipped: int
    symbols_extracted: int
    files_by_language: Mapping[str, int]
    skips_by_reason: Mapping[str, int]
    seconds: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)


class Reporter:
    """Hands progress to a caller, at phase changes and now and then in between, and times the phases."""

    def __init__(self, on_progress: Callable[[Progress], None]) -> None:
        self._on_progress = on_progress
        self._phase: Phase = "resolve"
        self._files_total: int | None = None
        self._files_done = self._bytes_done = self._symbols = 0
        self._next = 0.0
        self._phase_began = 0.0
        self._running: list[str] = []
        self._since = 0.0
        #: By phase, disjoint.
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: Phase, *, files_total: int | None = None) -> Iterator[None]:
        """Run a phase: files are counted from 0 in it."""
        self._phase = name
        self._files_total = self._files_total if files_total is None else files_total
        self._files_done = self._bytes_done = 0
        self._phase_began = time.monotonic()
        self._report()
        with self.timed(name):
            yield

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the time of a block to a phase; a block inside it is counted for its own phase only."""
        self._charge()
        self._running.append(name)
        try:
            yield
        finally:
            self._charge()
            self._running.pop()

    def _charge(self) -> None:
        now = time.perf_counter()
        if self._running:
            name = self._running[-1]
            self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        self._since = now

    def add(self, *, files: int = 0, size_bytes: int = 0, symbols: int = 0) -> None:
        """Count what was done; does not report."""
        self._files_done += files
        self._bytes_done += size_bytes
        self._symbols += symbols

    @property
    def is_due(self) -> bool:
        """Whether a tick would report."""
        return time.monotonic() >= self._next

    def tick(self) -> None:
        """Report when it is time to. Never call it with a transaction open: the caller may write, and may raise."""
        if self.is_due:
            self._report()

    def _report(self) -> None:
        self._next = time.monotonic() + REPORT_SECONDS
        self._on_progress(
            Progress(self._phase, self._files_done, self._files_total, self._bytes_done, self._symbols, self._rest())
        )

    def _rest(self) -> float | None:
        done, total = self._files_done, self._files_total
        spent = time.monotonic() - self._phase_began
        if total is None or spent < _ESTIMATE_SECONDS or done < total * _ESTIMATE_PART or done == 0:
            return None
        return max(0.0, spent * (total - done) / done)

"""A job's progress on stderr: a bar that moves on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from indexing.jobs import JobRow

from .output import console, printable
from .status import ENDED, read_and_left
from .status import progress as in_words

#: Seconds between two plain lines of one phase.
LINE_SECONDS: Final = 10.0


class Display(AbstractContextManager["Display"], Protocol):
    """Where progress is shown; entered while it is."""

    def show(self, job: JobRow) -> None:
        """Show where the job is. Called several times a second."""

    def note(self, text: str) -> None:
        """Tell something else, on a line of its own."""


def display_for(*, quiet: bool) -> Display:
    """What suits stderr. ``quiet``: no progress unless somebody watches at a terminal."""
    target = console(stderr=True)
    if target.is_terminal and not target.is_dumb_terminal:
        return LiveBar(target)
    return Lines(target, quiet=quiet)


class _Notes:
    def __init__(self, target: Console) -> None:
        self._target = target

    def note(self, text: str) -> None:
        self._target.print(f"indexq: {printable(text)}", soft_wrap=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class LiveBar(_Notes):
    """One line with a bar, redrawn in place."""

    def __init__(self, target: Console) -> None:
        super().__init__(target)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[counts]}", markup=False),
            TimeElapsedColumn(),
            console=target,
        )
        self._task = self._progress.add_task("waiting", total=None, counts="")

    def __enter__(self) -> LiveBar:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, job: JobRow) -> None:
        self._progress.update(
            self._task,
            description=_phase(job),
            total=job.files_total or None,
            completed=job.files_done,
            counts=_counts(job),
        )


class Lines(_Notes):
    """A line when the phase changes, and now and then in a long one."""

    def __init__(self, target: Console, *, quiet: bool) -> None:
        super().__init__(target)
        self._quiet = quiet
        self._phase = ""
        self._next = 0.0

    def __enter__(self) -> Lines:
        return self

    def show(self, job: JobRow) -> None:
        phase, now = _phase(job), time.monotonic()
        if self._quiet or job.status in ENDED or (phase == self._phase and now < self._next):
            return
        self._phase, self._next = phase, now + LINE_SECONDS
        self._target.print(in_words(job) if job.status == "processing" else phase, soft_wrap=True)


def _phase(job: JobRow) -> str:
    return "waiting" if job.status == "pending" else job.phase or job.status


def _counts(job: JobRow) -> str:
    files = "" if job.files_total is None else f"{job.files_done:,}/{job.files_total:,} files"
    return ", ".join(filter(None, (files, *read_and_left(job))))

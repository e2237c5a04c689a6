"""Following a job until it has ended, whatever happens to workers and database meanwhile."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import Any, Final

from indexing.jobs import JobRow, get_job
from leasequeue import DatabaseUnavailable, LeaseBroker
from leasequeue.admin import Admin, JobFacts

from .database import Database
from .failures import INTERRUPTED, TERMINATED, UNAVAILABLE, CommandFailed
from .progress import Display
from .status import ENDED, WAITING, in_the_queue

#: Seconds between two looks at the job's row: often enough for a bar that moves.
LOOK_SECONDS: Final = 0.3

#: Seconds between two looks at the queue, which knows what the job's row cannot: that nobody is going to write it.
QUEUE_SECONDS: Final = 2.0

#: Seconds that a worker which is just starting has to appear before we say that there is none.
WORKER_GRACE_SECONDS: Final = 3.0

#: Seconds without an answer from the database after which waiting is given up. A restart takes less.
OUTAGE_SECONDS: Final = 60.0


class Terminated(KeyboardInterrupt):
    """SIGTERM came. Ends a wait as Ctrl+C does."""


class StoppedWaiting(CommandFailed):
    """We look no longer; the job is where it was."""

    def __init__(self, job: JobRow, why: str, exit_code: int) -> None:
        super().__init__(f"{why}; job {job.id} stays in the queue, see it with: indexq status {job.id}", exit_code)
        #: As it was seen last.
        self.job = job


def follow(database: Database, broker: LeaseBroker, job: JobRow, display: Display) -> JobRow:
    """Show a job until it is completed or failed, and return it as it is then.

    A job that the queue gave up, or has no more, counts as failed, with the reason.

    Raises:
      StoppedWaiting: Ctrl+C, SIGTERM, or the database was away for :data:`OUTAGE_SECONDS`.
    """
    follower = _Follower(database, broker, job, display)
    try:
        with _terminable():
            return follower.run()
    except Terminated:
        raise StoppedWaiting(follower.job, "terminated", TERMINATED) from None
    except KeyboardInterrupt:
        raise StoppedWaiting(follower.job, "stopped waiting", INTERRUPTED) from None
    except DatabaseUnavailable as error:
        why = f"the database is not available ({_one_line(error)})"
        raise StoppedWaiting(follower.job, why, UNAVAILABLE) from None


@contextmanager
def _terminable() -> Iterator[None]:
    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before: Any = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Follower:
    def __init__(self, database: Database, broker: LeaseBroker, job: JobRow, display: Display) -> None:
        self._database = database
        self._broker = broker
        self._admin = Admin(broker)
        self.job = job
        self._display = display
        self._began = time.monotonic()
        self._answered = self._began
        self._asked_queue = self._began
        self._is_away = False
        self._missed_worker = False
        self._told_retry = 0

    def run(self) -> JobRow:
        pause = threading.Event()
        while True:
            try:
                self._look()
                if self.job.merged_into is not None:
                    self._display.note(f"a newer job of the repository takes its place: {self.job.merged_into}")
                    self.job = replace(self.job, id=self.job.merged_into)
                    continue
                if self.job.status in ENDED:
                    return self.job
                if time.monotonic() - self._asked_queue >= QUEUE_SECONDS:
                    self._ask_queue()
                    if self.job.status in ENDED:
                        return self.job
                    self._asked_queue = time.monotonic()
                self._answered = time.monotonic()
                self._is_away = False
            except DatabaseUnavailable as error:
                if time.monotonic() - self._answered > OUTAGE_SECONDS:
                    raise
                if not self._is_away:
                    self._is_away = True
                    self._display.note(f"the database does not answer ({_one_line(error)}); trying again")
            pause.wait(LOOK_SECONDS)

    def _look(self) -> None:
        with self._database.transaction() as cursor:
            job = get_job(cursor, self.job.id)
        if job is None:
            raise CommandFailed(f"expected job {self.job.id} to exist until it ends, but it was deleted")
        self.job = job
        self._display.show(job)

    def _ask_queue(self) -> None:
        message_id = self.job.message_id
        facts = None if message_id is None else self._admin.job(message_id)
        while facts is not None and facts.merged_into is not None:
            facts = self._admin.job(facts.merged_into)
        if facts is None or facts.state in ("dead", "completed"):
            # Whoever ended it wrote the row first, so it is true by now if it ever will be.
            self._look()
            if self.job.status not in ENDED:
                self.job = replace(self.job, status="failed", error=_epitaph(facts))
        elif facts.state in WAITING:
            self._explain_waiting(facts)

    def _explain_waiting(self, facts: JobFacts) -> None:
        ((now,),) = self._broker.ask("now", {})
        if facts.available_at > now and facts.errors > self._told_retry:
            self._told_retry = facts.errors
            self._display.note(f"run {facts.errors} failed: {self.job.error}; {in_the_queue(facts, now)}")
        if self._missed_worker or time.monotonic() - self._began < WORKER_GRACE_SECONDS:
            return
        workers = self._admin.snapshot().workers
        if not any(facts.queue_name in worker.queues and not worker.draining for worker in workers):
            self._missed_worker = True
            self._display.note("no worker is running; start one with: dramatiq actors")


def _epitaph(facts: JobFacts | None) -> str:
    if facts is None:
        return "its message is no longer in the queue: somebody removed it"
    if facts.state == "completed":
        return "the queue says that it is completed, but it never said so itself"
    return f"{facts.reason}: {_one_line(facts.error or 'no error was recorded')}"


def _one_line(text: object) -> str:
    lines = str(text).strip().splitlines()
    return lines[0] if lines else ""

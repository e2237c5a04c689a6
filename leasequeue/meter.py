"""What this process has done since it began, counted for whoever collects such figures from a machine.

Figures only grow, and each process tells its own: whoever adds them up needs to know nothing of processes that come and
go. They are written to a file, at most once a second and only when they have changed, so a process that sends jobs
needs no port of its own, and what a process did last can be read for a while behind its end.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing import util as multiprocessing_util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dramatiq.middleware import Middleware

from .fact_files import FactFile, read_facts
from .histogram import RUN_SECONDS, WAITING_SECONDS, Histogram
from .lease import Dead, HandBack, LeasedMessage, PutBack, Retry, current_lease

if TYPE_CHECKING:
    from dramatiq.message import Message

    from .broker import LeaseBroker
    from .session import WorkerSession

log = logging.getLogger("leasequeue.meter")

#: Seconds between two writings.
WRITE_EVERY = 1.0

#: Seconds for which the last figures of a process that has ended can be read: several intervals of a collector.
KEEP_DEAD = 120.0

_SUFFIX = ".meter"

#: How a run ended, in one word.
OUTCOMES: dict[type, str] = {Retry: "retry", Dead: "dead", HandBack: "handed_back", PutBack: "put_back"}

#: A figure: its name, its labels, its value. A histogram's value is (bounds, counts, total).
Figure = tuple[str, dict[str, str], Any]


@dataclass(frozen=True, slots=True)
class Reading:
    """What one process of this machine has told last."""

    pid: int
    figures: list[Figure]


def read_meters(directory: Path) -> list[Reading]:
    """What the processes of this machine have done that count in a directory, and those that ended not long ago."""
    found = read_facts(directory, _SUFFIX, keep_dead=KEEP_DEAD, now=time.time())
    return [
        Reading(facts["pid"], [(name, labels, value) for name, labels, value in facts["figures"]]) for facts in found
    ]


@dataclass(slots=True)
class _Runs:
    """Runs of one actor on one queue."""

    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: Histogram = field(default_factory=lambda: Histogram(RUN_SECONDS))
    waiting: Histogram = field(default_factory=lambda: Histogram(WAITING_SECONDS))


class Meter(Middleware):
    """Counts what passes through a broker, and tells the machine.

    On the path of each job it only appends to a queue of events; a thread of its own adds them up.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._session: WorkerSession | None = None
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        #: (queue, actor) of each job that was sent; (queue, actor, outcome, run seconds, waited seconds) of each run.
        self._sent: deque[tuple[str, str]] = deque()
        self._ended: deque[tuple[str, str, str, float, float]] = deque()
        self._enqueued: Counter[tuple[str, str]] = Counter()
        self._runs: dict[tuple[str, str], _Runs] = {}
        self._lock = threading.Lock()
        self._file: FactFile | None = None
        self._thread: threading.Thread | None = None
        self._something_new = threading.Event()

    # What dramatiq tells.

    def after_enqueue(self, broker: LeaseBroker, message: Message[Any], delay: int | None) -> None:
        running = current_lease()
        if running is None or running.message_id != message.message_id:  # else it is a retry
            self._begin(broker)
            self._sent.append((message.queue_name, message.actor_name))
            self._tell_of_news()

    def after_ack(self, broker: LeaseBroker, message: LeasedMessage) -> None:
        lease = message.lease
        if lease.started_at:
            outcome = OUTCOMES.get(type(lease.outcome), "done")
            seconds = time.monotonic() - lease.started_at
            self._ended.append((lease.queue_name, message.actor_name, outcome, seconds, lease.waited))
            self._tell_of_news()

    after_nack = after_ack

    def after_worker_boot(self, broker: LeaseBroker, worker: Any) -> None:
        self._begin(broker)
        self._tell_of_news()

    def after_worker_shutdown(self, broker: LeaseBroker, worker: Any) -> None:
        self.write(broker)

    # Telling.

    def _begin(self, broker: LeaseBroker) -> None:
        if self._pid != os.getpid():  # forked: what was counted so far is our parent's
            self._reset()
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=self._run, args=(broker,), name="leasequeue meter", daemon=True
                    )
                    self._thread.start()
                    # Processes of multiprocessing, dramatiq's workers among them, know no atexit.
                    atexit.register(self.write, broker)
                    multiprocessing_util.Finalize(None, self.write, args=(broker,), exitpriority=1)

    def _tell_of_news(self) -> None:
        if not self._something_new.is_set():
            self._something_new.set()

    def _run(self, broker: LeaseBroker) -> None:
        pause = threading.Event()
        while True:
            # A worker's loops go on while no job comes; a process that only sends has nothing to tell then.
            self._something_new.wait(None if self._session is None and broker.worker_session is None else WRITE_EVERY)
            self._something_new.clear()
            self.write(broker)
            pause.wait(WRITE_EVERY)

    def write(self, broker: LeaseBroker) -> None:
        """Tell the machine what is true now. From any thread; does nothing in a process that has counted nothing."""
        if self._pid != os.getpid() or self._thread is None:
            return
        with self._lock:
            self._add_up()
            self._session = broker.worker_session or self._session
            try:
                if self._file is None:
                    self._file = FactFile(self._directory, _SUFFIX)
                self._file.write({"pid": self._pid, "figures": list(self._figures(broker))})
            except OSError as error:  # a full disk costs the figures of a moment, not the job that is counted
                log.warning("meter_unwritten path=%s: %s", self._directory, error)

    def _add_up(self) -> None:
        while self._sent:
            self._enqueued[self._sent.popleft()] += 1
        # Once for each job that is run: as little as can be.
        ended, known = self._ended, self._runs
        while ended:
            queue, actor, outcome, seconds, waited = ended.popleft()
            runs = known.get((queue, actor))
            if runs is None:
                runs = known[queue, actor] = _Runs()
            runs.outcomes[outcome] += 1
            runs.seconds.observe(seconds)
            runs.waiting.observe(waited if waited > 0.0 else 0.0)

    def _figures(self, broker: LeaseBroker) -> Iterator[Figure]:
        for (queue, actor), count in self._enqueued.items():
            yield "jobs_enqueued", {"queue": queue, "actor": actor}, count
        for (queue, actor), runs in self._runs.items():
            labels = {"queue": queue, "actor": actor}
            for outcome, count in runs.outcomes.items():
                yield "jobs_finished", {**labels, "outcome": outcome}, count
            yield "job_run_seconds", labels, _told(runs.seconds)
            yield "job_waiting_seconds", labels, _told(runs.waiting)
        used, size = broker.sender_sessions
        yield "sender_sessions", {"state": "used"}, used
        yield "sender_sessions", {"state": "free"}, size - used
        session = self._session
        if session is not None:
            yield "jobs_claimed", {}, session.claimed
            yield "leases_lost", {}, session.lost
            yield "jobs_rescued", {}, session.rescued
            for loop in session.loops:
                yield "loop_rounds", {"loop": loop.role, "result": "good"}, loop.rounds
                yield "loop_rounds", {"loop": loop.role, "result": "failed"}, loop.failed_rounds
                yield "database_call_seconds", {"loop": loop.role}, _told(loop.calls)


def _told(histogram: Histogram) -> tuple[Any, ...]:
    return list(histogram.bounds), list(histogram.counts), histogram.total

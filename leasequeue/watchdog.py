"""Looks once a second whether this worker process can still work, tells the machine, and ends it when it cannot.

A loop survives every error and reconnects by itself. What it cannot survive is a call that never returns (a name server
that hangs, a lock file on a dead network drive) or the end of its thread. Nothing inside the process helps then, and a
process that lives on with green lights and claims nothing is the worst of all states: so it ends, and its supervisor
starts another one.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from .vitals import PulseFile

if TYPE_CHECKING:
    from .lease import Lease
    from .loop import Loop
    from .session import WorkerSession

#: Seconds between two looks.
LOOK_EVERY = 1.0

#: A look that comes later counts for so much time, in seconds: the process was stopped, and its loops as well.
LATE_LOOK = 2 * LOOK_EVERY

#: Exit code of a worker process that could not go on: EX_SOFTWARE of sysexits.h. dramatiq itself uses 1 to 4.
EXIT_WEDGED = 70

#: Seconds beyond its time limit after which a job is reported: its interruption has not reached it.
STUCK_MARGIN = 10.0

#: Seconds for the last outcomes of a process that ends itself to be written.
WRITE_WITHIN = 3.0


class Silence:
    """How long loops have given no sign, in time that this process had.

    A process that was stopped (by a signal, a frozen container, a machine without time for it) and goes on has loops
    that could not give one: whoever looks first must not take them for stuck.
    """

    def __init__(self, now: float) -> None:
        self._looked_at = now
        #: By role: the last sign, and the seconds counted since.
        self._silent: dict[str, tuple[float, float]] = {}

    def look(self, signs: Mapping[str, float], now: float) -> None:
        """Take when each loop gave its last sign, by its role."""
        passed, self._looked_at = min(now - self._looked_at, LATE_LOOK), now
        self._silent = {role: (sign, self._counted(role, sign, now - sign, passed)) for role, sign in signs.items()}

    def _counted(self, role: str, sign: float, since: float, passed: float) -> float:
        last, seconds = self._silent.get(role, (None, 0.0))
        return seconds + passed if sign == last else min(since, passed)

    def seconds(self, role: str) -> float:
        """Of one loop, as of the last look."""
        return self._silent[role][1] if role in self._silent else 0.0


class Watchdog(threading.Thread):
    """Watches one session, and the threads of the dramatiq worker that it serves.

    Parameters:
      stuck_after: seconds that a loop may go without the end of a round, of those that the process had.
      drain: seconds that running jobs get when the process has to end and can still write how they ended.
      pulse: where the process tells the machine how it is; None: nowhere.
    """

    def __init__(self, session: WorkerSession, *, stuck_after: float, drain: float, pulse: PulseFile | None) -> None:
        super().__init__(name="leasequeue watch", daemon=True)
        self._session = session
        self._stuck_after = stuck_after
        self._drain = drain
        self._pulse = pulse
        self._log = logging.getLogger("leasequeue.watch")
        self._started_at = time.monotonic()
        self._parent_pid = os.getppid()  # by which our siblings know us, also when it has died
        self._stopping = threading.Event()
        self._wedged: str | None = None
        self._silence = Silence(time.monotonic())
        self._reported: set[tuple[str, int]] = set()

    def stop(self) -> None:
        """The session is closed: its loops have ended as they should."""
        self._stopping.set()
        self.join(LOOK_EVERY)
        if self._pulse is not None:
            self._pulse.remove()

    def run(self) -> None:
        self._beat()
        while not self._stopping.wait(LOOK_EVERY):
            try:
                self._look()
            except Exception:  # noqa: BLE001  # the one that watches must go on watching
                self._log.exception("watch_failed")

    def _look(self) -> None:
        self._silence.look({loop.role: loop.last_sign for loop in self._session.loops}, time.monotonic())
        if self._wedged is None:
            self._wedged = self._trouble()
            if self._wedged is not None:
                self._log.critical("worker_wedged reason=%r: this process cannot go on", self._wedged)
        self._report_stuck_jobs()
        self._beat()
        if self._wedged is not None and multiprocessing.parent_process() is not None:
            self._end_process()

    # What can be wrong.

    def _trouble(self) -> str | None:
        for loop in self._session.loops:
            if (trouble := self._trouble_of(loop)) is not None:
                return trouble
        worker = self._session.worker
        if worker is None or self._session.closing:
            return None
        if worker.workers and not any(thread.is_alive() for thread in worker.workers):
            return "all worker threads have ended"
        for queue_name, consumer in list(worker.consumers.items()):
            if consumer.ident is not None and not consumer.is_alive():
                return f"the consumer thread of queue {queue_name} has ended"
        return None

    def _trouble_of(self, loop: Loop) -> str | None:
        if loop.is_stopping:
            return None
        if not loop.is_alive():
            return f"the thread of loop {loop.role} has ended"
        silent = self._silence.seconds(loop.role)
        return f"loop {loop.role} has been stuck for {silent:.0f} s" if silent > self._stuck_after else None

    @property
    def live_threads(self) -> int:
        """Worker threads of dramatiq's that are alive; those that are configured where nobody knows."""
        worker = self._session.worker
        if worker is None:
            return self._session.threads
        return sum(thread.is_alive() for thread in worker.workers)

    def stuck_jobs(self) -> list[Lease]:
        """Running jobs that their time limit should have ended."""
        now = time.monotonic()
        return [
            lease
            for lease in self._session.held.leases()
            if lease.thread_id is not None and lease.limit and now - lease.started_at > lease.limit + STUCK_MARGIN
        ]

    def _report_stuck_jobs(self) -> None:
        stuck = {(lease.message_id, lease.claim_no): lease for lease in self.stuck_jobs()}
        for key, lease in stuck.items():
            if key not in self._reported:
                self._log.error(
                    "job_stuck job_id=%s queue=%s running_seconds=%.0f limit_seconds=%g: no interruption reaches it",
                    lease.message_id,
                    lease.queue_name,
                    time.monotonic() - lease.started_at,
                    lease.limit,
                )
        self._reported = set(stuck)

    # What others are told.

    def _beat(self) -> None:
        if self._pulse is None:
            return
        self._pulse.write(
            {
                "worker_id": self._session.worker_id,
                "pid": self._session.pid,
                "parent_pid": self._parent_pid,
                "started": self._started_at,
                "beat": time.monotonic(),
                "draining": self._session.closing,
                "wedged": self._wedged,
                "threads": self._session.threads,
                "live_threads": self.live_threads,
                "running": sum(lease.thread_id is not None for lease in self._session.held.leases()),
                "stuck_jobs": len(self._reported),
                "claiming": self._session.is_claiming,
                "notified": self._session.way.notified if self._session.way is not None else None,
                # A loop that was asked to stop is not expected to tick any more.
                "loops": {
                    loop.role: (loop.last_sign, loop.last_good) for loop in self._session.loops if not loop.is_stopping
                },
            }
        )

    # The end.

    def _end_process(self) -> None:
        """Let running jobs end where their ends can still be written, then leave."""
        _, *writing = self._session.loops
        if all(self._trouble_of(loop) is None for loop in writing):
            self._let_jobs_end()
        logging.shutdown()
        os._exit(EXIT_WEDGED)

    def _let_jobs_end(self) -> None:
        """Without claims, what runs gets the drain time; what is left then goes back, uncharged."""
        self._session.stop_claiming()
        deadline = time.monotonic() + self._drain
        while self._session.held.running() and time.monotonic() < deadline:
            self._beat()
            self._stopping.wait(LOOK_EVERY / 4)
        for lease in self._session.held.leases():
            self._session.hand_back(lease)
        deadline = time.monotonic() + WRITE_WITHIN
        while self._session.held.leases() and time.monotonic() < deadline:
            self._stopping.wait(0.05)

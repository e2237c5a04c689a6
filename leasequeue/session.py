"""What one worker process is to the queue: an identity, what it holds, the loops that serve that, and its end."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from dramatiq.common import iter_queue
from dramatiq.middleware import Shutdown
from dramatiq.worker import Worker

from .claimer import Claimer
from .connection import Connection
from .errors import LeaseLost
from .finisher import Finisher
from .herald import TELL_WITHIN, Herald
from .holdings import Buffer, Holdings
from .interruption import interrupt
from .keeper import Keeper
from .lease import Dead, Death, Done, HandBack, Lease, LeasedMessage, Outcome
from .listener import Listener
from .loop import Loop
from .policy import Policy
from .pooling import Way
from .queries import Queries
from .slots import Slots

#: Seconds that an interrupted job gets to come to its end before it is handed back without it.
INTERRUPT_TIMEOUT = 2.0

#: Seconds that the end of a session may take beyond the drain: the last outcomes are written in it.
CLOSE_TIMEOUT = 15.0


class WorkerSession:
    """Opened when a worker boots (or when somebody consumes without one), closed when it has shut down.

    Three sessions with the database whatever the number of queues and threads: one claims and listens, one writes
    outcomes, one keeps the heartbeat. With a ``direct_url`` a fourth one, by that URL, listens.
    """

    def __init__(
        self,
        *,
        url: str,
        queries: Queries,
        policy: Policy,
        threads: int,
        slots: Slots,
        channel_of: Callable[[str], str],
        ring: Callable[[Connection, str], None],
        on_death: Callable[[Death], None],
        direct_url: str | None = None,
        is_claiming: bool = True,
    ) -> None:
        self.worker_id = str(uuid.uuid4())
        self.label = self.worker_id[:8]
        self.host = socket.gethostname()
        self.pid = os.getpid()
        self.threads = threads
        #: Whether jobs are claimed at all: a process that was switched off keeps its heartbeat and nothing else.
        self.is_claiming = is_claiming
        self.closing = False
        self._drain_begun = False
        self._log = logging.getLogger("leasequeue.session")
        self._policy = policy
        self._worker: Worker | None = None
        self._lock = threading.Lock()
        #: The claimed jobs, begun or not.
        self.held = Holdings()
        self._drain_timer: threading.Timer | None = None
        #: Since the session began: jobs claimed, leases lost, jobs of dead workers rescued.
        self.claimed = self.lost = self.rescued = 0
        self._finisher = Finisher(
            queries,
            url=url,
            label=self.label,
            worker=f"pid {self.pid} on {self.host}",
            policy=policy,
            settled=self._settled,
            ring=ring,
        )
        self._herald = Herald(on_death)
        self._keeper = Keeper(self, queries, url=url, policy=policy, tell=self._herald.tell)
        self._listener: Listener | None = None
        if direct_url is not None:
            self._listener = Listener(
                self, queries, direct_url=direct_url, url=url, channel_of=channel_of, policy=policy
            )
        self._claimer = Claimer(
            self,
            queries,
            url=url,
            channel_of=channel_of,
            policy=policy,
            slots=slots,
            listener=self._listener,
            is_claiming=is_claiming,
        )

    def open(self) -> None:
        """Register with the database and start the loops. Raises when the database is away or has no such schema."""
        self._keeper.register()
        self._herald.start()
        for loop in (self._finisher, self._keeper, self._claimer):
            loop.start()
        if self._listener is not None:
            self._listener.start()

    # What the watchdog asks.

    @property
    def loops(self) -> tuple[Loop, ...]:
        """The loops that a worker cannot do without, the one that claims first."""
        return (self._claimer, self._finisher, self._keeper)

    @property
    def way(self) -> Way | None:
        """How this process reaches the database, and whether it hears of new jobs; None: not known yet."""
        return self._claimer.way

    @property
    def worker(self) -> Worker | None:
        """dramatiq's worker that this session serves; None when somebody consumes without one."""
        return self._worker

    # What dramatiq's threads ask.

    def attach(self, worker: Worker) -> None:
        """Tell the session whose threads it serves."""
        self._worker = worker

    def listen_to(self, queue_name: str) -> Buffer:
        """The buffer in which claimed jobs of a queue arrive; from now on the queue is claimed from."""
        buffer = self.held.buffer_of(queue_name)
        self._claimer.wake()
        if self._listener is not None:
            self._listener.wake()
        return buffer

    def start(self, lease: Lease) -> None:
        """The calling thread is about to run the job."""
        lease.thread_id = threading.get_ident()
        lease.started_at = time.monotonic()

    def settle(self, lease: Lease, outcome: Outcome | None = None) -> None:
        """The run is over: have its outcome written, that given here or else the lease's own. The first one counts."""
        with self._lock:
            if lease.settled:
                return  # its thread came back after the drain time, when the job had been handed back
            lease.settled = True
            lease.outcome = outcome or lease.outcome or Done()
        lease.thread_id = None
        seconds = time.monotonic() - lease.started_at if lease.started_at else None
        self._finisher.submit(lease)
        self._claimer.released(seconds)

    def settle_unknown(self, lease: Lease) -> None:
        """Have an outcome written for a claim that this process never saw."""
        self._finisher.submit(lease)

    # What the loops ask.

    def deliver(self, messages: list[LeasedMessage]) -> None:
        """Put claimed jobs on their way to the threads."""
        self.claimed += len(messages)
        self.held.add(messages)
        if self.closing:
            self._hand_back_unstarted()  # it was claimed while we were closing

    def return_overdue(self, limit: float) -> bool:
        """Hand everything unstarted back when some of it has waited for ``limit`` seconds. Returns whether it did."""
        if self._worker is None or self._worker.work_queue.empty():
            return False
        if not self.held.has_overdue(limit):
            return False
        self._hand_back_unstarted()
        return True

    def vital_signs(self) -> dict[str, Any]:
        """What a heartbeat tells of this process, besides that it lives. Ages are seconds."""
        now = time.monotonic()
        threads = self._worker.workers if self._worker is not None else []
        return {
            "claimed": None if self._claimer.last_claim is None else now - self._claimer.last_claim,
            "finished": None if self._finisher.last_write is None else now - self._finisher.last_write,
            "live_threads": sum(thread.is_alive() for thread in threads) if threads else None,
            "loops": json.dumps(
                {
                    **{loop.role: round(now - loop.last_good, 1) for loop in self.loops},
                    "notified": None if self.way is None else self.way.notified,
                    "claiming": self.is_claiming,
                }
            ),
        }

    @property
    def newest_claim(self) -> int:
        """The number of the claim that was sent last."""
        return self._claimer.newest_claim

    @property
    def oldest_unanswered_claim(self) -> int:
        """The number of the oldest claim whose answer may have been lost."""
        return self._claimer.oldest_unanswered_claim

    def lose(self, lease: Lease) -> None:
        """The database says that a lease is no longer ours: stop its run, of which nothing will count."""
        lease.lost = True
        self._log.warning(
            "lease_lost job_id=%s queue=%s: it was cancelled, or another worker has it",
            lease.message_id,
            lease.queue_name,
        )
        interrupt(lease, LeaseLost)

    def begin_again(self) -> None:
        """This worker was judged dead. Take a new name, so that nothing of before is mistaken for what comes."""
        for lease in self.held.leases():
            lease.lost = True
        self.worker_id = str(uuid.uuid4())

    def look_again(self) -> None:
        """There may be work that no notification told of."""
        self._claimer.wake()

    def hear_ring(self) -> None:
        """The listener has heard that there is work."""
        self._claimer.hear_ring()

    def _settled(self, settled: list[Lease]) -> None:
        suspects_left = self.held.remove(settled)
        self.lost += sum(lease.lost for lease in settled)
        if suspects_left:
            self._claimer.wake()  # the next one may come
        if any(lease.keyed for lease in settled):
            self._claimer.key_is_free()
        for lease in settled:
            if isinstance(lease.outcome, Dead) and not lease.lost:
                outcome = lease.outcome
                self._herald.tell(Death(lease.message_id, lease.queue_name, outcome.reason, outcome.error))

    # The end.

    def stop_claiming(self) -> None:
        """Claim nothing from now on, and have the drain begun soon. Only sets a flag and wakes: for signal handlers."""
        self.closing = True
        self._claimer.wake()

    def begin_drain(self) -> None:
        """No more claims; what was not started goes back at once; what runs gets the drain time. Idempotent."""
        with self._lock:
            if self._drain_begun:
                return
            self._drain_begun = True
        self.closing = True
        self._claimer.stop()
        self._hand_back_unstarted()
        self.held.wake_consumers()
        self._drain_timer = threading.Timer(self._policy.drain, self._interrupt)
        self._drain_timer.daemon = True
        self._drain_timer.start()

    def close(self) -> None:
        """Write what is left to write and leave. Idempotent; takes at most :data:`CLOSE_TIMEOUT` seconds."""
        self.begin_drain()
        if self._drain_timer is not None:
            self._drain_timer.cancel()
        deadline = time.monotonic() + CLOSE_TIMEOUT
        for loop in (self._claimer, self._listener, self._finisher, self._keeper):
            if loop is not None and loop.ident is not None:
                loop.stop()
                loop.join(max(0.0, deadline - time.monotonic()))
        self._herald.close(max(0.0, min(TELL_WITHIN, deadline - time.monotonic())))

    def _hand_back_unstarted(self) -> None:
        waiting = self.held.take_from_buffers(with_suspect=self.closing)
        if self._worker is not None:
            for item in iter_queue(self._worker.work_queue):
                self._worker.work_queue.task_done()
                # dramatiq 1 has pairs of priority and message there, dramatiq 2 objects.
                waiting.append(item[1] if isinstance(item, tuple) else item.message)
        for message in waiting:
            self.hand_back(message.lease)

    def hand_back(self, lease: Lease) -> None:
        """Return a job that was not run, as if it had never been claimed."""
        self.settle(lease, HandBack())

    def _interrupt(self) -> None:
        """The drain time is over: stop what still runs; its jobs are handed back."""
        for lease in self.held.running():
            self._log.warning("job_interrupted job_id=%s queue=%s: drain time over", lease.message_id, lease.queue_name)
            interrupt(lease, Shutdown)
        deadline = time.monotonic() + INTERRUPT_TIMEOUT
        pause = threading.Event()
        while self.held.running() and time.monotonic() < deadline:
            pause.wait(0.05)
        stuck = self.held.running()
        for lease in stuck:
            # Its thread is in a call that no exception reaches. Whatever it does later is fenced.
            self._log.error("job_abandoned job_id=%s queue=%s: its thread stays", lease.message_id, lease.queue_name)
            self.hand_back(lease)
        if stuck and multiprocessing.parent_process() is not None:
            self._leave_without_them()

    def _leave_without_them(self) -> None:
        """End a process of dramatiq's: it would wait ten minutes for threads that do not come back."""
        self.close()
        logging.shutdown()
        os._exit(0)

"""Takes jobs from the database for the threads of one process: one session for all queues, which also listens."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from dramatiq.errors import DecodeError
from dramatiq.message import Message

from . import pooling
from .alarm import Alarm
from .connection import Connection
from .doorbell import LONGEST_PAUSE, SHORTEST_PAUSE, listen_to
from .errors import DatabaseUnavailable, QueueError
from .floors import Floors
from .lease import Dead, Lease, LeasedMessage, readable
from .listener import Listener
from .loop import CALL_TIMEOUT, Loop
from .policy import MINUTE, Policy
from .queries import Queries
from .slots import Slots
from .turns import Turns

if TYPE_CHECKING:
    from .session import WorkerSession

#: Jobs to claim at once at the most: beyond this a round trip costs nothing against the jobs it brings.
BATCH_LIMIT = 1_000

#: Seconds of work that may be claimed ahead: long enough to hide a round trip, too short for a job to miss.
AHEAD_SECONDS = 0.1

#: Seconds after which a claimed job that no thread has started goes back: those before it turned out to be long ones.
UNSTARTED_LIMIT = 0.5

#: Seconds for which a claim whose answer was lost is looked for: its statement has ended by then, one way or the other.
REMEMBER_UNANSWERED = 60.0

#: Without notifications, each pause between two looks is so many times as long as the one before: from a few
#: milliseconds behind the last job that was found up to the poll interval. So a job waits about half as long as its
#: worker has been idle, never longer than the interval, and an idle worker asks as rarely as one that is woken.
POLL_GROWTH = 1.5

#: Seconds until the way to the database is looked at again when that failed.
FIND_WAY_EVERY = 1 * MINUTE

#: Seconds between the boot of a dramatiq worker process and its first claim. It tells its master that it has booted by
#: a lock that both share: a job that killed the process at that moment would leave the master waiting for ever.
FIRST_CLAIM_AFTER = 0.2

#: Seconds that a suspect waits for the other jobs here to end; then it runs beside those that take longer.
SUSPECT_PATIENCE = 10.0

#: Characters of a message that are read; a longer one is dead, not decoded. Far beyond what `send()` lets pass.
MESSAGE_LIMIT = 16 * 1024 * 1024

#: Weight of the newest run in the remembered duration of a run.
NEWEST_WEIGHT = 0.05


class Claimed(NamedTuple):
    """A row of the statement ``claim``."""

    message_id: str
    queue_name: str
    #: JSON; None: there is none.
    message: str | None
    errors: int
    crashes: int
    expired: bool
    #: Seconds since it was due.
    waited: float
    keyed: bool
    turn: int | None
    #: Seconds since 1970, the database's.
    due: float


class Claimer(Loop):
    """Claims as many jobs as the idle threads can start, and ahead only what will start within a moment.

    How far ahead follows from how long recent runs took: nothing for jobs of a second, whole batches for jobs of a
    tenth of a millisecond. So batches fill by themselves, and no claimed job waits here while a thread idles elsewhere:
    when the guess was wrong, what was not started goes back.
    """

    role = "claim"

    def __init__(
        self,
        session: WorkerSession,
        queries: Queries,
        *,
        url: str,
        channel_of: Callable[[str], str],
        policy: Policy,
        slots: Slots,
        listener: Listener | None = None,
        is_claiming: bool = True,
        decode: Callable[[bytes], Message[object]] = Message.decode,
    ) -> None:
        super().__init__(url, session.label)
        self._session = session
        self._queries = queries
        self._sql, self._sql_by_turn = queries["claim"], queries["claim_by_turn"]
        self._serve = queries["serve"]
        self._channel_of = channel_of
        self._policy = policy
        self._poll_interval = policy.poll_interval
        self._listener = listener
        self._is_claiming = is_claiming
        self._decode = decode
        self._slots = slots
        self._lock = threading.Lock()
        self._outstanding = 0
        self._run_seconds = 1.0
        self._hungry = False
        self._claim_no = 0
        self._rotation = 0
        self._floors = Floors()
        self._turns = Turns()
        self._unanswered: list[tuple[float, int]] = []
        self._listening: frozenset[str] = frozenset()
        self._way: pooling.Way | None = None
        self._find_way_at = float("-inf")
        self._pause = policy.poll_interval
        self._rung = False
        #: When a claim last brought a job: monotonic seconds.
        self.last_claim: float | None = None
        self._alarm = Alarm()

    # Asked by the threads of the worker.

    def released(self, seconds: float | None) -> None:
        """A claimed job has left this process. ``seconds``: how long its run took; None when it never ran."""
        self._slots.release(1)
        with self._lock:
            self._outstanding -= 1
            if seconds is not None:
                self._run_seconds += NEWEST_WEIGHT * (seconds - self._run_seconds)
            wake = self._session.held.suspect_waits or (self._hungry and self._wanted() > 0)
            if wake:
                self._hungry = False
        if wake:
            self.wake()

    @property
    def newest_claim(self) -> int:
        """The number of the claim that was sent last; its answer may not be here yet."""
        return self._claim_no

    @property
    def oldest_unanswered_claim(self) -> int:
        """The number of the oldest claim whose answer was lost not long ago; of the newest when there is none."""
        recent = time.monotonic() - REMEMBER_UNANSWERED
        self._unanswered = [(when, claim_no) for when, claim_no in self._unanswered if when > recent]
        return min((claim_no for _, claim_no in self._unanswered), default=self._claim_no)

    def key_is_free(self) -> None:
        """A job with a key has ended here; the next of that key may have been passed over while it ran."""
        self._floors.look()
        self.wake()

    def wake(self) -> None:
        self._alarm.ring()

    def hear_ring(self) -> None:
        """Somebody has rung, and was heard elsewhere: others may follow without a ring of their own."""
        self._rung = True
        self._alarm.ring()

    @property
    def way(self) -> pooling.Way | None:
        """How this process reaches the database, and whether it hears of new jobs; None: not known yet."""
        return self._way if self._listener is None else self._listener.way

    @property
    def _is_notified(self) -> bool:
        return self.way is not None and self.way.notified

    # The loop.

    def greet(self, connection: Connection) -> None:
        self._listening = frozenset()
        self._find_way(connection)

    def finish(self) -> None:
        self._alarm.close()

    def run(self) -> None:
        if multiprocessing.parent_process() is not None:
            self._stopping.wait(FIRST_CLAIM_AFTER)
        super().run()

    def round(self) -> None:
        if self._session.closing:
            self._session.begin_drain()
            return
        connection = self.connection()
        if not self._is_claiming:
            connection.wait(self._alarm.fileno(), self._poll_interval)
            self._alarm.clear()
            return
        self._listen(connection)
        self._session.held.release_suspect(SUSPECT_PATIENCE)
        if self._session.return_overdue(UNSTARTED_LIMIT):
            with self._lock:
                self._run_seconds = max(self._run_seconds, UNSTARTED_LIMIT)
        with self._lock:
            wanted = self._wanted()
        queues = self._session.held.queue_names()
        granted = self._slots.acquire(wanted) if wanted and queues else 0
        if wanted and not granted:
            # No slot, or no queue yet. Whoever holds the slots looks for the next job when it gives one back.
            self._sleep(connection, hungry=True)
        elif not wanted:
            self._sleep(connection, hungry=True, unless_wanted=True)
        else:
            try:
                rows = self._claim(connection, queues, granted)
            except BaseException:
                self._slots.release(granted)
                raise
            self._slots.release(granted - len(rows))
            self._hand_out(rows)
            if rows:
                self._pause = SHORTEST_PAUSE
            if len(rows) == granted:
                return  # there is probably more
            # Nothing is ready above the floor; before we rest for longer, we look at what lies below it.
            self._sleep(connection, hungry=False, at_most=self._floors.sure_until(time.monotonic()))

    def _claim(self, connection: Connection, queues: list[str], limit: int) -> list[Claimed]:
        # Each queue is the first to be asked in turn: none starves behind a longer one.
        self._rotation = (self._rotation + 1) % len(queues)
        self._claim_no += 1  # a number for each attempt: one whose answer was lost is told from the next
        queues = queues[self._rotation :] + queues[: self._rotation]
        started = time.monotonic()
        by_turn = self._turns.next_claim(started)
        parameters = {
            "worker_id": self._session.worker_id,
            "claim_no": self._claim_no,
            "queues": queues,
            "floors": self._floors.of(queues, started),
            "turn_floors": self._turns.floors(queues, looking=self._floors.looking),
            "limit": limit,
            "suspects": 1,
        }
        try:
            rows = connection.execute(self._sql_by_turn if by_turn else self._sql, parameters, timeout=CALL_TIMEOUT)
        except DatabaseUnavailable:
            self._unanswered.append((started, self._claim_no))  # it may have been executed all the same
            raise
        jobs = [Claimed._make(row) for row in rows]
        # A suspect that comes late says nothing of where the others begin, nor does a job that had its turn.
        by_time = [job for job in jobs if not job.crashes and not (by_turn and job.turn is not None)]
        self._floors.claimed([(job.queue_name, job.due) for job in by_time], seconds=time.monotonic() - started)
        self._turns.claimed([(job.queue_name, job.turn) for job in jobs if job.turn is not None], started)
        if jobs:
            self.last_claim = time.monotonic()
        if served := self._turns.to_tell(started):
            told = {"queues": list(served), "turns": list(served.values())}
            connection.execute(self._serve, told, timeout=CALL_TIMEOUT)
        return jobs

    def _hand_out(self, jobs: list[Claimed]) -> None:
        with self._lock:
            self._outstanding += len(jobs)
        jobs.sort(key=_due)
        worker_id, claim_no = self._session.worker_id, self._claim_no
        claimed, unreadable = [], []
        for job in jobs:
            lease = Lease(
                job.message_id,
                job.queue_name,
                worker_id,
                claim_no,
                job.errors,
                job.crashes,
                job.expired,
                job.due,
                job.waited,
                keyed=job.keyed,
            )
            try:
                claimed.append(LeasedMessage(self._readable_message(job.message, lease), lease))
            except (DecodeError, TypeError, ValueError, AttributeError) as error:
                lease.outcome = Dead("unreadable", readable(f"expected a dramatiq message, got: {error}"))
                unreadable.append(lease)
        self._session.deliver(claimed)
        for lease in unreadable:
            self._session.settle(lease)

    def _readable_message(self, text: str | None, lease: Lease) -> Message[object]:
        if text is None:
            raise ValueError("no message at all")
        if len(text) > MESSAGE_LIMIT:
            raise ValueError(f"one of {len(text)} characters, more than {MESSAGE_LIMIT}")
        message = self._decode(text.encode())
        if not isinstance(message.actor_name, str) or not isinstance(message.kwargs, dict):
            raise ValueError("actor_name and kwargs are not a name and an object")
        # The row is the truth: a message that was moved by SQL still belongs to the queue it was claimed from.
        if message.message_id != lease.message_id or message.queue_name != lease.queue_name:
            message = message.copy(message_id=lease.message_id, queue_name=lease.queue_name)
        message.options.pop("eta", None)  # dramatiq would wait for it in memory; available_at has done so
        if lease.errors:
            message.options["retries"] = lease.errors
        return message

    def _sleep(
        self, connection: Connection, *, hungry: bool, unless_wanted: bool = False, at_most: float = float("inf")
    ) -> None:
        """Wait for a ring or for the poll interval to pass; ``hungry``: or for a job of ours to end."""
        with self._lock:
            if unless_wanted and self._wanted() > 0:
                return  # a thread became free since we looked
            self._hungry = hungry
        if self._is_notified:
            # Who sends right behind a ring does not ring again: look again in growing pauses until that time is over.
            self._pause = self._pause * 2 if self._pause <= LONGEST_PAUSE else self._poll_interval
        else:
            self._pause = min(self._pause * POLL_GROWTH, self._poll_interval)
        with self._lock:
            is_ahead = self._outstanding > self._session.threads
        longest = min(self._poll_interval, UNSTARTED_LIMIT) if is_ahead else self._poll_interval
        is_rung = connection.wait(self._alarm.fileno(), min(self._pause, longest, at_most))
        if is_rung or self._rung:
            self._rung = False
            self._pause = SHORTEST_PAUSE
        self._alarm.clear()

    def _listen(self, connection: Connection) -> None:
        """Have rings for all queues of ours delivered here, where that is possible and nobody else listens for us."""
        self._find_way(connection)
        if self._listener is None and self._is_notified:
            wanted = frozenset(self._channel_of(name) for name in self._session.held.queue_names())
            listen_to(connection, wanted - self._listening, timeout=CALL_TIMEOUT)
            self._listening = wanted

    def _find_way(self, connection: Connection) -> None:
        """Find out once whether notifications arrive. Until it is known, jobs are found by polling."""
        if self._listener is not None or self._way is not None or time.monotonic() < self._find_way_at:
            return
        try:
            with closing(Connection(self._url, f"leasequeue test {self._label}")) as other:
                self._way = pooling.find_way(connection, other, self._queries)
        except (DatabaseUnavailable, QueueError) as error:
            self._find_way_at = time.monotonic() + FIND_WAY_EVERY
            self._log.debug("way_unknown: %s; jobs are found by polling", error)
            if connection.closed:
                raise
        else:
            policy = self._policy
            pooling.announce(self._way, self._log, poll_interval=policy.poll_interval, lease=policy.lease)

    def _wanted(self) -> int:
        """How many jobs to claim now; 0 when it is better to wait. Call with the lock held."""
        if self._session.closing or self._session.held.has_suspect:
            return 0
        threads = self._session.threads
        ahead = min(int(threads * AHEAD_SECONDS / max(self._run_seconds, 1e-6)), BATCH_LIMIT)
        free = threads + ahead - self._outstanding
        # Far ahead, claim in halves: a round trip for each single job would be the old slowness again.
        return min(free, BATCH_LIMIT) if free >= max(1, ahead // 2) else 0


def _due(job: Claimed) -> float:
    """The oldest is handed out first."""
    return job.due

"""Has it written how runs ended: the many that succeeded in groups, each other one by itself, again after trouble."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from threading import Event
from typing import NamedTuple

from . import errors
from .connection import Connection
from .endings import Endings
from .lease import Dead, Done, HandBack, Lease, PutBack, Retry
from .loop import CALL_TIMEOUT, Loop
from .policy import Policy
from .queries import Queries
from .sqlstate import Trouble

#: Completed jobs in one statement at the most.
GROUP_LIMIT = 1_000

#: Seconds that a completed job waits for company: nobody waits for the write, and each one saved is one commit less.
GROUP_DELAY = 0.005

#: Seconds until an outcome that the database refused is tried again: at first, and at the longest.
REFUSED_FIRST = 1.0
REFUSED_LONGEST = 10.0

#: Refusals one after the other that end an attempt to write a group one by one.
REFUSED_IN_A_ROW = 3

#: Outcomes after which a job waits again.
RETURNS = Retry | HandBack | PutBack


class _Refusal(NamedTuple):
    again_at: float  # monotonic seconds
    pause: float


class Finisher(Loop):
    """The only writer of ends. A write that meets trouble is made again until the database answers.

    Each statement names worker and claim: what it does not find any more belongs to somebody else, and is reported as a
    lost lease, not written.
    """

    role = "finish"

    def __init__(
        self,
        queries: Queries,
        *,
        url: str,
        label: str,
        worker: str,
        policy: Policy,
        settled: Callable[[list[Lease]], None],
        ring: Callable[[Connection, str], None],
    ) -> None:
        super().__init__(url, label)
        self._endings = Endings(queries, worker=worker, policy=policy, ring=ring)
        self._settled = settled
        self._waiting: deque[Lease] = deque()
        self._batch: dict[Lease, None] = {}  # an ordered set
        self._refused: dict[Lease, _Refusal] = {}
        self._sent_before = False
        self._wakeup = Event()
        #: When an outcome was last written: monotonic seconds.
        self.last_write: float | None = None

    def submit(self, lease: Lease) -> None:
        """Have a lease's outcome written soon. From any thread; returns at once."""
        self._waiting.append(lease)
        if not self._wakeup.is_set():
            self._wakeup.set()

    def wake(self) -> None:
        self._wakeup.set()

    @property
    def pending(self) -> int:
        """Outcomes that are not written yet."""
        return len(self._waiting) + len(self._batch | dict.fromkeys(self._refused))

    def round(self) -> None:
        if not self._batch:
            if not self._waiting:
                self._wakeup.wait(1.0)
            self._wakeup.clear()
            if 0 < len(self._waiting) < GROUP_LIMIT // 4:
                self._stopping.wait(GROUP_DELAY)
        self._take_up_refused(time.monotonic())
        self._flush()

    def finish(self) -> None:
        deadline = time.monotonic() + CALL_TIMEOUT
        while self.pending and time.monotonic() < deadline:
            self._take_up_refused(math.inf)
            try:
                self._flush()
            except errors.DatabaseUnavailable as error:
                self._log.warning("outcomes_waiting count=%d: %s", self.pending, error)
            if self.pending:
                time.sleep(0.2)
        if self.pending:
            self._log.error("outcomes_unwritten count=%d: the jobs will be run again", self.pending)

    def _take_up_refused(self, now: float) -> None:
        """Those that the database refused are tried again, more and more rarely; they hold up nobody meanwhile."""
        for lease, refusal in list(self._refused.items()):
            if refusal.again_at <= now:
                self._batch[lease] = None

    def _flush(self) -> None:
        """Write what waits. What fails for want of a database stays in the batch for the next round."""
        while len(self._batch) < GROUP_LIMIT and self._waiting:
            self._batch[self._waiting.popleft()] = None
        if not self._batch:
            return
        connection = self.connection()
        if returning := [lease for lease in self._batch if lease.keyed and isinstance(lease.outcome, RETURNS)]:
            self._give_way(returning, connection)
        done = [lease for lease in self._batch if isinstance(lease.outcome, Done)]
        handed_back = [lease for lease in self._batch if isinstance(lease.outcome, HandBack)]
        others = [lease for lease in self._batch if isinstance(lease.outcome, Retry | Dead | PutBack)]
        # Those with keys one by one: who waits for a key must hold nothing that others wait for.
        together = [lease for lease in handed_back if not lease.keyed]
        alone = [[lease] for lease in handed_back if lease.keyed]
        if done:
            self._write(done, connection, self._endings.done)
        for group in (together, *alone):
            if group:
                self._write(group, connection, self._endings.hand_back)
        for lease in others:
            self._write([lease], connection, self._endings.one)
        self._sent_before = False

    def _write(
        self, group: list[Lease], connection: Connection, write: Callable[[list[Lease], Connection], set[str]]
    ) -> None:
        try:
            ours = write(group, connection)
        except errors.DatabaseUnavailable as error:
            if error.trouble is not Trouble.CONFLICT:
                self._sent_before = True
                raise
            # Somebody holds a row of it, or the whole table.
            if len(group) > 1:
                self._write_each(group, connection, write)
            else:
                self._refuse(group[0], error)
            return
        except errors.QueueError as error:
            if len(group) > 1:
                self._write_each(group, connection, write)
                return
            if isinstance(error, errors.AlreadyQueued) and self._give_way(group, connection):
                return  # a newer job with its key came at this moment
            try:
                ours = self._without_the_offending_part(group[0], connection, error)
            except errors.QueueError as refused:
                self._refuse(group[0], refused)
                return
        for lease in group:
            self._batch.pop(lease, None)
            self._refused.pop(lease, None)
            if lease.message_id not in ours and not lease.lost:
                lease.lost = True
                if self._sent_before:
                    # The answer to the first attempt was lost; it may well have been written then.
                    self._log.info("outcome_unknown job_id=%s queue=%s", lease.message_id, lease.queue_name)
                else:
                    self._log.warning(
                        "lease_lost job_id=%s queue=%s outcome=%s: another worker has the job, nothing was written",
                        lease.message_id,
                        lease.queue_name,
                        type(lease.outcome).__name__,
                    )
        self.last_write = time.monotonic()
        self._settled(group)

    def _write_each(
        self, group: list[Lease], connection: Connection, write: Callable[[list[Lease], Connection], set[str]]
    ) -> None:
        """One bad outcome must not fail the others; when one after the other is refused, it is not about them."""
        refused = 0
        for lease in group:
            self._write([lease], connection, write)
            refused = refused + 1 if lease in self._refused else 0
            if refused == REFUSED_IN_A_ROW:
                raise errors.DatabaseUnavailable(f"{refused} outcomes in a row were refused")

    def _give_way(self, group: list[Lease], connection: Connection) -> bool:
        """End those of which a newer job with the same key waits. Returns whether there was one."""
        try:
            newer = self._endings.give_way(group, connection)
        except errors.DatabaseUnavailable as error:
            if error.trouble is not Trouble.CONFLICT:
                raise
            return False  # what follows meets the same lock, and knows what to do about it
        gone = [lease for lease in group if lease.message_id in newer]
        for lease in gone:
            self._batch.pop(lease, None)
            self._refused.pop(lease, None)
            self._log.info(
                "job_superseded job_id=%s queue=%s by=%s: a newer job with its key waits",
                lease.message_id,
                lease.queue_name,
                newer[lease.message_id],
            )
        if gone:
            self._settled(gone)
        return bool(gone)

    def _refuse(self, lease: Lease, error: Exception) -> None:
        """The database answers, and the answer is no: a lock, a trigger, a permission. Others go on meanwhile."""
        before = self._refused.get(lease)
        pause = REFUSED_FIRST if before is None else min(before.pause * 2, REFUSED_LONGEST)
        self._refused[lease] = _Refusal(time.monotonic() + pause, pause)
        del self._batch[lease]
        self._log.error(
            "outcome_refused_again job_id=%s queue=%s outcome=%s: %s. It is tried again in %g s; the job stays ours",
            lease.message_id,
            lease.queue_name,
            type(lease.outcome).__name__,
            error,
            pause,
        )

    def _without_the_offending_part(self, lease: Lease, connection: Connection, error: errors.QueueError) -> set[str]:
        """The database refuses this outcome as it is: write what matters, say what was left out."""
        self._log.error(
            "outcome_refused job_id=%s queue=%s outcome=%s: %s. It is written without its result and changed message",
            lease.message_id,
            lease.queue_name,
            type(lease.outcome).__name__,
            error,
        )
        lease.result = lease.result_ttl = lease.message = None
        if isinstance(lease.outcome, Done):
            return self._endings.done([lease], connection)
        if isinstance(lease.outcome, Retry | Dead | PutBack):
            return self._endings.one([lease], connection)
        raise error

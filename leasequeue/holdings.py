"""What one worker process holds: the claimed jobs, and the buffers in which they wait for threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from queue import Empty, SimpleQueue

from .lease import Lease, LeasedMessage

Buffer = SimpleQueue[LeasedMessage | None]


class Holdings:
    """The leases of a worker process. Any thread may ask and tell.

    A suspect, a job that was there when a worker died, is kept apart until it may run alone.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._leases: dict[tuple[str, int], Lease] = {}
        self._buffers: dict[str, Buffer] = {}
        self._suspects = 0
        self._waiting_suspect: LeasedMessage | None = None

    def buffer_of(self, queue_name: str) -> Buffer:
        """The buffer in which claimed jobs of a queue arrive; made by the first who asks."""
        with self._lock:
            return self._buffers.setdefault(queue_name, SimpleQueue())

    def queue_names(self) -> list[str]:
        """The queues that have a buffer: those that this process consumes."""
        with self._lock:
            return list(self._buffers)

    def add(self, messages: list[LeasedMessage]) -> None:
        """Put claimed jobs into their buffers."""
        with self._lock:
            for message in messages:
                lease = message.lease
                self._leases[lease.message_id, lease.claim_no] = lease
                self._suspects += lease.is_suspect
            buffers = dict(self._buffers)
        for message in messages:
            if message.lease.is_suspect:
                self._waiting_suspect = message
            else:
                buffers[message.lease.queue_name].put(message)

    def remove(self, leases: Iterable[Lease]) -> int:
        """Forget leases whose ends are written. Returns how many suspects were among them."""
        with self._lock:
            left = [self._leases.pop((lease.message_id, lease.claim_no), None) for lease in leases]
            suspects = sum(lease.is_suspect for lease in left if lease is not None)
            self._suspects -= suspects
        return suspects

    def leases(self) -> list[Lease]:
        """What this process believes it holds, finished but unwritten ones included."""
        with self._lock:
            return list(self._leases.values())

    def running(self) -> list[Lease]:
        """The jobs that a thread is busy with, and whose end is not known yet."""
        return [lease for lease in self.leases() if lease.thread_id is not None and lease.outcome is None]

    def has_overdue(self, limit: float) -> bool:
        """Whether a job has waited for a thread for ``limit`` seconds."""
        before = time.monotonic() - limit
        return any(
            not lease.started_at and lease.claimed_at < before and not lease.is_suspect for lease in self.leases()
        )

    def take_from_buffers(self, *, with_suspect: bool) -> list[LeasedMessage]:
        """Jobs that wait in the buffers, and the suspect that waits to be alone; they wait no longer."""
        taken: list[LeasedMessage] = []
        for buffer in self._all_buffers():
            while True:
                try:
                    message = buffer.get_nowait()
                except Empty:
                    break
                if message is not None:
                    taken.append(message)
        if with_suspect and self._waiting_suspect is not None:
            suspect, self._waiting_suspect = self._waiting_suspect, None
            taken.append(suspect)
        return taken

    def wake_consumers(self) -> None:
        """Tell everybody who waits at a buffer that no more jobs will come."""
        for buffer in self._all_buffers():
            buffer.put(None)

    @property
    def has_suspect(self) -> bool:
        """Whether a suspect is held, begun or not."""
        return self._suspects > 0

    @property
    def suspect_waits(self) -> bool:
        """Whether a suspect was claimed that has not been let loose."""
        return self._waiting_suspect is not None

    def release_suspect(self, patience: float) -> None:
        """Let a waiting suspect run once it is alone here, so that the next death has one culprit.

        patience: seconds after which it runs beside those that take so long; nothing is claimed beside it in any case.
        """
        message = self._waiting_suspect
        if message is None:
            return
        has_company = any(lease is not message.lease and not lease.settled for lease in self.leases())
        if has_company and time.monotonic() - message.lease.claimed_at < patience:
            return
        self._waiting_suspect = None
        self.buffer_of(message.lease.queue_name).put(message)

    def _all_buffers(self) -> list[Buffer]:
        with self._lock:
            return list(self._buffers.values())

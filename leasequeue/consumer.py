"""What dramatiq's consumer threads iterate over: the jobs that the session claimed for one queue."""

from __future__ import annotations

from collections.abc import Container, Iterable
from queue import Empty
from typing import TYPE_CHECKING

from dramatiq.broker import Consumer

from .lease import Dead, LeasedMessage, PutBack, describe, readable

if TYPE_CHECKING:
    from .session import WorkerSession


class LeaseConsumer(Consumer):
    """No session with the database of its own, so queues cost no connections."""

    def __init__(self, session: WorkerSession, queue_name: str, timeout: float, actors: Container[str]) -> None:
        self._session = session
        self._actors = actors
        self._buffer = session.listen_to(queue_name)
        self._timeout = timeout

    def __next__(self) -> LeasedMessage | None:
        """The next claimed job; None when none came within the timeout."""
        try:
            message = self._buffer.get(timeout=self._timeout)
        except Empty:
            return None
        if message is not None and self._session.closing:
            self._session.hand_back(message.lease)
            return None
        if message is not None and message.actor_name not in self._actors:
            # dramatiq would dead-letter it at once; a worker of another release may know the actor.
            error = readable(f"no worker that had it knows an actor named {message.actor_name!r}")
            self._session.settle(message.lease, PutBack(error))
            return None
        return message

    def ack(self, message: LeasedMessage) -> None:
        """The run is over: have its outcome written. Unless something else was decided during the run, it is done."""
        self._session.settle(message.lease)

    def nack(self, message: LeasedMessage) -> None:
        """Dead-letter the job, with the reason that was found for it."""
        lease = message.lease
        if lease.outcome is None:
            exception = message._exception
            if exception is not None:
                lease.outcome = Dead("rejected", describe(exception))
            else:
                lease.outcome = Dead("rejected", "rejected by middleware without an error", counts_as_error=False)
        self._session.settle(lease)

    def requeue(self, messages: Iterable[LeasedMessage]) -> None:
        """Jobs that were not started when the worker stopped."""
        for message in messages:
            self._session.hand_back(message.lease)

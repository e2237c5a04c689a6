"""The right of one run to write about its job, and what the run wants written when it ends."""

from __future__ import annotations

import contextvars
import time
from dataclasses import dataclass, field
from typing import Any

from dramatiq.broker import MessageProxy
from dramatiq.message import Message

#: Characters of an error text that are kept: its beginning says what, its end says where.
ERROR_TEXT_LIMIT = 16_000


@dataclass(frozen=True, slots=True)
class Done:
    """The run succeeded (or there was nothing to do)."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Run again after ``delay`` seconds; ``error`` is None when the actor itself asked for another turn."""

    delay: float
    error: str | None


@dataclass(frozen=True, slots=True)
class Dead:
    """Dead-letter the job. ``reason`` is one word for machines, ``error`` is for people."""

    reason: str
    error: str | None
    counts_as_error: bool = True


@dataclass(frozen=True, slots=True)
class HandBack:
    """As if the job had never been claimed."""


@dataclass(frozen=True, slots=True)
class PutBack:
    """Nobody here can run it; another worker may. Dead as ``unknown_actor`` when that has been so for too long."""

    error: str


@dataclass(frozen=True, slots=True)
class Death:
    """A job that was dead-lettered: told to whoever wants to know."""

    message_id: str
    queue_name: str
    reason: str
    error: str | None


Outcome = Done | Retry | Dead | HandBack | PutBack


@dataclass(slots=True, eq=False)
class Lease:
    """One claim of one job. Written by the thread that runs the job, read by others.

    Only the holder of ``(message_id, worker_id, claim_no)`` can finish the job: every finishing statement names all
    three, so that a run which was presumed dead changes nothing.
    """

    message_id: str
    queue_name: str
    worker_id: str
    claim_no: int
    #: Runs of this job that ended in an error, and runs that ended with their worker, before this one.
    errors: int = 0
    crashes: int = 0
    #: The job's time was over before it could start.
    expired: bool = False
    #: When it was due: seconds since 1970, the database's.
    due: float = 0.0
    #: How long it had been due when it was claimed: seconds, by the database's clock.
    waited: float = 0.0
    #: It has a key: no other job of it runs meanwhile, and a newer one may take its place when it should wait again.
    keyed: bool = False
    #: Set when the database said that the job is no longer ours. Long actors should look now and then.
    lost: bool = False
    #: Monotonic seconds.
    claimed_at: float = field(default_factory=time.monotonic)
    #: Monotonic seconds; 0.0 until the run starts.
    started_at: float = 0.0
    #: Seconds that the run may take; 0.0 until it starts.
    limit: float = 0.0
    #: The thread that runs the job, while it runs.
    thread_id: int | None = None
    #: Whether an exception was raised in that thread from outside.
    interrupted: bool = False
    outcome: Outcome | None = None
    #: Whether the outcome was handed over to be written; it is final from then on.
    settled: bool = False
    #: JSON text and seconds to keep it, for actors that store results.
    result: str | None = None
    result_ttl: float | None = None
    #: The message to keep for the next run, when it was changed.
    message: Message[Any] | None = None

    @property
    def is_suspect(self) -> bool:
        """Whether the job was there when a worker died: it may be what killed it."""
        return self.crashes > 0

    @property
    def fence(self) -> dict[str, Any]:
        """What every statement about this claim names."""
        return {"message_id": self.message_id, "worker_id": self.worker_id, "claim_no": self.claim_no}

    @property
    def attempt(self) -> int:
        """Which run of the job this is, counted from 1."""
        return self.errors + self.crashes + 1


class LeasedMessage(MessageProxy):
    """A claimed message on its way through dramatiq's worker, which asks it for these fields twenty times a run."""

    def __init__(self, message: Message[Any], lease: Lease) -> None:
        super().__init__(message)  # type: ignore[no-untyped-call]
        self.lease = lease
        self.message_id = message.message_id
        self.queue_name = message.queue_name
        self.actor_name = message.actor_name
        self.args = message.args
        self.kwargs = message.kwargs
        self.options = message.options

    # dramatiq's queue of work compares messages of one priority: by age here, and not field by field.

    def __lt__(self, other: object) -> bool:
        return isinstance(other, LeasedMessage) and self.lease.due < other.lease.due

    def __eq__(self, other: object) -> bool:
        if isinstance(other, LeasedMessage):
            return self.lease is other.lease
        return bool(self._message == other)

    __hash__ = None  # type: ignore[assignment]  # as its base


_current: contextvars.ContextVar[Lease | None] = contextvars.ContextVar("leasequeue_current_lease", default=None)


def current_lease() -> Lease | None:
    """The lease under which the calling actor runs; None outside of an actor."""
    return _current.get()


def enter(lease: Lease) -> None:
    """Make a lease the current one of this thread."""
    _current.set(lease)


def leave() -> None:
    """There is no current lease in this thread any more."""
    _current.set(None)


def readable(text: str, limit: int = ERROR_TEXT_LIMIT) -> str:
    """A text that Postgres stores: no NUL, no lone surrogate, at most ``limit`` characters (the middle is left out)."""
    if len(text) > limit:
        left_out = len(text) - limit
        text = f"{text[: limit // 4]}\n[... {left_out} characters left out ...]\n{text[-(limit - limit // 4) :]}"
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


def describe(exception: BaseException, traceback_text: str | None = None) -> str:
    """One line that says what happened, then where. Works for exceptions whose ``str()`` itself fails."""
    try:
        text = str(exception)
    except Exception as failure:  # noqa: BLE001  # whatever it is, the job's own error must be recorded
        text = f"<its text cannot be had: {type(failure).__name__}>"
    head = f"{type(exception).__name__}: {text}" if text else type(exception).__name__
    head = readable(head, ERROR_TEXT_LIMIT // 4)
    return f"{head}\n\n{readable(traceback_text)}" if traceback_text else head

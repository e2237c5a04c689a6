"""Everything leasequeue raises on purpose. Driver errors are translated into these in :mod:`.connection`."""

from __future__ import annotations

from dramatiq.errors import BrokerError, ConnectionError
from dramatiq.middleware import Interrupt

from .sqlstate import Trouble


class DatabaseUnavailable(ConnectionError):
    """The database could not be reached, or did not answer in time; the same call may succeed later.

    It is a dramatiq ``ConnectionError``: dramatiq's own loops reconnect and try again on it.
    """

    #: What kind of trouble it was, for those who wait differently for different kinds.
    trouble: Trouble = Trouble.CONNECTION

    def __init__(self, message: str) -> None:
        super().__init__(message)  # type: ignore[no-untyped-call]


class QueueError(BrokerError):
    """The database answered, and the answer is no: trying the same call again will not help."""

    def __init__(self, message: str) -> None:
        super().__init__(message)  # type: ignore[no-untyped-call]


class SchemaMissing(QueueError):
    """The queue's schema or one of its tables is not there. Run the migrations first."""


class SchemaMismatch(QueueError):
    """The queue's schema is of another version than this code."""


class ServerTooOld(QueueError):
    """The server is a Postgres that this code does not know any more. Upgrade it."""


class WrongDatabase(QueueError):
    """``url`` and ``direct_url`` lead to different databases."""


class StillInUse(QueueError):
    """A schema is not removed: something would be lost that nobody said may be. A reason a line."""


class MessageRefused(QueueError):
    """The message cannot be stored: it is not JSON that Postgres accepts, or one of its values is out of range."""


class MessageTooLarge(MessageRefused):
    """The message has more bytes than ``policy.max_message_bytes``. Send where the data is, not the data."""


class AlreadyQueued(QueueError):
    """A message with this id is in the queue already. A send takes care of it; nobody else sees this."""


class AccessDenied(QueueError):
    """The role of the connection may not do this."""


class NoTransaction(QueueError):
    """The caller's connection has no transaction to send in: it is closed, in autocommit mode, or to be rolled back."""


class JobDied(QueueError):
    """Raised by ``broker.join(fail_fast=True)``: a job of the queue was dead-lettered. Carries its recorded error."""


class PermanentError(Exception):
    """Raised by an actor when trying again is pointless: the job is dead-lettered at once, with this text."""


class LeaseLost(Interrupt):
    """The job no longer belongs to this run: another worker may have started it. Stop, write nothing."""

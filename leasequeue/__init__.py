"""A durable dramatiq broker on Postgres: leases instead of locks, one statement for each end of a run.

It knows nothing of the application around it. Lift this folder into any dramatiq project::

    broker = LeaseBroker(url="postgresql://...", schema="dramatiq")
    dramatiq.set_broker(broker)
"""

from . import supported  # noqa: F401  # first: it says what is wrong in words
from .broker import LeaseBroker, send_many
from .errors import (
    AccessDenied,
    DatabaseUnavailable,
    JobDied,
    LeaseLost,
    MessageRefused,
    MessageTooLarge,
    NoTransaction,
    PermanentError,
    QueueError,
    SchemaMismatch,
    SchemaMissing,
    ServerTooOld,
    WrongDatabase,
)
from .lease import Death, Lease, current_lease
from .middleware import LeaseTracking, Retries
from .policy import Policy
from .slots import MachineSlots, Slots
from .transaction import Transaction

__all__ = [
    "AccessDenied",
    "DatabaseUnavailable",
    "Death",
    "JobDied",
    "Lease",
    "LeaseBroker",
    "LeaseLost",
    "LeaseTracking",
    "MachineSlots",
    "MessageRefused",
    "MessageTooLarge",
    "NoTransaction",
    "PermanentError",
    "Policy",
    "QueueError",
    "Retries",
    "SchemaMismatch",
    "SchemaMissing",
    "ServerTooOld",
    "Slots",
    "Transaction",
    "WrongDatabase",
    "current_lease",
    "send_many",
]

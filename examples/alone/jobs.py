"""Two actors that have nothing to do with each other, on one Postgres and nothing else. ``dramatiq jobs`` runs them."""

from __future__ import annotations

import os

import dramatiq
from dramatiq.middleware import GroupCallbacks
from dramatiq.rate_limits import ConcurrentRateLimiter, WindowRateLimiter

from leasequeue import LeaseBroker, PermanentError, Policy
from leasequeue.limits import PostgresLimits

broker = LeaseBroker(
    url=os.environ["DATABASE_URL"],
    schema="jobs",
    policy=Policy(max_retries=2, min_backoff=0.1, max_backoff=0.1, poll_interval=0.5),
)
limits = PostgresLimits(broker)
broker.add_middleware(GroupCallbacks(limits))  # type: ignore[no-untyped-call]
dramatiq.set_broker(broker)

#: One customer is charged by one job at a time, on whatever machine.
one_charge_at_a_time = ConcurrentRateLimiter(limits, "charge", limit=1, ttl=60_000)
#: Mails in an hour.
mails = WindowRateLimiter(limits, "mails", limit=5, window=3600)


@dramatiq.actor(store_results=True)
def count_words(text: str) -> int:
    """The number of words in a text."""
    return len(text.split())


@dramatiq.actor(queue_name="money", store_results=True)
def charge(cents: int) -> str:
    """Take money. Refuses for good what makes no sense, and lets the rest wait for its turn by being retried."""
    if cents <= 0:
        raise PermanentError(f"expected an amount above 0, got: {cents}")
    with one_charge_at_a_time.acquire():
        return f"charged {cents / 100:.2f}"


@dramatiq.actor(store_results=True)
def add(first: int, second: int) -> int:
    """A second step of a pipeline: what the one before returned is its first argument."""
    return first + second


@dramatiq.actor(store_results=True)
def send_mail(subject: str) -> bool:
    """Whether it went out: only so many do in an hour."""
    with mails.acquire(raise_on_failure=False) as may_go:
        return bool(may_go)

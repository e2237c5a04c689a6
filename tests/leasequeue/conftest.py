"""A broker on a fresh database, and workers in this process that are stopped whatever the test does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import callers
import dramatiq
import pytest
from dramatiq import Worker
from sql_access import Sql

from leasequeue import LeaseBroker, Policy

#: What the fixture ``stored`` is.
Stored = Callable[[], list[int]]

#: As in production, but an idle worker looks more often: no test waits for a poll.
POLICY = Policy(poll_interval=0.05)


@pytest.fixture
def make_broker(database: str) -> Iterator[Callable[..., LeaseBroker]]:
    """Makes brokers on this test's database; they are closed behind it."""
    with ExitStack() as opened:

        def make(**options: Any) -> LeaseBroker:
            options.setdefault("policy", POLICY)
            broker = LeaseBroker(url=options.pop("url", database), **options)
            opened.callback(broker.close)
            return broker

        yield make


@pytest.fixture
def broker(make_broker: Callable[..., LeaseBroker]) -> LeaseBroker:
    return make_broker()


@pytest.fixture
def start_worker() -> Iterator[Callable[..., Worker]]:
    """Starts workers in this process."""
    with ExitStack() as running:

        def start(broker: LeaseBroker, threads: int = 2) -> Worker:
            worker = Worker(broker, worker_timeout=50, worker_threads=threads)
            worker.start()
            running.callback(worker.stop)
            return worker

        yield start


@pytest.fixture
def actor(broker: LeaseBroker) -> Any:
    """Takes a number."""

    @dramatiq.actor(broker=broker, actor_name="remember")
    def remember(number: int) -> int:
        return number

    return remember


@pytest.fixture
def one(database: str) -> Iterator[callers.Caller]:
    """A caller where the driver makes no difference."""
    with callers.opened("psycopg2", database) as opened:
        yield opened


@pytest.fixture
def stored(sql: Sql) -> Stored:
    """The numbers that were sent and are visible to others, in the order in which they will run."""
    return lambda: [
        number
        for (number,) in sql("SELECT (message -> 'args' ->> 0)::int FROM dramatiq.queue ORDER BY available_at, 1")
    ]

"""A broker on a fresh database, and workers in this process that are stopped whatever the test does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from dramatiq import Worker

from leasequeue import LeaseBroker, Policy

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

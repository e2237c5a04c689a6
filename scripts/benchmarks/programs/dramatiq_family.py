"""Contenders that are brokers of dramatiq: the same actors, the same worker, the same middleware."""

from __future__ import annotations

import argparse
from abc import abstractmethod
from typing import Any

import dramatiq
from dramatiq.middleware import Callbacks, Middleware, Pipelines, Retries, ShutdownNotifications, TimeLimit

from benchmarks.programs.contract import PADDING, Program

#: The queue that all measures use.
QUEUE = "bench"


def middleware() -> list[Middleware]:
    """What each broker runs with, so that a difference between two of them is a difference between brokers."""
    kinds: list[Any] = [TimeLimit, ShutdownNotifications, Callbacks, Pipelines, Retries]
    return [kind() for kind in kinds]


class DramatiqProgram(Program):
    """A program on a dramatiq broker."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self.broker = self.make_broker()
        dramatiq.set_broker(self.broker)
        self.actor = self._declare("job", QUEUE)
        for number in range(1, options.queues):
            self._declare(f"job_{number}", f"{QUEUE}-{number}")

    @abstractmethod
    def make_broker(self) -> Any:
        """The broker under test. It opens no session before it is used."""

    def send(self, sent_at: int) -> None:
        self.actor.send(sent_at, PADDING)

    def work(self) -> None:
        dramatiq.Worker(self.broker, worker_threads=self.options.threads).start()

    def _declare(self, name: str, queue_name: str) -> Any:
        def job(sent_at: int, padding: str) -> None:
            self.ran(sent_at)

        return dramatiq.actor(job, actor_name=name, queue_name=queue_name, broker=self.broker)

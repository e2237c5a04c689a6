"""dramatiq's broker in memory: what dramatiq itself can run. Nothing survives the process."""

from __future__ import annotations

from typing import Any

from dramatiq.brokers.stub import StubBroker

from benchmarks.programs.contract import main
from benchmarks.programs.dramatiq_family import DramatiqProgram, middleware


class Stub(DramatiqProgram):
    """Its jobs must be put by the process that runs them."""

    def make_broker(self) -> Any:
        return StubBroker(middleware=middleware())

    def install(self) -> None:
        """There is no database."""

    def send_paced(self, count: int, pause: float) -> None:
        self.work()
        super().send_paced(count, pause)

    def prepare(self) -> None:
        if self.options.mode == "work":
            self.send_many(self.options.jobs)


if __name__ == "__main__":
    main(Stub)

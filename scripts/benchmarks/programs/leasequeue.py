"""This product's broker, as it is by default."""

from __future__ import annotations

from benchmarks.programs.contract import PADDING, main
from benchmarks.programs.dramatiq_family import DramatiqProgram
from leasequeue import LeaseBroker
from leasequeue.migrations import migrate


class LeaseQueue(DramatiqProgram):
    """Its own default middleware is that of the others with its own retries, plus the tracking of leases."""

    def make_broker(self) -> LeaseBroker:
        return LeaseBroker(url=self.url, sender_sessions=self.options.callers)

    def install(self) -> None:
        migrate(self.url, schema="dramatiq")

    def send_many(self, count: int) -> None:
        self.broker.enqueue_many([self.actor.message(0, PADDING) for _ in range(count)])


if __name__ == "__main__":
    main(LeaseQueue)

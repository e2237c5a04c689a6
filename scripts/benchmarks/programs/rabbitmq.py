"""dramatiq's broker on RabbitMQ, with the confirmation of each send that makes it durable."""

from __future__ import annotations

from typing import Any

from dramatiq.brokers.rabbitmq import RabbitmqBroker

from benchmarks.programs.contract import main
from benchmarks.programs.dramatiq_family import QUEUE, DramatiqProgram, middleware


class Rabbit(DramatiqProgram):
    """Putting is not measured, and so not confirmed."""

    def make_broker(self) -> Any:
        return RabbitmqBroker(url=self.url, confirm_delivery=self.options.mode != "put", middleware=middleware())

    def install(self) -> None:
        self.broker.flush(QUEUE)


if __name__ == "__main__":
    main(Rabbit)

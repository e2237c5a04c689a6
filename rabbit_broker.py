"""The actors on RabbitMQ, for more jobs than one Postgres carries: what `broker.py` makes when BROKER_URL names one.

The jobs, their budgets of errors and their dead letters are the same. What only the queue on Postgres has (leases, the
caller's transaction, health, the commands of `indexq` about the queue) is refused by name here, never pretended.
Needs the extra ``rabbitmq``. docs/scale-out.md tells what is lost.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
import traceback
from typing import Any

import pika
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.errors import Retry
from dramatiq.middleware import (
    AgeLimit,
    Callbacks,
    CurrentMessage,
    Middleware,
    Pipelines,
    Retries,
    ShutdownNotifications,
    TimeLimit,
)

from leasequeue import PermanentError, Policy
from settings import SettingsError

#: Seconds for a session with RabbitMQ when nothing is sent but the question is whether there is one.
ASK_SECONDS = 2.0

#: Seconds between two looks of a worker process at whether its master lives.
MASTER_LOOK_SECONDS = 1.0

#: Frames of a traceback that travel with a retried message.
TRACEBACK_FRAMES = 30


class NeedsPostgres(SettingsError, AttributeError):
    """Something was asked for that RabbitMQ cannot do. An AttributeError as well: whoever asks whether it is there."""

    def __init__(self, what: str) -> None:
        super().__init__(
            [
                f"expected the queue to be on Postgres for this (it asks for {what!r}), got: BROKER_URL names RabbitMQ"
                "; unset BROKER_URL, or use RabbitMQ's own tools (docs/scale-out.md)"
            ]
        )


class RabbitBroker(RabbitmqBroker):
    """dramatiq's broker on RabbitMQ with this product's policy. ``send()`` returns when RabbitMQ has confirmed the job.

    Parameters:
      url: amqp:// or amqps://.
      policy: its budget of errors, delays, time limit and age; leases and crashes have no counterpart in RabbitMQ.
    """

    #: As of the queue on Postgres: its switch is refused together with this broker.
    is_claiming = True

    def __init__(self, *, url: str, policy: Policy) -> None:
        self._url = url
        # As dramatiq's command does: what fails is raised, and pika would tell it in ten lines more.
        logging.getLogger("pika").setLevel(logging.CRITICAL)
        super().__init__(  # type: ignore[no-untyped-call]
            url=url,
            confirm_delivery=True,
            middleware=[
                AgeLimit(max_age=int(policy.expire_after * 1000) if policy.expire_after else None),
                TimeLimit(time_limit=int(policy.time_limit * 1000)),
                ShutdownNotifications(),
                CurrentMessage(),
                Callbacks(),
                Pipelines(),
                ExactRetries(  # type: ignore[no-untyped-call]
                    max_retries=policy.max_retries,
                    min_backoff=int(policy.min_backoff * 1000),
                    max_backoff=int(policy.max_backoff * 1000),
                ),
                OptionsOfPostgres(),
                QueuesDeclared(),
                LeavesWithMaster(),
            ],
        )

    def __getattr__(self, name: str) -> Any:
        raise NeedsPostgres(name)

    def hold_lease(self, cursor: Any) -> None:
        """Nothing: there is no lease. A job that is delivered again may meet its first run; both write the same."""

    def migrate(self) -> list[Any]:
        """Make sure that RabbitMQ can be reached; its queues are declared as they are used.

        Raises:
          SettingsError: it cannot.
        """
        trouble = self._trouble()
        if trouble is not None:
            advice = "correct it, or start the server"
            raise SettingsError([f"expected BROKER_URL to open a session with RabbitMQ, got: {trouble}; {advice}"])
        return []

    def is_healthy(self) -> bool:
        """Whether RabbitMQ can be reached. Never raises."""
        return self._trouble() is None

    def _trouble(self) -> str | None:
        parameters = pika.URLParameters(self._url)
        parameters.connection_attempts = 1
        parameters.socket_timeout = parameters.stack_timeout = parameters.blocked_connection_timeout = ASK_SECONDS
        try:
            pika.BlockingConnection(parameters).close()
        except (pika.exceptions.AMQPError, OSError) as error:
            return type(error).__name__  # its text may hold the URL
        return None


class ExactRetries(Retries):
    """dramatiq's retries with exact delays, as on Postgres: ``min(min_backoff * 2 ** (n - 1), max_backoff)``.

    A :class:`PermanentError` is not tried again.
    """

    def after_process_message(
        self, broker: Any, message: Any, *, result: object = None, exception: BaseException | None = None
    ) -> None:
        if exception is None:
            return
        actor = broker.get_actor(message.actor_name)
        throws = message.options.get("throws") or actor.options.get("throws")
        failed_before = message.options.get("retries", 0)
        max_retries = message.options.get("max_retries", actor.options.get("max_retries", self.max_retries))
        is_permanent = isinstance(exception, PermanentError) or bool(throws and isinstance(exception, throws))
        if is_permanent or (max_retries is not None and failed_before >= max_retries):
            self.logger.warning(
                "job_dead job_id=%s queue=%s reason=%s",
                message.message_id,
                message.queue_name,
                "permanent" if is_permanent else "retries_exhausted",
            )
            message.fail()
            return
        message.options["retries"] = failed_before + 1
        message.options["traceback"] = traceback.format_exc(limit=TRACEBACK_FRAMES)
        message.options["requeue_timestamp"] = int(time.time() * 1000)
        delay = min(self.min_backoff * 2 ** min(failed_before, 32), self.max_backoff)
        if isinstance(exception, Retry) and exception.delay is not None:
            delay = exception.delay
        self.logger.info(
            "job_retried job_id=%s queue=%s error_count=%d in_seconds=%g",
            message.message_id,
            message.queue_name,
            failed_before + 1,
            delay / 1000,
        )
        broker.enqueue(message, delay=delay)


class QueuesDeclared(Middleware):
    """Makes the queues before the first consumer asks for one, which otherwise fails and tries again 3 s later."""

    def before_worker_boot(self, broker: Any, worker: Any) -> None:
        for queue_name in broker.get_declared_queues():
            broker.declare_queue(queue_name, ensure=True)


class LeavesWithMaster(Middleware):
    """Drains a worker process whose dramatiq master is gone: nobody else would ever end it."""

    def after_process_boot(self, broker: Any) -> None:
        threading.Thread(target=self._watch, args=(os.getppid(),), name="rabbit master", daemon=True).start()

    def _watch(self, master: int) -> None:
        while os.getppid() == master:
            time.sleep(MASTER_LOOK_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)


class OptionsOfPostgres(Middleware):
    """Admits the options of actors that mean something on Postgres only: no result is stored, no job merged here."""

    @property
    def actor_options(self) -> set[str]:
        return {"store_results", "result_ttl", "key", "fairness_key"}

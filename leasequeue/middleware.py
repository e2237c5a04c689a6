"""How dramatiq's events reach the leases: where runs begin and end, and what a failed run leads to."""

from __future__ import annotations

import logging
import time
import traceback
from typing import TYPE_CHECKING, Any

import dramatiq.middleware
from dramatiq.errors import ConnectionError, Retry
from dramatiq.middleware import Middleware, MiddlewareError, Shutdown, SkipMessage
from dramatiq.results import Results

from . import lease as leases
from . import signals
from .errors import LeaseLost, PermanentError
from .interruption import run_is_over
from .lease import Dead, HandBack, LeasedMessage, describe, readable

if TYPE_CHECKING:
    from dramatiq.worker import Worker

    from .broker import LeaseBroker

#: Frames of a traceback that are kept.
TRACEBACK_FRAMES = 30


class BootFailed(MiddlewareError, ConnectionError):
    """A worker process cannot begin. By its two bases it passes dramatiq's hooks and ends dramatiq with code 3."""

    def __init__(self, message: str) -> None:
        super().__init__(message)  # type: ignore[no-untyped-call]


class LeaseTracking(Middleware):
    """Opens and closes the worker's session and tells each lease when its run begins and how it ends.

    It stands first in the list: the first to see a run begin and the last to see it end.
    """

    @property
    def actor_options(self) -> set[str]:
        return {"max_age", "key", "fairness_key"}

    def before_worker_boot(self, broker: LeaseBroker, worker: Worker) -> None:
        try:
            broker.open_session(worker)
        except Exception as error:
            raise BootFailed(f"The worker cannot start: {error}") from error
        signals.drain_on_termination(broker.stop_claiming, drain=broker.policy.drain)

    def before_worker_shutdown(self, broker: LeaseBroker, worker: Worker) -> None:
        broker.begin_drain()

    def after_worker_shutdown(self, broker: LeaseBroker, worker: Worker) -> None:
        broker.close_session()

    def before_process_message(self, broker: LeaseBroker, message: LeasedMessage) -> None:
        lease = message.lease
        leases.enter(lease)
        actor = broker.actors.get(message.actor_name)
        limit = message.options.get("time_limit") or (actor.options.get("time_limit") if actor else None)
        lease.limit = limit / 1000 if limit else broker.policy.time_limit
        if lease.lost or not broker.session_started(lease):
            lease.outcome = HandBack()
            raise SkipMessage("The job could not be begun; it goes back, or belongs to another by now.")
        if lease.expired:
            message.fail()  # type: ignore[no-untyped-call]
            lease.outcome = Dead(
                "expired",
                "not finished within the time it had; it was not started again",
                counts_as_error=False,
            )
            raise SkipMessage("The job's time is over.")

    def after_process_message(
        self,
        broker: LeaseBroker,
        message: LeasedMessage,
        *,
        result: object = None,
        exception: BaseException | None = None,
    ) -> None:
        run_is_over(message.lease)
        leases.leave()
        if isinstance(exception, Shutdown | LeaseLost):
            # Not the job's fault, whatever other middleware made of it.
            message.failed = False
            message.lease.outcome = HandBack()

    def after_skip_message(self, broker: LeaseBroker, message: LeasedMessage) -> None:
        run_is_over(message.lease)
        leases.leave()

    def before_nack(self, broker: LeaseBroker, message: LeasedMessage) -> None:
        # dramatiq stores the exception as a result behind the nack; here it must be part of that one write.
        for middleware in broker.middleware:
            if isinstance(middleware, Results):
                middleware.after_nack(broker, message)


class Retries(dramatiq.middleware.Retries):
    """dramatiq's retries with exact delays, the queue's own count of errors, and a reason when it gives up.

    The pause before retry n is ``min(min_backoff * 2 ** (n - 1), max_backoff)`` milliseconds, without jitter: an
    operator can say when a job will run again. All options of dramatiq's middleware are honoured.
    """

    def __init__(self, *, max_retries: int, min_backoff: int, max_backoff: int, **options: Any) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            max_retries=max_retries, min_backoff=min_backoff, max_backoff=max_backoff, **options
        )
        self.logger = logging.getLogger("leasequeue.retries")

    def after_process_message(
        self,
        broker: LeaseBroker,
        message: LeasedMessage,
        *,
        result: object = None,
        exception: BaseException | None = None,
    ) -> None:
        if exception is None or isinstance(exception, Shutdown | LeaseLost):
            return
        actor = broker.get_actor(message.actor_name)  # type: ignore[no-untyped-call]
        text = traceback.format_exc(limit=TRACEBACK_FRAMES)
        throws = message.options.get("throws") or actor.options.get("throws")
        if isinstance(exception, PermanentError) or (throws and isinstance(exception, throws)):
            self._give_up(message, Dead("permanent", describe(exception, text)))
            return

        failed_before = message.lease.errors
        max_retries = message.options.get("max_retries", actor.options.get("max_retries", self.max_retries))
        retry_when = actor.options.get("retry_when", self.retry_when)
        if retry_when is not None:
            again = retry_when(failed_before, exception)
        else:
            again = max_retries is None or failed_before < max_retries
        if not again:
            self._give_up(message, Dead("retries_exhausted", describe(exception, text)))
            self._tell_exhausted(broker, actor, message, failed_before, max_retries)
            return

        message.options["retries"] = failed_before + 1
        message.options["traceback"] = readable(text)
        message.options["requeue_timestamp"] = int(time.time() * 1000)
        delay = self._delay(actor, message, failed_before, exception)
        self.logger.info(
            "job_retried job_id=%s queue=%s error_count=%d in_seconds=%g error=%s",
            message.message_id,
            message.queue_name,
            failed_before + 1,
            delay / 1000,
            describe(exception).splitlines()[0],
        )
        broker.enqueue(message, delay=delay)

    def _delay(self, actor: Any, message: LeasedMessage, failed_before: int, exception: BaseException) -> int:
        if isinstance(exception, Retry) and exception.delay is not None:
            return int(exception.delay)
        shortest = message.options.get("min_backoff", actor.options.get("min_backoff", self.min_backoff))
        longest = message.options.get("max_backoff", actor.options.get("max_backoff", self.max_backoff))
        longest = min(longest, dramatiq.middleware.retries.DEFAULT_MAX_BACKOFF)
        return int(min(shortest * 2 ** min(failed_before, 32), longest))

    def _give_up(self, message: LeasedMessage, death: Dead) -> None:
        self.logger.warning(
            "job_dead job_id=%s queue=%s reason=%s error=%s",
            message.message_id,
            message.queue_name,
            death.reason,
            (death.error or "").splitlines()[0],
        )
        message.lease.outcome = death
        message.fail()  # type: ignore[no-untyped-call]

    def _tell_exhausted(
        self,
        broker: LeaseBroker,
        actor: Any,
        message: LeasedMessage,
        failed_before: int,
        max_retries: int | None,
    ) -> None:
        name = message.options.get("on_retry_exhausted") or actor.options.get("on_retry_exhausted")
        if name:
            target = broker.get_actor(name)  # type: ignore[no-untyped-call]
            target.send(message.asdict(), {"retries": failed_before, "max_retries": max_retries})

"""Where dramatiq's events become log lines: its processes in our form, and each run with what it is about."""

from __future__ import annotations

import inspect
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from dramatiq.actor import Actor
from dramatiq.middleware import Interrupt, Middleware

from leasequeue import LeaseBroker
from leasequeue.lease import LeasedMessage
from leasequeue.meter import OUTCOMES

from .lines import bind, unbind

log = logging.getLogger("indexq.jobs")


class StructuredLogs(Middleware):
    """Configures the logs of dramatiq's worker processes: only there does dramatiq call this hook."""

    def __init__(self, configure: Callable[[], None]) -> None:
        self._configure = configure

    def after_process_boot(self, broker: LeaseBroker) -> None:
        self._configure()


class LoggedJobs(Middleware):
    """One line when a run begins and one when it ends; its arguments of these names on every line in between.

    Stands right behind :class:`leasequeue.LeaseTracking`: what other middleware writes about a run is about it, too.
    """

    def __init__(self, argument_names: Sequence[str]) -> None:
        self._argument_names = argument_names
        #: What the calling thread runs.
        self._run = threading.local()

    def before_process_message(self, broker: LeaseBroker, message: LeasedMessage) -> None:
        self._run.started_at = time.monotonic()
        bind({"actor": message.actor_name, **self._facts(broker.actors.get(message.actor_name), message)})
        log.info("job_started")

    def after_process_message(
        self,
        broker: LeaseBroker,
        message: LeasedMessage,
        *,
        result: object = None,
        exception: BaseException | None = None,
    ) -> None:
        seconds = time.monotonic() - self._run.started_at
        log.info("job_finished outcome=%s seconds=%.3f", _outcome(message, exception), seconds)
        unbind()

    def after_skip_message(self, broker: LeaseBroker, message: LeasedMessage) -> None:
        unbind()

    def _facts(self, actor: Actor[..., Any] | None, message: LeasedMessage) -> dict[str, Any]:
        if actor is None:
            return {}
        try:
            given = inspect.signature(actor.fn).bind_partial(*message.args, **message.kwargs).arguments
        except TypeError:  # not what the actor takes: its run will say so
            given = dict(message.kwargs)
        return {name: given[name] for name in self._argument_names if name in given}


def _outcome(message: Any, exception: BaseException | None) -> str:
    if not isinstance(message, LeasedMessage):  # of another broker than ours, which decides and tells later
        return "dead" if message.failed else "done" if exception is None else "retry"
    decided = message.lease.outcome
    return (
        "handed_back" if isinstance(exception, Interrupt) and decided is None else OUTCOMES.get(type(decided), "done")
    )

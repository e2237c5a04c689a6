"""Spans for OpenTelemetry: one where a job is sent, one for each run of it, linked to the former through the message.

Needs ``opentelemetry-api``; nobody else here imports this. Names and attributes follow the conventions for messaging.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from dramatiq.middleware import Interrupt, Middleware
from opentelemetry import context, propagate, trace
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode

from .lease import LeasedMessage, current_lease
from .meter import OUTCOMES

if TYPE_CHECKING:
    from dramatiq.message import Message

    from .broker import LeaseBroker

#: Where a message carries the context of the span in which it was sent: the headers of W3C Trace Context.
OPTION = "trace_context"

#: ``messaging.system``.
SYSTEM = "leasequeue"

#: Sends that are under way. One that fails is never heard of again; the oldest of so many is taken for such a one.
SENDS_LIMIT = 10_000


class Tracing(Middleware):
    """Stands right behind :class:`.LeaseTracking`: what other middleware and the actor do belongs to the run's span.

    Parameters:
      provider: whose tracer is used; None: the global one, also when it is set later.
    """

    def __init__(self, provider: trace.TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer("leasequeue", tracer_provider=provider)
        self._sends: OrderedDict[str, Span] = OrderedDict()
        self._lock = threading.Lock()
        self._run = threading.local()

    def before_enqueue(self, broker: LeaseBroker, message: Message[Any], delay: int | None) -> None:
        if _is_retry(message):
            return  # it keeps the context in which it was sent first
        span = self._tracer.start_span(
            f"send {message.queue_name}", kind=SpanKind.PRODUCER, attributes=_attributes("send", message)
        )
        headers: dict[str, str] = {}
        propagate.inject(headers, trace.set_span_in_context(span))
        if headers:
            message.options[OPTION] = headers
        with self._lock:
            self._sends[message.message_id] = span
            lost = self._sends.popitem(last=False)[1] if len(self._sends) > SENDS_LIMIT else None
        if lost is not None:
            lost.set_status(Status(StatusCode.ERROR, "not stored"))
            lost.end()

    def after_enqueue(self, broker: LeaseBroker, message: Message[Any], delay: int | None) -> None:
        if _is_retry(message):
            return
        with self._lock:
            span = self._sends.pop(message.message_id, None)
        if span is not None:
            span.end()

    def before_process_message(self, broker: LeaseBroker, message: LeasedMessage) -> None:
        headers = message.options.get(OPTION)
        sent_in = propagate.extract(headers if isinstance(headers, dict) else {}, context.Context())
        sender = trace.get_current_span(sent_in).get_span_context()
        span = self._tracer.start_span(
            f"process {message.queue_name}",
            # Of the same trace, since each job has one sender; and linked, as the conventions have it.
            context=sent_in,
            kind=SpanKind.CONSUMER,
            links=[Link(sender)] if sender.is_valid else [],
            attributes={**_attributes("process", message), "leasequeue.attempt": message.lease.attempt},
        )
        self._run.span = span
        self._run.token = context.attach(trace.set_span_in_context(span))

    def after_process_message(
        self,
        broker: LeaseBroker,
        message: LeasedMessage,
        *,
        result: object = None,
        exception: BaseException | None = None,
    ) -> None:
        span: Span | None = getattr(self._run, "span", None)
        if span is None:
            return
        self._run.span = None
        context.detach(self._run.token)
        handed_back = isinstance(exception, Interrupt) and message.lease.outcome is None
        outcome = "handed_back" if handed_back else OUTCOMES.get(type(message.lease.outcome), "done")
        span.set_attribute("leasequeue.outcome", outcome)
        if exception is not None and not handed_back:
            span.set_attribute("error.type", type(exception).__qualname__)
            span.record_exception(exception)
            span.set_status(Status(StatusCode.ERROR))
        span.end()

    def after_skip_message(self, broker: LeaseBroker, message: LeasedMessage) -> None:
        self.after_process_message(broker, message)


def _is_retry(message: Message[Any]) -> bool:
    running = current_lease()
    return running is not None and running.message_id == message.message_id


def _attributes(operation: str, message: Any) -> dict[str, str]:
    return {
        "messaging.system": SYSTEM,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": message.queue_name,
        "messaging.message.id": message.message_id,
        "leasequeue.actor": message.actor_name,
    }

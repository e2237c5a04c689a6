"""Spans of a job, from where it is sent to the end of its last run, on a real queue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dramatiq
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from waiting import wait_until

from leasequeue import LeaseBroker, LeaseTracking, Policy
from leasequeue.tracing import Tracing


@pytest.fixture
def traced(make_broker: Callable[..., LeaseBroker]) -> tuple[LeaseBroker, InMemorySpanExporter, TracerProvider]:
    """A broker, what it exported, and its provider."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    broker = make_broker(policy=Policy(poll_interval=0.05, min_backoff=0.01, max_backoff=0.01, max_retries=1))
    broker.add_middleware(Tracing(provider), after=LeaseTracking)  # type: ignore[no-untyped-call]
    return broker, exporter, provider


def spans(exporter: InMemorySpanExporter, kind: SpanKind) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.kind is kind]


def test_each_run_is_linked_to_the_send_and_what_the_actor_does_belongs_to_it(
    traced: tuple[LeaseBroker, InMemorySpanExporter, TracerProvider], start_worker: Callable[..., dramatiq.Worker]
) -> None:
    broker, exporter, provider = traced
    seen: list[Any] = []

    def work() -> None:
        seen.append(trace.get_current_span().get_span_context().span_id)
        if len(seen) == 1:
            raise RuntimeError("once")

    actor = dramatiq.actor(work, broker=broker, actor_name="work")
    with provider.get_tracer("api").start_as_current_span("POST /index") as request:
        message = actor.send()
    start_worker(broker)
    wait_until(lambda: len(spans(exporter, SpanKind.CONSUMER)) == 2, 10, "not both runs have a span")

    (sent,) = spans(exporter, SpanKind.PRODUCER)  # the retry is no send
    first, second = spans(exporter, SpanKind.CONSUMER)
    assert sent.parent is not None
    assert sent.parent.span_id == request.get_span_context().span_id
    for run, attempt in ((first, 1), (second, 2)):
        assert run.context.trace_id == sent.context.trace_id
        assert [link.context.span_id for link in run.links] == [sent.context.span_id]
        assert (
            dict(run.attributes or {}).items()
            >= {
                "messaging.system": "leasequeue",
                "messaging.operation.type": "process",
                "messaging.destination.name": "default",
                "messaging.message.id": message.message_id,
                "leasequeue.actor": "work",
                "leasequeue.attempt": attempt,
            }.items()
        )
    assert (sent.name, first.name) == ("send default", "process default")
    assert seen == [first.context.span_id, second.context.span_id]
    assert (first.attributes or {})["leasequeue.outcome"] == "retry"
    assert (first.attributes or {})["error.type"] == "RuntimeError"
    assert first.status.status_code is StatusCode.ERROR
    assert (second.attributes or {})["leasequeue.outcome"] == "done"
    assert second.status.status_code is StatusCode.UNSET


def test_jobs_of_others_and_broken_contexts_have_a_span_without_a_link(
    traced: tuple[LeaseBroker, InMemorySpanExporter, TracerProvider],
    start_worker: Callable[..., dramatiq.Worker],
    sql: Any,
) -> None:
    broker, exporter, _ = traced
    actor = dramatiq.actor(lambda: None, broker=broker, actor_name="nothing")
    for _ in range(2):
        actor.send()
    sql("UPDATE dramatiq.queue SET message = message #- '{options,trace_context}' WHERE ctid = '(0,1)'")
    sql("UPDATE dramatiq.queue SET message = jsonb_set(message, '{options,trace_context}', '7') WHERE ctid = '(0,2)'")
    start_worker(broker)
    wait_until(lambda: len(spans(exporter, SpanKind.CONSUMER)) == 2, 10, "no spans")
    assert [len(run.links) for run in spans(exporter, SpanKind.CONSUMER)] == [0, 0]

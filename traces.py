"""Traces of this product's worker processes, sent to an OpenTelemetry collector. An API configures its own.

Needs the extra ``tracing``. OpenTelemetry's own variables say where traces go: ``OTEL_EXPORTER_OTLP_ENDPOINT`` first.
"""

from __future__ import annotations

from typing import Any

from dramatiq.middleware import Middleware

from leasequeue import LeaseBroker, LeaseTracking
from settings import SettingsError

#: ``service.name`` unless OTEL_SERVICE_NAME has another one.
SERVICE_NAME = "indexq"

#: Milliseconds for the last spans of a process to be sent.
FLUSH_WITHIN = 5_000


class ExportedTraces(Middleware):
    """Begins to export when a worker process has booted: what exports is a thread, which no fork takes along."""

    def __init__(self) -> None:
        self._provider: Any = None

    def after_process_boot(self, broker: LeaseBroker) -> None:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        service = Resource.create()
        if str(service.attributes.get("service.name", "")).startswith("unknown_service"):
            service = service.merge(Resource({"service.name": SERVICE_NAME}))
        self._provider = TracerProvider(resource=service)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        trace.set_tracer_provider(self._provider)

    def after_worker_shutdown(self, broker: LeaseBroker, worker: Any) -> None:
        if self._provider is not None:
            self._provider.force_flush(FLUSH_WITHIN)


def add_tracing(broker: LeaseBroker) -> None:
    """Make spans for what passes through a broker. Raises SettingsError when the extra is not installed."""
    try:
        import opentelemetry.exporter.otlp.proto.http  # noqa: F401  # which brings the SDK: found now, not at the first job

        from leasequeue.tracing import Tracing
    except ImportError as error:
        problem = f"expected TRACING=1 to find OpenTelemetry, got: {error}; install it: pip install 'indexq[tracing]'"
        raise SettingsError([problem]) from None
    broker.add_middleware(Tracing(), after=LeaseTracking)  # type: ignore[no-untyped-call]
    broker.add_middleware(ExportedTraces())  # type: ignore[no-untyped-call]

"""Spans through OpenTelemetry: our own provider, an exporter, and attributes that were allowed.

Nothing is registered globally, so that no other library's spans leave by this exporter, and no
resource is detected: the host's name would be in it. Imported only while traces are on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter
from opentelemetry.trace import Status, StatusCode, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ophora_privacy.watch.fields import Value, allowed

_TIMEOUT_S = 5.0
_PREFIX = "ophora."
_PROPAGATOR = TraceContextTextMapPropagator()


class OtelTraces:
    """`Traces` of one process, under the name `service`."""

    def __init__(self, processor: SpanProcessor, service: str) -> None:
        self._provider = TracerProvider(resource=Resource({SERVICE_NAME: service}))
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("ophora")

    @contextmanager
    def open(self, name: str, fields: Mapping[str, Value], parent: str) -> Iterator[None]:
        """Without OpenTelemetry's own record of an exception, which holds its text."""
        context = _PROPAGATOR.extract({"traceparent": parent}, Context()) if parent else None
        with self._tracer.start_as_current_span(
            name,
            context=context,
            attributes={f"{_PREFIX}{key}": value for key, value in fields.items()},
            record_exception=False,
            set_status_on_exception=False,
        ) as opened:
            try:
                yield
            except BaseException as error:
                told = allowed({"error": type(error).__name__})
                opened.set_attribute(f"{_PREFIX}error", told["error"])
                opened.set_status(Status(StatusCode.ERROR))
                raise

    def carried(self) -> str:
        """As a W3C traceparent."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, set_span_in_context(get_current_span()))
        return carrier.get("traceparent", "")

    def close(self) -> None:
        """Hand over what is left, within seconds."""
        self._provider.shutdown()


def exporting_to(address: str, service: str) -> OtelTraces:
    """Spans to an OTLP collector over HTTP; no proxy of the environment, no redirect."""
    import requests
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    session = requests.Session()
    session.trust_env = False
    exporter = OTLPSpanExporter(endpoint=address, timeout=_TIMEOUT_S, session=session)
    return OtelTraces(BatchSpanProcessor(exporter), service)


def kept_in(exporter: SpanExporter, service: str) -> OtelTraces:
    """Spans to an exporter of the caller's, each as it ends."""
    return OtelTraces(SimpleSpanProcessor(exporter), service)

"""Spans in OpenTelemetry, sent to an OTLP receiver. Imported only while tracing is on.

The names are those of OpenTelemetry's semantic conventions for HTTP and messaging. A span holds no header, query, body,
SQL or text of an error: these may be personal, and traces are read by more people than the database.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from threading import Thread

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    Span,
    SpanKind,
    StatusCode,
    format_trace_id,
    get_current_span,
    use_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers
from starlette.types import Scope

from orderops.service.inbox import Message
from orderops.service.logs import trace_id
from orderops.service.settings import Settings
from orderops.service.tracing import DeliverySpans, RequestSpan, Tracing, current

log = logging.getLogger(__name__)

# Seconds: the library's own 10 and 30 would hold up the end of a process whose receiver hangs.
EXPORT_SECONDS, STOP_SECONDS = 2.0, 1.0
# Characters of tracestate that are passed on, the least that W3C Trace Context (3.3.1.5) wants. It travels with each
# message, and in its dead letter, which holds 1,000 characters of an attribute.
LONGEST_STATE = 512
# Any other method of a client would be a name of its own in the tracing system (semantic conventions for HTTP).
_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})


class RecordedTracing(Tracing):
    """Tracing whose spans are sent to a receiver by a thread of its own, from a bounded queue."""

    def __init__(self, settings: Settings, exporter: SpanExporter | None = None) -> None:
        """Read the rest of the settings from the OTEL_ variables. Raises ValueError if one of them is not valid."""
        # Each batch that is not sent would be an error with a traceback: see ReportedExporter.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        own = {
            "service.name": settings.service,
            "service.version": settings.release,
            "deployment.environment.name": settings.environment,
        }
        resource = Resource.create(own).merge(OTELResourceDetector().detect())
        # By default every trace, except those whose traceparent says that it is not sampled.
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(ReportedExporter(exporter or _exporter())))
        self._tracer = self._provider.get_tracer("orderops.service")
        self._propagator = TraceContextTextMapPropagator()
        queue = settings.queue_url.rstrip("/").rpartition("/")[2]
        self._process, self._send = f"process {queue}", f"send {queue}"
        self._messaging = {"messaging.system": "aws_sqs", "messaging.destination.name": queue}

    @contextmanager
    def request(self, scope: Scope) -> Iterator[RequestSpan]:
        """Trace a request, as part of the trace that its headers name."""
        if scope["path"] == "/health":
            # The balancer's health checks every few seconds would be most of the traces.
            yield RequestSpan()
            return
        headers = Headers(scope=scope)
        # Several traceparent headers are none; several of tracestate are one list (W3C Trace Context, 3.2 and 3.3).
        parents, states = headers.getlist("traceparent"), headers.getlist("tracestate")
        carrier = {"traceparent": parents[0]} if len(parents) == 1 else {}
        if len(state := ",".join(states)) <= LONGEST_STATE:
            carrier["tracestate"] = state
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        attributes = {"http.request.method": method, "url.scheme": scope["scheme"]}
        parent = self._propagator.extract(carrier, Context())
        with self._started(_method_name(method), SpanKind.SERVER, attributes, parent) as span:
            token = trace_id.set(_trace_id(span))
            try:
                with self._as_current():
                    yield _RecordedRequest(span, method)
            finally:
                trace_id.reset(token)

    @contextmanager
    def sending(self) -> Iterator[dict[str, str]]:
        """Trace the sending of a message, and yield the attributes that carry the trace to its receiver."""
        attributes = self._messaging_of("send")
        with self._started(self._send, SpanKind.PRODUCER, attributes) as span:
            carrier: dict[str, str] = {}
            self._propagator.inject(carrier)
            try:
                yield carrier
            except Exception as error:
                _fail(span, type(error).__name__)
                raise

    @contextmanager
    def delivery(self, messages: Sequence[Message]) -> Iterator[DeliverySpans]:
        """Trace the messages of one receive, each in its own trace; several have a span of their batch, too.

        The batch belongs to no one trace. It is a trace of its own, with a link to each message.
        """
        contexts = [self._propagator.extract(message.trace_context, Context()) for message in messages]
        batch = self._batch(contexts)
        links = [Link(batch.get_span_context())] if batch else []
        spans = {}
        for message, context in zip(messages, contexts, strict=True):
            attributes = {**self._messaging_of("process"), "messaging.message.id": message.id}
            spans[message.receipt] = self._tracer.start_span(
                self._process, context, SpanKind.CONSUMER, attributes, links=links
            )
        delivery = _RecordedDelivery(messages, spans)
        # What orders share, such as their transaction, is part of no one trace of them.
        shared = batch or (next(iter(spans.values())) if len(spans) == 1 else INVALID_SPAN)
        within = use_span(shared, record_exception=False, set_status_on_exception=False)
        try:
            with within, self._as_current():
                yield delivery
        finally:
            for message in delivery.messages:
                delivery.end(message)
            if batch:
                batch.end()

    @contextmanager
    def asking(self, server: str) -> Iterator[None]:
        """Trace a question to the `primary` or a `replica` of the database, as part of what is traced now."""
        if not get_current_span().get_span_context().is_valid:
            yield
            return
        attributes: dict[str, str | int] = {"db.system.name": "postgresql", "orderops.database.server": server}
        with self._started("postgresql", SpanKind.CLIENT, attributes) as span:
            try:
                yield
            except Exception as error:
                _fail(span, type(error).__name__)
                raise

    @contextmanager
    def _as_current(self) -> Iterator[None]:
        token = current.set(self)
        try:
            yield
        finally:
            current.reset(token)

    def stop(self) -> None:
        """Send what is left, for a second at most."""
        # A daemon, since the library waits for a receiver that hangs longer than the process has left.
        stopping = Thread(target=self._provider.shutdown, name="tracing-stop", daemon=True)
        stopping.start()
        stopping.join(STOP_SECONDS)

    def _messaging_of(self, operation: str) -> dict[str, str | int]:
        return {**self._messaging, "messaging.operation.type": operation, "messaging.operation.name": operation}

    def _batch(self, contexts: Sequence[Context]) -> Span | None:
        """Start the span of several messages; None if no message of them is sampled."""
        parents = [get_current_span(context).get_span_context() for context in contexts]
        known = [parent for parent in parents if parent.is_valid]
        unwanted = len(known) == len(parents) and not any(parent.trace_flags.sampled for parent in known)
        if len(contexts) < 2 or unwanted:
            return None
        attributes = {**self._messaging_of("process"), "messaging.batch.message_count": len(contexts)}
        links = [Link(parent) for parent in known]
        return self._tracer.start_span(self._process, Context(), SpanKind.CONSUMER, attributes, links=links)

    @contextmanager
    def _started(
        self, name: str, kind: SpanKind, attributes: dict[str, str | int], parent: Context | None = None
    ) -> Iterator[Span]:
        # The text of an exception may hold values of a statement, so it is in the log alone.
        with self._tracer.start_as_current_span(
            name, parent, kind, attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            yield span


class _RecordedRequest(RequestSpan):
    """Span of a request."""

    def __init__(self, span: Span, method: str) -> None:
        self._span = span
        self._method = method
        self.trace_id = _trace_id(span)

    def answered(self, scope: Scope, status: int) -> None:
        """Record route and status, and the path if it was found: any other may hold anything."""
        if route := _route(scope):
            self._span.update_name(f"{_method_name(self._method)} {route}")
            self._span.set_attribute("http.route", route)
            if 200 <= status < 300:
                self._span.set_attribute("url.path", scope["path"])
        if status:
            self._span.set_attribute("http.response.status_code", status)
        if status >= 500 or not status:
            _fail(self._span, str(status or "no_response"))


class _RecordedDelivery(DeliverySpans):
    """Spans of the messages of one receive."""

    def __init__(self, messages: Sequence[Message], spans: dict[str, Span]) -> None:
        super().__init__([replace(message, trace_id=_trace_id(spans[message.receipt])) for message in messages])
        self._spans = spans

    def failed(self, message: Message, reason: str) -> None:
        """Record why the order of a message was not written. The reason must be one of a few, without values."""
        if span := self._spans.get(message.receipt):
            _fail(span, reason)

    def end(self, message: Message) -> None:
        """End the span of a message."""
        if span := self._spans.pop(message.receipt, None):
            span.end()


class ReportedExporter(SpanExporter):
    """Exporter that logs when its receiver stops taking spans and when it takes them again, and not each batch."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans. Raises nothing."""
        try:
            result = self._exporter.export(spans)
        except Exception as error:
            log.debug("spans are not sent: %s", type(error).__name__)
            result = SpanExportResult.FAILURE
        failing = result is not SpanExportResult.SUCCESS
        if failing and not self._failing:
            log.warning("spans are lost: the receiver at OTEL_EXPORTER_OTLP_ENDPOINT does not take them")
        elif self._failing and not failing:
            log.info("the receiver takes spans again")
        self._failing = failing
        return result

    def shutdown(self) -> None:
        """End the attempt that is under way."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Return whether everything is sent."""
        return self._exporter.force_flush(timeout_millis)


def _exporter() -> SpanExporter:
    named = "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"
    return OTLPSpanExporter(timeout=None if any(os.environ.get(name) for name in named) else EXPORT_SECONDS)


def _route(scope: Scope) -> str:
    """Return the pattern that the path of a request matched, such as /orders/{id}; empty if there is none."""
    if "endpoint" not in scope:
        return ""
    route = str(scope["path"])
    for name, value in scope.get("path_params", {}).items():
        route = route.removesuffix(str(value)) + f"{{{name}}}"
    return route


def _method_name(method: str) -> str:
    return "HTTP" if method == "_OTHER" else method


def _fail(span: Span, error_type: str) -> None:
    span.set_status(StatusCode.ERROR)
    span.set_attribute("error.type", error_type)


def _trace_id(span: Span) -> str:
    return format_trace_id(span.get_span_context().trace_id)

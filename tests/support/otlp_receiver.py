"""A receiver of traces: OTLP over HTTP, with the body in protobuf."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class ReceivedSpan:
    """Span as a tracing system sees it."""

    raw: Span

    @property
    def name(self) -> str:
        return self.raw.name

    @property
    def kind(self) -> str:
        return str(Span.SpanKind.Name(self.raw.kind)).removeprefix("SPAN_KIND_")

    @property
    def trace(self) -> str:
        return self.raw.trace_id.hex()

    @property
    def id(self) -> str:
        return self.raw.span_id.hex()

    @property
    def parent(self) -> str:
        return self.raw.parent_span_id.hex()

    @property
    def links(self) -> set[tuple[str, str]]:
        """Trace and span of each link."""
        return {(link.trace_id.hex(), link.span_id.hex()) for link in self.raw.links}

    @property
    def attributes(self) -> dict[str, Any]:
        return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "") for pair in self.raw.attributes}

    @property
    def failed(self) -> bool:
        return self.raw.status.code == 2


@dataclass
class OtlpReceiver:
    """What was received at a URL. While `hung` is set, no request is answered."""

    url: str = ""
    requests: list[ExportTraceServiceRequest] = field(default_factory=list)
    hung: bool = False
    arrived: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def spans(self) -> list[ReceivedSpan]:
        """Return all spans so far."""
        groups = [group for request in list(self.requests) for group in request.resource_spans]
        return [ReceivedSpan(span) for group in groups for scope in group.scope_spans for span in scope.spans]

    def resource(self) -> dict[str, str]:
        """Return what the first spans say of their sender."""
        attributes = self.requests[0].resource_spans[0].resource.attributes
        return {pair.key: pair.value.string_value for pair in attributes}


@contextmanager
def otlp_receiver() -> Iterator[OtlpReceiver]:
    receiver = OtlpReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            receiver.arrived.set()
            if receiver.hung:
                receiver.released.wait()
                return
            right = (self.path, self.headers["Content-Type"]) == ("/v1/traces", "application/x-protobuf")
            if right:
                receiver.requests.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200 if right else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    serving.start()
    try:
        yield receiver
    finally:
        receiver.released.set()
        server.shutdown()
        server.server_close()

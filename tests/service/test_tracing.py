"""Traces over OTLP; names and attributes are those of OpenTelemetry's semantic conventions and of W3C Trace Context."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from orderops.service.logs import JsonLines
from orderops.service.settings import Settings, WrongSettings, read_settings
from orderops.service.spans import RecordedTracing
from orderops.service.tracing import Tracing
from orderops.service.tracing_setup import open_tracing
from support.fake_queue import URL, FakeQueue
from support.order_app import VARIABLES, OrderApp
from support.order_database import OrderDatabase, placed
from support.otlp_receiver import OtlpReceiver, ReceivedSpan, otlp_receiver
from support.service_process import Start, World, until

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with otlp_receiver() as running:
        yield running


@pytest.fixture
def settings(receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> Settings:
    # The library reads its variables itself.
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    return read_settings({**VARIABLES, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "ORDEROPS_RELEASE": "1.4.0"})


@pytest.fixture
def app(settings: Settings, orders: OrderDatabase) -> Iterator[OrderApp]:
    tracing = open_tracing(settings)
    assert isinstance(tracing, RecordedTracing)
    yield OrderApp(orders, tracing=tracing)
    tracing.stop()


@pytest.fixture
def spans(app: OrderApp, receiver: OtlpReceiver) -> Callable[[], dict[str, list[ReceivedSpan]]]:
    """End tracing and return the spans that arrived, by name."""

    def ended() -> dict[str, list[ReceivedSpan]]:
        app.tracing.stop()
        by_name: dict[str, list[ReceivedSpan]] = {}
        for span in receiver.spans():
            by_name.setdefault(span.name, []).append(span)
        return by_name

    return ended


Spans = Callable[[], dict[str, list[ReceivedSpan]]]


def send(queue: FakeQueue, traceparent: str | None, number: int = 1) -> None:
    value = {"DataType": "String", "StringValue": traceparent}
    queue.send_message(URL, placed(f"key-{number}").message(), {"traceparent": value} if traceparent else {})


def test_request_message_and_consumer_are_spans_of_the_trace_of_the_client(
    app: OrderApp, receiver: OtlpReceiver, spans: Spans
) -> None:
    answer = app.place(traceparent=SAMPLED, tracestate="vendor=1")
    (message,) = app.queue.messages
    app.deliver()

    found = spans()

    (request,), (sent,), (processed,) = found["POST /orders"], found["send orders"], found["process orders"]
    assert {request.trace, sent.trace, processed.trace} == {answer.headers["x-trace-id"]} == {TRACE}
    assert (request.parent, sent.parent, processed.parent) == (PARENT, request.id, sent.id)
    assert (request.kind, sent.kind, processed.kind) == ("SERVER", "PRODUCER", "CONSUMER")
    assert message.attributes["traceparent"]["StringValue"] == f"00-{TRACE}-{sent.id}-01"
    assert message.attributes["tracestate"]["StringValue"] == "vendor=1"
    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": "/orders",
        "url.path": "/orders",
        "url.scheme": "http",
        "http.response.status_code": 202,
    }
    assert processed.attributes == {
        "messaging.system": "aws_sqs",
        "messaging.destination.name": "orders",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.message.id": message.id,
    }
    assert receiver.resource().items() >= {
        ("service.name", "order-processor"),
        ("service.version", "1.4.0"),
        ("deployment.environment.name", "test"),
    }


def test_questions_to_the_database_are_spans_of_the_request_and_of_the_message(app: OrderApp, spans: Spans) -> None:
    order = app.place(traceparent=SAMPLED).json()["id"]
    app.deliver()
    app.get(f"/orders/{order}", traceparent=SAMPLED)

    found = spans()

    (processed,) = found["process orders"]
    (request,) = found["GET /orders/{id}"]
    parents = [span.parent for span in found["postgresql"]]
    assert {span.trace for span in found["postgresql"]} == {TRACE}
    assert parents.count(processed.id) >= 1
    assert parents.count(request.id) >= 1
    for span in found["postgresql"]:
        assert span.kind == "CLIENT"
        assert span.attributes == {"db.system.name": "postgresql", "orderops.database.server": "primary"}


def test_a_transaction_of_several_orders_is_a_span_of_their_batch(app: OrderApp, spans: Spans) -> None:
    for number in range(3):
        app.place(key=f"key-{number}")
    app.deliver()

    found = spans()

    (batch,) = [span for span in found["process orders"] if "messaging.batch.message_count" in span.attributes]
    assert batch.id in {span.parent for span in found["postgresql"]}


def test_a_question_that_fails_says_which_sort_of_failure_and_no_text_of_it(app: OrderApp, spans: Spans) -> None:
    with app.database.session() as session:
        session.execute("ALTER TABLE orders RENAME TO away")
        session.commit()
        try:
            status = app.get("/orders/00000000-0000-4000-8000-000000000000").status_code
        finally:
            session.execute("ALTER TABLE away RENAME TO orders")

    asked = [span for span in spans()["postgresql"] if "error.type" in span.attributes]
    assert status == 503
    assert asked
    for span in asked:
        assert span.attributes.keys() == {"db.system.name", "orderops.database.server", "error.type"}
        assert re.fullmatch("[A-Za-z]+", str(span.attributes["error.type"]))


def test_what_is_asked_outside_of_requests_and_messages_is_no_trace(app: OrderApp, spans: Spans) -> None:
    app.database.store.check()

    assert "postgresql" not in spans()


def test_messages_received_together_stay_in_their_traces_and_their_batch_links_to_them(
    app: OrderApp, spans: Spans
) -> None:
    traces = {app.place(key=f"key-{number}").headers["x-trace-id"] for number in range(10)}
    app.deliver()

    found = spans()

    (batch,) = [span for span in found["process orders"] if "messaging.batch.message_count" in span.attributes]
    processed = [span for span in found["process orders"] if span is not batch]
    sent = {(span.trace, span.id) for span in found["send orders"]}
    assert len(traces) == 10
    assert {(span.trace, span.parent) for span in processed} == sent == batch.links
    assert {trace for trace, _ in sent} == traces
    assert batch.trace not in traces
    assert batch.parent == ""
    assert batch.attributes["messaging.batch.message_count"] == 10
    assert all(span.links == {(batch.trace, batch.id)} for span in processed)


@pytest.mark.parametrize(
    "traceparent",
    [
        None,
        "none",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "\x00" * 20,
    ],
)
def test_a_message_without_a_valid_trace_is_written_in_a_trace_of_its_own(
    app: OrderApp, spans: Spans, traceparent: str | None
) -> None:
    send(app.queue, traceparent)

    app.deliver()

    assert app.queue.empty
    assert app.queue.dead == []
    (processed,) = spans()["process orders"]
    assert processed.trace not in (TRACE, "0" * 32)
    assert processed.parent == ""
    assert not processed.failed


def test_an_attribute_of_another_type_is_no_trace(app: OrderApp, spans: Spans) -> None:
    binary = {"traceparent": {"DataType": "Binary", "BinaryValue": SAMPLED.encode()}}
    app.queue.send_message(URL, placed("key-1").message(), binary)

    app.deliver()

    assert app.queue.empty
    assert [span.parent for span in spans()["process orders"]] == [""]


@pytest.mark.parametrize("header", ["none", f"{SAMPLED}-more", SAMPLED.upper().replace("01", "0X")])
def test_a_request_with_a_malformed_traceparent_starts_a_trace(app: OrderApp, spans: Spans, header: str) -> None:
    answer = app.get("/version", traceparent=header)

    assert answer.status_code == 200
    (request,) = spans()["GET /version"]
    assert request.trace == answer.headers["x-trace-id"] != TRACE
    assert request.parent == ""


def test_a_trace_that_is_not_sampled_is_passed_on_and_not_sent(app: OrderApp, spans: Spans) -> None:
    answer = app.place(key="key-1", traceparent=UNSAMPLED)
    app.place(key="key-2", traceparent=UNSAMPLED)
    message = app.queue.messages[0]
    app.deliver()

    assert spans() == {}
    assert answer.headers["x-trace-id"] == TRACE
    assert re.fullmatch(f"00-{TRACE}-[0-9a-f]{{16}}-00", message.attributes["traceparent"]["StringValue"])


def test_health_checks_are_not_traced(app: OrderApp, spans: Spans) -> None:
    assert "x-trace-id" not in app.get("/health").headers
    assert spans() == {}


def test_no_span_holds_anything_personal(app: OrderApp, receiver: OtlpReceiver, spans: Spans) -> None:
    secrets = ["ann@example.com", "Bearer token-of-ann", "404404", "key-of-ann"]
    app.get("/orders/ann@example.com?name=ann@example.com", authorization="Bearer token-of-ann")
    app.get("/ann@example.com", user_agent="ann@example.com")
    app.place({"customer": 404404, "currency": "AUD", "items": [{"sku": "tea", "quantity": 1, "unit_price": 1}]})
    app.place(key="key-of-ann")
    app.deliver()

    found = spans()

    assert found.keys() == {
        "GET /orders/{id}",
        "GET",
        "POST /orders",
        "send orders",
        "process orders",
        "postgresql",
    }
    sent = "".join(str(request) for request in receiver.requests)
    assert [secret for secret in secrets if secret in sent] == []


def test_an_order_that_the_database_refuses_fails_its_span_and_keeps_its_trace(app: OrderApp, spans: Spans) -> None:
    order = {"customer": 404404, "currency": "AUD", "items": [{"sku": "tea", "quantity": 1, "unit_price": 1}]}
    trace = app.place(order).headers["x-trace-id"]
    app.deliver()

    found = spans()

    (processed,) = found["process orders"]
    assert processed.failed
    assert processed.attributes["error.type"] == "refused by the database"
    assert not found["POST /orders"][0].failed
    (dead,) = app.queue.dead
    # Without its flags: the library may set the one of W3C's level 2 that says that the id is random.
    assert dead.attributes["traceparent"]["StringValue"][:-2] == f"00-{trace}-{found['send orders'][0].id}-"


def test_a_request_that_cannot_be_served_fails_its_spans(app: OrderApp, spans: Spans) -> None:
    app.queue.refused["send_message"] = "InternalError"

    assert app.place().status_code == 503

    found = spans()
    (request,), (sent,) = found["POST /orders"], found["send orders"]
    assert (request.failed, request.attributes["error.type"]) == (True, "503")
    assert sent.failed
    # The text of an error may hold values.
    assert [(span.raw.status.message, list(span.raw.events)) for span in (request, sent)] == [("", []), ("", [])]


def test_log_lines_of_request_and_order_name_the_trace(app: OrderApp, caplog: pytest.LogCaptureFixture) -> None:
    lines: list[dict[str, object]] = []

    class Collecting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            # While the request runs, as the service writes its lines.
            lines.append(json.loads(JsonLines().format(record)))

    handler = Collecting()
    logging.getLogger("orderops.service").addHandler(handler)
    try:
        with caplog.at_level(logging.INFO, logger="orderops.service"):
            trace = app.place().headers["x-trace-id"]
            app.deliver()
    finally:
        logging.getLogger("orderops.service").removeHandler(handler)

    by_message = {str(line["message"]): line for line in lines}
    assert by_message["order accepted"]["trace_id"] == by_message["request"]["trace_id"] == trace
    assert [order["trace_id"] for order in by_message["orders written"]["orders"]] == [trace]  # type: ignore[attr-defined]


def test_without_tracing_a_message_has_no_attributes_and_an_answer_no_trace(orders: OrderDatabase) -> None:
    app = OrderApp(orders)

    answer = app.place(traceparent=SAMPLED)

    assert "x-trace-id" not in answer.headers
    assert [message.attributes for message in app.queue.messages] == [{}]


OFF: list[dict[str, str]] = [
    {},
    {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_SDK_DISABLED": "true"},
    {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_TRACES_EXPORTER": "none"},
]


@pytest.mark.parametrize("variables", OFF)
def test_tracing_is_off_without_a_receiver_and_where_its_variables_say_so(variables: dict[str, str]) -> None:
    assert type(open_tracing(read_settings({**VARIABLES, **variables}))) is Tracing


def test_a_process_without_tracing_does_not_load_opentelemetry() -> None:
    program = (
        "import sys, orderops.service.__main__ as service\n"
        f"service.open_tracing(service.read_settings({VARIABLES!r}))\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'google.protobuf', 'requests'))])"
    )

    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "[]"


def test_a_missing_library_is_one_line_in_the_log(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delitem(sys.modules, "orderops.service.spans")
    monkeypatch.setitem(sys.modules, "opentelemetry.context", None)

    assert type(open_tracing(settings)) is Tracing

    (record,) = caplog.records
    assert "pip install 'orderops[tracing]'" in record.getMessage()
    assert record.exc_info is None


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_BSP_MAX_QUEUE_SIZE"])
def test_a_variable_that_the_library_refuses_stops_no_service(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "-soon")

    open_tracing(settings).stop()


@pytest.mark.parametrize("value", ["localhost:4318", "grpc://localhost:4317", "http://"])
def test_a_receiver_that_is_no_url_is_refused_without_showing_it(value: str) -> None:
    with pytest.raises(WrongSettings) as refused:
        read_settings({**VARIABLES, "OTEL_EXPORTER_OTLP_ENDPOINT": value})

    assert refused.value.problems == [
        "OTEL_EXPORTER_OTLP_ENDPOINT must be the URL of an OTLP receiver, like http://localhost:4318"
    ]


def test_orders_are_written_and_the_process_ends_while_the_receiver_hangs(
    world: World, start: Start, receiver: OtlpReceiver
) -> None:
    receiver.hung = True
    service = start(
        ORDEROPS_ROLE="both",
        DRAIN_SECONDS="15",
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        OTEL_EXPORTER_OTLP_TIMEOUT="3600",
        OTEL_BSP_SCHEDULE_DELAY="50",
    )
    answer = service.place(key="key-1")
    until(receiver.arrived.is_set, "the receiver to hold a request")
    path = answer.headers["location"]
    until(lambda: service.get(path).json().get("status") == "processed", "the order to be written")

    # After the seconds of DRAIN_SECONDS, the process would end with 1.
    assert service.end() == 0

    written = [line for line in service.lines() if line["message"] == "orders written"]
    assert written[0]["orders"][0]["trace_id"] == answer.headers["x-trace-id"]


def test_a_process_sends_its_last_spans_at_its_end(start: Start, receiver: OtlpReceiver) -> None:
    service = start(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_BSP_SCHEDULE_DELAY="3600000")
    trace = service.get("/version").headers["x-trace-id"]
    assert receiver.spans() == []

    assert service.end() == 0

    # All but those of the health checks by which the test waited for the process.
    assert [(span.name, span.trace) for span in receiver.spans()] == [("GET /version", trace)]


def test_a_receiver_that_is_away_is_one_line_in_the_log(start: Start) -> None:
    service = start(
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1", OTEL_BSP_SCHEDULE_DELAY="20", OTEL_EXPORTER_OTLP_TIMEOUT="0.1"
    )
    lost = "spans are lost: the receiver at OTEL_EXPORTER_OTLP_ENDPOINT does not take them"
    assert service.get("/version").status_code == 200
    until(lambda: lost in service.log.read_text(), "the loss to be logged")
    assert service.get("/version").status_code == 200

    assert service.end() == 0

    assert [line["message"] for line in service.lines() if line["level"] != "INFO"] == [lost]

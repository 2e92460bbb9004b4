from __future__ import annotations

import json
import logging
import re
import sys
from typing import Any

import pytest

from orderops.service.logs import JsonLines
from support.service_process import Start, World, until


def test_a_request_logs_one_line(start: Start) -> None:
    service = start()
    service.get("/users?after=7", X_Request_Id="from-a-caller")
    service.get("/nowhere")
    service.get("/health")
    assert service.end() == 0

    requests = [line for line in service.lines() if line["message"] == "request"]

    assert [(line["method"], line["path"], line["status"]) for line in requests] == [
        ("GET", "/users", 200),
        ("GET", "/nowhere", 404),
    ]
    assert requests[0]["request_id"] == "from-a-caller"
    assert requests[0]["duration_ms"] > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", requests[0]["time"])
    assert all(line.keys() >= {"time", "level", "logger", "message"} for line in service.lines())


def test_health_checks_are_logged_at_debug_level_only(start: Start) -> None:
    service = start(LOG_LEVEL="debug")
    service.get("/health")

    assert any(line.get("path") == "/health" for line in service.lines())


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X_Request_Id": "abc-123"}, "abc-123"),
        ({"X_Amzn_Trace_Id": "Root=1-67891233-abcdef012345678912345678"}, "1-67891233-abcdef012345678912345678"),
        ({"X_Amzn_Trace_Id": "Self=1-2-3;Root=1-67891233-abc", "X_Request_Id": "mine"}, "1-67891233-abc"),
        ({"X_Request_Id": 'no"good'}, None),
        ({"X_Request_Id": "x" * 500}, None),
        ({}, None),
    ],
)
def test_a_valid_request_id_is_kept_and_another_replaced(
    start: Start, headers: dict[str, str], expected: str | None
) -> None:
    given = start().get("/version", **headers).headers["x-request-id"]

    assert given == expected if expected else re.fullmatch(r"[0-9a-f]{32}", given)


def test_the_callers_address_is_logged_from_the_header_of_the_api_and_from_nowhere_else(start: Start) -> None:
    service = start(CLIENT_ADDRESS_HEADER="X-Client-Ip")
    for headers in ({"X_Client_Ip": "203.0.113.7"}, {"X_Client_Ip": "no address"}, {"X_Forwarded_For": "203.0.113.9"}):
        service.get("/version", **headers)
    unaware = start()
    unaware.get("/version", X_Client_Ip="203.0.113.7")
    assert [service.end(), unaware.end()] == [0, 0]

    def clients(lines: list[dict[str, Any]]) -> list[str | None]:
        return [line.get("client") for line in lines if line["message"] == "request"]

    assert clients(service.lines()) == ["203.0.113.7", None, None]
    assert clients(unaware.lines()) == [None]


def test_no_log_line_contains_a_password(world: World, start: Start) -> None:
    service = start(LOG_LEVEL="DEBUG")
    service.get("/users")
    world.set_password_in_database("second-pw-of-this-test")
    world.end_sessions()
    until(lambda: service.get("/users").status_code == 503, "the old password to be rejected")
    world.set_password_in_secret("second-pw-of-this-test")
    until(lambda: service.get("/users").status_code == 200, "the new password to be read")
    assert service.end() == 0

    written = service.log.read_text()

    assert world.password not in written
    assert "second-pw-of-this-test" not in written
    assert service.lines()


def test_an_exception_is_logged_on_one_line() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        record = logging.LogRecord("a", logging.ERROR, "file", 1, "it broke", (), sys.exc_info())

    line = JsonLines().format(record)

    assert "\n" not in line
    assert "two\nlines" in json.loads(line)["exception"]

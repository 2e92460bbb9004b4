from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from support.service_process import WAIT_SECONDS, Start, World, until


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_sigterm_and_sigint_end_the_service_with_0_and_no_error(start: Start, number: int) -> None:
    service = start()
    service.get("/users")

    service.process.send_signal(number)

    assert service.process.wait() == 0
    assert {line["level"] for line in service.lines()} == {"INFO"}


def test_an_idle_connection_is_kept_for_the_seconds_that_the_variable_says(start: Start) -> None:
    # By default it would be kept for longer than this test waits.
    host, _, port = start(KEEP_ALIVE_SECONDS="1").url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=WAIT_SECONDS) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while piece := connection.recv(4096):
            answer += piece

    assert answer.startswith(b"HTTP/1.1 200 OK")


def test_a_taken_port_is_named(world: World, start: Start) -> None:
    port = start().url.rsplit(":", 1)[1]

    second = subprocess.run(
        [sys.executable, "-m", "orderops.service"],
        env={**world.environment(), "PORT": port},
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_SECONDS,
    )

    assert second.returncode == 1
    assert "address already in use" in second.stdout
    assert all(json.loads(line) for line in second.stdout.splitlines())


def test_an_open_request_is_finished_before_shutdown(world: World, start: Start) -> None:
    service = start()
    with ThreadPoolExecutor(1) as threads:
        with world.session() as session, session.transaction():
            session.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
            response = threads.submit(service.get, "/users")
            until(lambda: world.waiting_for_a_lock() == 1, "the request to wait for the table")
            service.process.send_signal(signal.SIGTERM)
            until(service.refuses, "the service to accept no new requests")
            assert service.process.exit_code is None

        assert response.result().status_code == 200
        assert len(response.result().json()["users"]) == 3
    assert service.process.wait() == 0
    assert world.sessions(world.name, world.name) == 0


def test_a_request_that_takes_too_long_is_abandoned_at_shutdown(world: World, start: Start) -> None:
    service = start(DRAIN_SECONDS="1")
    with ThreadPoolExecutor(1) as threads, world.session() as session, session.transaction():
        session.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        response = threads.submit(service.get, "/users")
        until(lambda: world.waiting_for_a_lock() == 1, "the request to wait for the table")

        service.process.send_signal(signal.SIGTERM)

        assert service.process.wait() == 1
        assert isinstance(response.exception(), httpx.TransportError)
    assert service.lines()[-1]["message"] == "shutdown timeout reached: abandoning open requests"

"""The command with which ECS checks a worker's container."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from orderops.local.ports import free_port
from orderops.service.probe import main


@contextmanager
def served(status: int) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("status", "code"), [(200, 0), (204, 1), (503, 1)])
def test_only_an_answer_of_200_is_healthy(status: int, code: int) -> None:
    with served(status) as port:
        assert main(["/health"], {"PORT": str(port)}) == code


def test_the_path_of_the_environment_file_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    with served(200) as port:
        assert main(["/alive"], {"PORT": str(port)}) == 1
    assert capsys.readouterr().err == "GET /alive: 404\n"


def test_a_process_that_does_not_listen_is_unhealthy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], {"PORT": str(free_port())}) == 1
    assert "refused" in capsys.readouterr().err


def test_a_port_that_is_no_number_is_unhealthy() -> None:
    assert main([], {"PORT": "http"}) == 1


def test_the_command_loads_none_of_the_services_libraries() -> None:
    names = ("boto3", "psycopg", "pydantic", "starlette", "uvicorn")
    code = f"import sys, orderops.service.probe; print([name for name in {names!r} if name in sys.modules])"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"

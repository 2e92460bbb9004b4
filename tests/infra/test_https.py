"""Asking a service by HTTPS, as status does: with the certificate checked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from orderops.infra.page import NoAnswer, ask_page
from orderops.infra.readiness import on_this_machine
from orderops.local.elb.authority import Authority


class Answer(BaseHTTPRequestHandler):
    """Answers every request."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """A server by HTTPS whose certificate is for orders.localhost."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        server.socket = Authority(tmp_path).context(["orders.localhost"]).wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_a_name_of_the_laptop_is_asked_here_and_its_authority_trusted(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDEROPS_LOCAL_DIRECTORY", str(tmp_path))

    answer = ask_page(f"https://orders.localhost:{port}", "/ready")

    assert (answer.status, answer.body, answer.detail) == (200, b"ok", "")
    assert on_this_machine(answer.url)


@pytest.mark.parametrize("host", ["orders.localhost", "localhost"])
def test_a_certificate_of_an_unknown_authority_is_not_accepted(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("ORDEROPS_LOCAL_DIRECTORY", str(tmp_path / "another"))

    answer = ask_page(f"https://{host}:{port}", "/ready")

    assert answer.missing is NoAnswer.UNREACHABLE
    assert answer.detail.startswith("the certificate is not accepted: self-signed certificate")


def test_a_certificate_for_another_name_is_not_accepted(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDEROPS_LOCAL_DIRECTORY", str(tmp_path))

    answer = ask_page(f"https://shop.localhost:{port}", "/ready")

    assert "the certificate is not accepted" in answer.detail

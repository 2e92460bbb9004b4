"""Domain names of APIs on the laptop: TLS, the API behind a name, and paths without a stage."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from orderops.local.apigateway.account import ServedApi
from orderops.local.apigateway.gateway import Gateways
from orderops.local.apigateway.names import NamePorts, ServedName
from orderops.local.elb.authority import Authority
from orderops.local.elb.firewall import Firewall
from orderops.local.ports import free_port
from support.gateway_routes import OPEN

NAME = "orders.localhost"


@pytest.fixture
def service() -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps([self.path, self.headers["Forwarded"]]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


Lead = Callable[[str], int]


@pytest.fixture
def lead(service: int, tmp_path: Path) -> Iterator[Lead]:
    """Lead the name to an API: "http" or "rest", or "" for none; return its port."""
    gateways = Gateways({"listener": service}.get, lambda *_: True, Firewall())
    names = NamePorts(Authority(tmp_path), gateways.app_of)
    port = free_port()
    http_api = ServedApi("http", "ap-southeast-2", free_port(), (OPEN,), "", "")
    rest_api = ServedApi("rest", "ap-southeast-2", free_port(), (OPEN,), "", "", "live")
    gateways.update([http_api, rest_api])

    def start(api: str) -> int:
        names.update([ServedName(NAME, port, (NAME, "shop.localhost"), api)])
        return port

    yield start
    names.close()
    gateways.close()


def ask(port: int, path: str, folder: Path, host: str = "") -> tuple[int, Any]:
    context = ssl.create_default_context(cafile=str(folder / "authority.pem"))
    connection = http.client.HTTPSConnection(NAME, port, timeout=5, context=context)
    # The certificate is checked for the name; not every resolver leads that to this machine.
    connection.sock = context.wrap_socket(socket.create_connection(("127.0.0.1", port), 5), server_hostname=NAME)
    connection.request("GET", path, headers={"Host": host or f"{NAME}:{port}"})
    response = connection.getresponse()
    with response:
        return response.status, json.loads(response.read())


@pytest.mark.parametrize("api", ["http", "rest"])
def test_a_path_under_a_name_has_no_stage(lead: Lead, tmp_path: Path, api: str) -> None:
    port = lead(api)

    status, (path, forwarded) = ask(port, "/version", tmp_path)

    assert (status, path) == (200, "/version")
    assert f"host={NAME}:{port};proto=https" in forwarded
    assert ask(port, "/live/version", tmp_path)[0] in (403, 404)


def test_another_host_and_a_name_without_a_mapping_are_forbidden(lead: Lead, tmp_path: Path) -> None:
    forbidden = (403, {"message": "Forbidden"})

    assert ask(lead("http"), "/version", tmp_path, host="evil.example:1") == forbidden
    assert ask(lead(""), "/version", tmp_path) == forbidden


def test_a_name_goes_over_to_another_api_without_a_new_port(lead: Lead, tmp_path: Path) -> None:
    port = lead("")
    assert ask(port, "/version", tmp_path)[0] == 403

    lead("rest")

    assert ask(port, "/version", tmp_path)[0] == 200

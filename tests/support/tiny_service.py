"""Minimal service: reports its process and environment, and misbehaves as MODE says."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODE = os.environ.get("MODE", "good")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/health":
            self._respond(500 if MODE == "sick" else 200, {})
        elif MODE == "rude":
            self.close_connection = True
        elif self.path.startswith("/slow"):
            time.sleep(1)
            self._respond(200, {"pid": os.getpid()})
        else:
            variables = {
                name: value for name, value in os.environ.items() if name.startswith(("AWS_", "SECRET", "NAME"))
            }
            self._respond(
                200, {"pid": os.getpid(), "headers": dict(self.headers), "environment": variables, "path": self.path}
            )

    def do_POST(self) -> None:
        self._respond(201, {"got": self.rfile.read(int(self.headers["Content-Length"])).decode()})

    def _respond(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    if MODE == "crash":
        sys.exit("crashed on purpose")
    if MODE == "job":
        sys.stdout.write(f"worked on {' '.join(sys.argv[1:])}\n")
        sys.exit(7)
    server = ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sys.stdout.write(f"tiny service {os.environ.get('NAME', '')} is up\n")
    server.serve_forever()


if __name__ == "__main__":
    main()

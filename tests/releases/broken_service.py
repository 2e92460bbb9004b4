"""A service that goes wrong in the way that MODE names, for releases that have to fail."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MODE = os.environ.get("MODE", "good")
VERSION = os.environ.get("ORDEROPS_VERSION", "")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/health":
            if MODE == "slow-health":
                time.sleep(60)
            self._answer(503 if MODE == "sick" else 200)
        elif self.path == "/version":
            version = "another" if MODE == "wrong-version" else VERSION
            self._answer(200, {"service": os.environ["ORDEROPS_SERVICE"], "version": version})
        elif self.path == "/ready":
            self._answer(503 if MODE == "unready" else 200, {"checks": {"database": {"ok": False, "detail": "away"}}})
        else:
            self._answer(500 if MODE == "errors" else 200)

    def _answer(self, status: int, document: object = None) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def end_together() -> None:
    """End eight seconds after the start, or with the first task that does: a look finds both ended, or none."""
    marker, began = Path(tempfile.gettempdir()) / f"orderops-late-{os.getppid()}", time.time()
    while not (marker.exists() and marker.stat().st_mtime > began):
        if time.time() - began > 8:
            marker.touch()
        time.sleep(0.002)
    os._exit(3)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    match MODE:
        case "exception":
            raise ValueError("no such colour: blue")
        case "import":
            __import__("no_such_module")
        case "segfault":
            signal.signal(signal.SIGSEGV, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGSEGV)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "sigterm":
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
        case "ends":
            sys.exit(0)
        case "exits":
            sys.exit("out of beans")
        case "memory":
            hoard = [bytearray(b"x" * 64 * 1024**2) for _ in range(12)]
            time.sleep(60)
            del hoard
        case "database-refused":
            import psycopg

            psycopg.connect("host=127.0.0.1 port=1 dbname=orders connect_timeout=2")
        case "connections":
            sys.exit("FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute")
        case "login":
            sys.exit('FATAL:  password authentication failed for user "orderops_service"')
        case "slow-start":
            time.sleep(300)
        case "late":
            threading.Thread(target=end_together, daemon=True).start()
    port = 0 if MODE == "port" else int(os.environ["PORT"])
    ThreadingHTTPServer((os.environ["HOST"], port), Handler).serve_forever()


if __name__ == "__main__":
    main()

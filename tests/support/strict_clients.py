"""boto3 clients of an emulator, over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import boto3

from orderops.local.emulator.server import Emulator
from support.shared_parts import share_parts

Client = Callable[[str], Any]
Refused = Callable[[str], AbstractContextManager[None]]


@contextmanager
def served(emulator: Emulator) -> Iterator[Client]:
    server = emulator.serve(0)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    share_parts()
    session = boto3.Session("testing", "testing", region_name="ap-southeast-2")
    url = f"http://127.0.0.1:{server.port}"
    try:
        yield lambda service: session.client(service, endpoint_url=url)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""The emulator with its admission, over HTTP in this process, and clients of it."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

from orderops.local.emulator.admission import Admission
from orderops.local.emulator.issued_keys import find_issued_key
from orderops.local.emulator.server import Emulator
from orderops.local.keys import AccessKey, find_task_key, new_key

REGION = "ap-southeast-2"
OPERATOR = new_key()


@dataclass
class Served:
    """Emulator with admission, over HTTP; `ahead` is what its clock is ahead of the clients'."""

    port: int = 0
    ahead: timedelta = timedelta()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def clock(self) -> float:
        return (datetime.now(UTC) + self.ahead).timestamp()

    def client(self, service: str, key: AccessKey = OPERATOR, **config: Any) -> Any:
        return _client(service, self.url, key, **config)

    def create_bucket(self) -> None:
        self.client("s3").create_bucket(Bucket="orders", CreateBucketConfiguration={"LocationConstraint": REGION})

    def send(
        self, method: str, path: str, headers: dict[str, str], body: bytes = b""
    ) -> tuple[int, dict[str, str], str]:
        """Send a request as it is; return status, headers and body of the response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": f"127.0.0.1:{self.port}", "Content-Length": str(len(body)), **headers}.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read().decode()


@cache
def _session() -> boto3.Session:
    return boto3.Session(region_name=REGION)


@cache
def _client(service: str, url: str, key: AccessKey, **config: Any) -> Any:
    return _session().client(
        service,
        endpoint_url=url,
        aws_access_key_id=key.id,
        aws_secret_access_key=key.secret,
        aws_session_token=key.token or None,
        config=Config(retries={"total_max_attempts": 1}, **config),
    )


def find_key(key_id: str) -> AccessKey | None:
    return OPERATOR if key_id == OPERATOR.id else find_task_key(OPERATOR, key_id) or find_issued_key(key_id)


@contextmanager
def guarded() -> Iterator[Served]:
    """Serve an emulator that accepts the key OPERATOR and those derived from it."""
    emulator, served = Emulator(), Served()
    http_server = emulator.serve(0)
    served.port = http_server.port
    emulator.admission = Admission(served.port, find_key, served.clock)
    thread = threading.Thread(target=http_server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield served
    http_server.shutdown()
    http_server.server_close()
    thread.join()

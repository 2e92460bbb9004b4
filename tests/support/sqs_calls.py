"""Calls of SQS in this process, without HTTP and with a clock that the test turns."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from moto.backends import get_backend

from orderops.local.emulator.protocol import Environ
from orderops.local.emulator.server import Emulator
from orderops.local.sqs.api import SqsMessages

REGION = "ap-southeast-2"
BEGIN = 1_700_000_000.0


class Clock:
    """Clock that only `sleep` moves."""

    def __init__(self) -> None:
        self.now = BEGIN

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class SqsRefusal(Exception):
    """Error of SQS: the code that boto3 shows, the message and the HTTP status."""

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status


class SqsCalls:
    """`sqs("SendMessage", QueueUrl=url, …)` returns SQS's answer or raises SqsRefusal."""

    def __init__(self, clock: Clock, path: Path | None = None) -> None:
        self.clock = clock
        self.emulator = Emulator()
        self.messages = SqsMessages(self.emulator, path, clock)

    def __call__(self, action: str, **parameters: Any) -> dict[str, Any]:
        return self.post(action, json.dumps(parameters).encode())

    def post(self, action: str, body: bytes, service: str = "sqs", target: str = "AmazonSQS") -> dict[str, Any]:
        """Send a body as it is."""
        response = self.emulator.answer(environ(action, body, service, target))
        document = json.loads(response.body or b"{}")
        if response.status >= 300:
            headers = {name.lower(): value for name, value in response.headers}
            code = headers.get("x-amzn-query-error", document["__type"]).partition(";")[0]
            raise SqsRefusal(code, document["message"], response.status)
        return dict(document)

    def create(self, name: str = "orders", **attributes: str) -> str:
        return str(self("CreateQueue", QueueName=name, Attributes=attributes)["QueueUrl"])

    def create_with_dead_letters(self, name: str = "orders", max_receives: int = 2) -> tuple[str, str]:
        """Create a queue and its dead-letter queue; return both URLs."""
        dead = self.create(f"{name}-dead")
        policy = {"deadLetterTargetArn": arn_of(f"{name}-dead"), "maxReceiveCount": max_receives}
        return self.create(name, RedrivePolicy=json.dumps(policy)), dead

    def send(self, url: str, body: str = "an order", **parameters: Any) -> dict[str, Any]:
        return self("SendMessage", QueueUrl=url, MessageBody=body, **parameters)

    def receive(self, url: str, **parameters: Any) -> list[dict[str, Any]]:
        answer = self("ReceiveMessage", QueueUrl=url, **{"MaxNumberOfMessages": 10, **parameters})
        return list(answer.get("Messages", []))

    def bodies(self, url: str, **parameters: Any) -> list[str]:
        return [message["Body"] for message in self.receive(url, **parameters)]

    def delete(self, url: str, message: dict[str, Any]) -> None:
        self("DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def hide(self, url: str, message: dict[str, Any], seconds: int) -> None:
        self(
            "ChangeMessageVisibility",
            QueueUrl=url,
            ReceiptHandle=message["ReceiptHandle"],
            VisibilityTimeout=seconds,
        )

    def counts(self, url: str) -> tuple[int, int, int]:
        """Return the numbers of visible, invisible and delayed messages."""
        names = [f"ApproximateNumberOfMessages{state}" for state in ("", "NotVisible", "Delayed")]
        attributes = self("GetQueueAttributes", QueueUrl=url, AttributeNames=names)["Attributes"]
        visible, invisible, delayed = (int(attributes[name]) for name in names)
        return visible, invisible, delayed


def arn_of(name: str) -> str:
    return f"arn:aws:sqs:{REGION}:123456789012:{name}"


def forget_queues() -> None:
    """Empty moto's SQS; the rest of the account stays."""
    for _, _, backend in get_backend("sqs").iter_backends():
        backend.reset()


def environ(action: str, body: bytes, service: str = "sqs", target: str = "AmazonSQS") -> Environ:
    return {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "HTTP_HOST": "localhost",
        "wsgi.url_scheme": "http",
        "HTTP_X_AMZ_TARGET": f"{target}.{action}" if target else "",
        "HTTP_AUTHORIZATION": f"AWS4-HMAC-SHA256 Credential=testing/20270115/{REGION}/{service}/aws4_request, "
        "SignedHeaders=host, Signature=0",
        "CONTENT_TYPE": "application/x-amz-json-1.0" if target else "application/x-www-form-urlencoded",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }

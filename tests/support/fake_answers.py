"""A boto3 session whose requests are answered from a list, and responses of AWS."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse

from orderops.aws.client import Aws

REGION = "ap-southeast-2"
ACCOUNT = (
    "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>123456789012</Account></GetCallerIdentityResult>"
    "</GetCallerIdentityResponse>"
)


class AnsweredSession:
    """Answers the requests of a session in order, and counts them. The last answer repeats."""

    def __init__(self, *answers: tuple[int, str]) -> None:
        self._answers = list(answers)
        self._lock = threading.Lock()
        self.sent = 0
        self.session = boto3.Session(region_name=REGION)
        self.session.events.register("before-send", self._answer)
        self.aws = Aws(REGION, session=self.session)

    def _answer(self, request: Any, **_: Any) -> AWSResponse:
        with self._lock:
            status, body = self._answers[min(self.sent, len(self._answers) - 1)]
            self.sent += 1
        return AWSResponse(request.url, status, {}, _Body(body.encode()))


class _Body(io.BytesIO):
    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


def error_response(status: int, code: str, message: str = "words") -> tuple[int, str]:
    """Return an error in the XML of AWS's query protocol."""
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
    return status, f"<ErrorResponse>{error}<RequestId>r-1</RequestId></ErrorResponse>"

"""A boto3 session whose requests are answered from a list, and the answers that AWS gives."""

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
    """Answers every request of a session by itself, and counts them; the last answer is given for ever."""

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


def refusal(status: int, code: str, text: str = "words") -> tuple[int, str]:
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{text}</Message></Error>"
    return status, f"<ErrorResponse>{error}<RequestId>r-1</RequestId></ErrorResponse>"

"""Faults on demand: what the world does to a run, done to the answers of a boto3 session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import boto3
from botocore.exceptions import ReadTimeoutError
from botocore.model import OperationModel
from moto.backends import get_backend

Fault = Callable[..., AbstractContextManager[None]]


def let_s3_age(seconds: float) -> None:
    """Time passes for what lies in S3, which tells by its own clock how old a lease is."""
    for _, _, backend in get_backend("s3").iter_backends():
        for bucket in backend.buckets.values():
            for key in bucket.keys.values():
                key.last_modified -= timedelta(seconds=seconds)


class PowerCut(BaseException):
    """The process dies here."""


@dataclass
class Faults:
    """Watches every answer of a session. Clients copy their session's handlers, so it is there from the start."""

    active: list[Callable[[str, str], None]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    def install(self, session: boto3.Session) -> None:
        """Watch this session, before its first client is made."""
        session.events.register("after-call", self._answered)

    def _answered(self, model: OperationModel, **_: Any) -> None:
        service, operation = str(model.service_model.service_name), str(model.name)
        self.calls.append(f"{service}.{operation}")
        for fault in tuple(self.active):
            fault(service, operation)

    @contextmanager
    def power_cut(self, service: str, *, after: int) -> Iterator[None]:
        """The process dies at every answer of that service after the nth."""
        answers = iter(range(10**6))

        def die(asked: str, operation: str) -> None:
            if asked == service and next(answers) >= after:
                raise PowerCut

        with self._while_active(die):
            yield

    @contextmanager
    def lose_answer(self, service: str, operation: str) -> Iterator[None]:
        """The next answer to that call is lost after it took effect."""
        left = [True]

        def drop(asked: str, called: str) -> None:
            if (asked, called) == (service, operation) and left:
                left.pop()
                raise ReadTimeoutError(endpoint_url="emulator")

        with self._while_active(drop):
            yield
        assert not left, f"{service}.{operation} was never called"

    @contextmanager
    def _while_active(self, fault: Callable[[str, str], None]) -> Iterator[None]:
        self.active.append(fault)
        try:
            yield
        finally:
            self.active.remove(fault)

"""Faults on demand: power cuts and lost answers, injected into a boto3 session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from time import sleep
from typing import Any

import boto3
from botocore.exceptions import ReadTimeoutError
from botocore.model import OperationModel
from moto.backends import get_backend

Fault = Callable[..., AbstractContextManager[None]]


def let_s3_age(seconds: float) -> None:
    """Make all S3 objects older: the age of a lease is measured by S3's clock."""
    for _, _, backend in get_backend("s3").iter_backends():
        for bucket in backend.buckets.values():
            for key in bucket.keys.values():
                key.last_modified -= timedelta(seconds=seconds)


class PowerCut(BaseException):
    """The process is killed at this point."""


@dataclass
class Faults:
    """Observes every answer of a session. Install it before the first client, which copies the session's handlers."""

    active: list[Callable[[str, str], None]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    def install(self, session: boto3.Session) -> None:
        """Observe this session. Call before its first client is created."""
        session.events.register("after-call", self._answered)

    def _answered(self, model: OperationModel, **_: Any) -> None:
        service, operation = str(model.service_model.service_name), str(model.name)
        self.calls.append(f"{service}.{operation}")
        for fault in tuple(self.active):
            fault(service, operation)

    @contextmanager
    def power_cut(self, service: str, *, after: int) -> Iterator[None]:
        """Kill the process at every answer of a service after the first `after`."""
        answers = iter(range(10**6))

        def die(called: str, operation: str) -> None:
            if called == service and next(answers) >= after:
                raise PowerCut

        with self._while_active(die):
            yield

    @contextmanager
    def lose_answer(self, service: str, operation: str) -> Iterator[None]:
        """Lose the next answer to a call that took effect."""
        left = [True]

        def drop(called: str, name: str) -> None:
            if (called, name) == (service, operation) and left:
                left.pop()
                raise ReadTimeoutError(endpoint_url="emulator")

        with self._while_active(drop):
            yield
        assert not left, f"{service}.{operation} was never called"

    @contextmanager
    def slow_answer(self, service: str, operation: str, *, seconds: float) -> Iterator[None]:
        """Delay the answers to a call."""

        def wait(called: str, name: str) -> None:
            if (called, name) == (service, operation):
                sleep(seconds)

        with self._while_active(wait):
            yield

    @contextmanager
    def _while_active(self, fault: Callable[[str, str], None]) -> Iterator[None]:
        self.active.append(fault)
        try:
            yield
        finally:
            self.active.remove(fault)

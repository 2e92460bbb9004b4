"""One boto3 session on the emulated AWS for all tests of a process; each test finds it as if it were new.

A session, its clients and AWS's models take longer to make than most tests take to run. The handlers that a test
registers, and the account that it fills, are forgotten at its end.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from functools import cache
from typing import Any

import boto3
import botocore.handlers
from botocore.hooks import EventAliaser, HierarchicalEmitter, first_non_none_response
from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.core.models import botocore_stubber

from orderops.aws.client import Aws
from support.call_checker import check_strictly
from support.shared_parts import share_parts

REGION = "ap-southeast-2"
EVENTS = ("provide-client-params", "before-parameter-build", "before-call", "after-call")
"""The events on which a test may register, in the order in which botocore emits them."""


_NO_HANDLERS = EventAliaser(HierarchicalEmitter())


class EmulatedSession(boto3.Session):  # type: ignore[misc]  # boto3 is read without types
    """A session whose handlers also reach clients made earlier; boto3's clients copy them when they are made."""

    _handlers: Any = None

    def __init__(self) -> None:
        share_parts()
        super().__init__("testing", "testing", region_name=REGION)
        check_strictly(self)
        for event in EVENTS:
            self.events.register(event, self._pass_on)
        self.forget_handlers()

    @property
    def events(self) -> Any:
        """The handlers of the test that runs; before the first one, those that clients copy."""
        return self._handlers or super().events

    def forget_handlers(self) -> None:
        # A copy knows the names of events that were worked out for tests before.
        self._handlers = copy(_NO_HANDLERS)

    def _pass_on(self, event_name: str, **parameters: Any) -> Any:
        return first_non_none_response(self._handlers.emit(event_name, **parameters))


@contextmanager
def emulated() -> Iterator[EmulatedSession]:
    """The session of this process, on an empty account."""
    session = _session()
    BackendDict.reset()
    botocore_stubber.enabled = True
    try:
        yield session
    finally:
        botocore_stubber.enabled = False
        session.forget_handlers()
        BackendDict.reset()
        reset_model_data()


def shared_aws() -> Aws:
    """AWS through the session of this process. Its clients are shared; what it remembers is not."""
    return copy(_aws())


@cache
def _session() -> EmulatedSession:
    return EmulatedSession()


@cache
def _aws() -> Aws:
    return Aws(REGION, session=_session())


_one_at_a_time = threading.RLock()


def _serialised(event_name: str, request: Any, **parameters: Any) -> Any:
    with _one_at_a_time:  # moto is not made for threads
        return botocore_stubber(event_name, request, **parameters)


botocore.handlers.BUILTIN_HANDLERS[:] = [
    (handler[0], _serialised, *handler[2:]) if handler[1] is botocore_stubber else handler
    for handler in botocore.handlers.BUILTIN_HANDLERS
]

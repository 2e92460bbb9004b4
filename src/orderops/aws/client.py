"""The one door to AWS: clients by name (`aws.sqs`), how often they try; each call is logged, each error explained.

Every failed call leaves here as an `AwsError`; nothing above this module knows botocore.
"""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from orderops.aws.call_log import Calls
from orderops.aws.diagnosis.permissions import decoded, encoded
from orderops.aws.translate import Sent, metadata_of, refusal, refuse_broken, translate_error
from orderops.errors import AwsError

if TYPE_CHECKING:
    import boto3

READ_ATTEMPTS = 5
READING = ("describe_", "list_", "get_", "head_", "batch_get_", "batch_check_", "lookup_", "filter_", "decode_")


class Aws:
    """AWS in one region: `aws.sqs.create_queue(...)`; services are named as boto3 names them, with underscores."""

    def __init__(
        self,
        region: str,
        *,
        endpoint_url: str | None = None,
        session: boto3.Session | None = None,
        environment: str = "",
    ) -> None:
        self.region = region
        self.environment = environment
        """Only named where a hint says what to type."""
        self._clients = _Clients(region, endpoint_url, session)
        self._attempts = READ_ATTEMPTS
        self._memory: dict[str, Future[Any]] | None = None
        self._guard: Callable[[], None] = _unguarded
        self._lock = threading.Lock()

    def __getattr__(self, service: str) -> AwsService:
        if service.startswith("__"):
            raise AttributeError(service)
        return AwsService(self, service.replace("_", "-"))

    @cached_property
    def once(self) -> Aws:
        """The same AWS through clients that never resend: a lost answer must not make a second thing."""
        view = self._view()
        view._attempts, view._memory = 1, None
        return view

    def remembering(self) -> Aws:
        """The same AWS, in which the same read is sent once: for the many listings of one survey. Forgets failures."""
        view = self._view()
        view._memory, view._lock = {}, threading.Lock()
        return view

    def guarded(self, guard: Callable[[], None]) -> Aws:
        """The same AWS, in which `guard` is asked before every call that is more than a read is sent or sent again.

        It raises to keep the call back.
        """
        view = self._view()
        view._guard = guard
        return view

    @property
    def account(self) -> str:
        """The account that these credentials open."""
        return str(self._identity["Account"])

    @property
    def caller(self) -> str:
        """The ARN of the user or role that these credentials are."""
        return str(self._identity["Arn"])

    @cached_property
    def _identity(self) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = self.sts.get_caller_identity()
        return answer

    def presigned(self, operation: str, *, seconds: int, **params: Any) -> str:
        """The address of one operation on S3, signed by these credentials for a while; nothing is sent."""
        return self._clients.presigned(operation, params, seconds)

    def endpoint(self, service: str) -> str:
        """Where a service is reached, for programs that ask it themselves."""
        return str(self._clients.get(service, self._attempts).meta.endpoint_url)

    def send(self, service: str, operation: str, params: Mapping[str, Any], *, pages: bool = False) -> Any:
        """Send one call, or all pages of it, and answer what AWS says; raises AwsError."""
        if self._memory is None:
            return self._send(service, operation, params, pages)
        key = json.dumps([service, operation, pages, params], sort_keys=True, default=str)
        with self._lock:
            known = self._memory.get(key)
            mine = known is None
            if known is None:
                known = self._memory[key] = Future()
        if mine:
            try:
                known.set_result(self._send(service, operation, params, pages))
            except BaseException as error:
                del self._memory[key]
                known.set_exception(error)
        return known.result()

    def _view(self) -> Aws:
        view = copy.copy(self)
        view.__dict__.pop("once", None)  # it is a view of this one, not of the copy
        return view

    def _send(self, service: str, operation: str, params: Mapping[str, Any], pages: bool) -> Any:
        with self._clients.guarded(_unguarded if operation.startswith(READING) else self._guard):
            return self._heard(service, operation, params, pages)

    def _heard(self, service: str, operation: str, params: Mapping[str, Any], pages: bool) -> Any:
        sent = Sent(service, operation, params, self.region, self.environment)
        log = Calls(sent.call, params)
        try:
            client = self._clients.get(service, self._attempts)
            answers = [log.answered(answer) for answer in _answers(client, operation, params, pages)]
        except Exception as error:
            refused = translate_error(sent, error)
            log.refused(refused.code if refused else type(error).__name__, str(error), metadata_of(error))
            if refused is None:
                raise
            raise self._decoded(sent, refused, error) from None
        return answers if pages else answers[0]

    def _decoded(self, sent: Sent, refused: AwsError, error: Exception) -> AwsError:
        """The same refusal with what EC2 encoded in it, where these credentials may have that decoded."""
        if sent.service == "sts" or not (blob := encoded(str(error))):
            return refused
        try:
            told = self.sts.decode_authorization_message(EncodedMessage=blob)["DecodedMessage"]
            return refusal(sent, refused.code, decoded(told), refused.meaning, request_id=refused.request_id)
        except (AwsError, KeyError, ValueError):
            return refused


@dataclass(frozen=True)
class AwsService:
    """One AWS service: its operations as attributes."""

    aws: Aws
    name: str

    def __getattr__(self, operation: str) -> Operation:
        if operation.startswith("__"):
            raise AttributeError(operation)
        return Operation(self.aws, self.name, operation)


@dataclass(frozen=True)
class Operation:
    """One operation, to be called with AWS's own parameters."""

    aws: Aws
    service: str
    operation: str

    def __call__(self, **params: Any) -> Any:
        return self.aws.send(self.service, self.operation, params)


def every(call: Operation, key: str, **params: Any) -> Iterator[Any]:
    """Everything under `key` on all pages of a listing."""
    for page in call.aws.send(call.service, call.operation, params, pages=True):
        yield from page.get(key) or ()


def if_found(call: Operation, *missing: str, **params: Any) -> Any | None:
    """The answer, or None when AWS says with one of the codes `missing` that there is none."""
    try:
        return call(**params)
    except AwsError as error:
        if error.code in missing:
            return None
        raise


def _answers(client: Any, operation: str, params: Mapping[str, Any], pages: bool) -> Iterator[Any]:
    if pages and client.can_paginate(operation):
        yield from client.get_paginator(operation).paginate(**params)
    else:
        yield getattr(client, operation)(**params)


def _unguarded() -> None:
    """Nothing keeps a call back."""


class _Clients:
    """boto3's clients, each made when first used; making one is not thread-safe in boto3, using it is."""

    def __init__(self, region: str, endpoint_url: str | None, session: boto3.Session | None) -> None:
        self._region = region
        self._endpoint_url = endpoint_url
        self._session = session
        self._made: dict[tuple[str, int], Any] = {}
        self._signer: Any = None
        self._lock = threading.Lock()
        self._thread = threading.local()

    @contextmanager
    def guarded(self, guard: Callable[[], None]) -> Iterator[None]:
        """Ask it before everything that this thread sends meanwhile."""
        before = getattr(self._thread, "guard", _unguarded)
        self._thread.guard = guard
        try:
            yield
        finally:
            self._thread.guard = before

    def get(self, service: str, attempts: int) -> Any:
        made = self._made.get((service, attempts))
        return made if made is not None else self._make(service, attempts)

    def presigned(self, operation: str, params: Mapping[str, Any], seconds: int) -> str:
        """A signature of version 4 for the host of the region: a bucket just made is not known at the global one."""
        from botocore.config import Config

        endpoint = str(self.get("s3", READ_ATTEMPTS).meta.endpoint_url)
        style = "virtual" if ".amazonaws.com" in endpoint else "path"
        config = Config(signature_version="s3v4", s3={"addressing_style": style})
        with self._lock:
            if self._signer is None and self._session:
                self._signer = self._session.client(
                    "s3", region_name=self._region, endpoint_url=self._endpoint_url, config=config
                )
        return str(self._signer.generate_presigned_url(operation, Params=dict(params), ExpiresIn=seconds))

    def _make(self, service: str, attempts: int) -> Any:
        import boto3
        from botocore.config import Config

        with self._lock:
            if (service, attempts) not in self._made:
                self._session = self._session or boto3.Session()
                config = Config(
                    retries={"mode": "standard", "total_max_attempts": attempts},
                    connect_timeout=5,
                    read_timeout=40,
                    max_pool_connections=32,
                    user_agent_extra="orderops",
                )
                self._made[service, attempts] = self._session.client(
                    service, region_name=self._region, endpoint_url=self._endpoint_url, config=config
                )
                events = self._made[service, attempts].meta.events
                events.register_first("before-send", self._ask_guard)
                events.register("before-parse", refuse_broken)
            return self._made[service, attempts]

    def _ask_guard(self, **_: Any) -> None:
        getattr(self._thread, "guard", _unguarded)()

"""The one door to AWS: clients by name (`aws.sqs`), how often they try, and what their errors mean.

Every failed call leaves here as an `AwsError`; nothing above this module knows botocore.
"""

from __future__ import annotations

import copy
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from orderops.errors import AwsError, Meaning

if TYPE_CHECKING:
    import boto3

# Throttling has no effect and passes. botocore retries these by itself in reads; a create meets them bare.
LATER_CODES = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "Throttled",
        "RequestThrottled",
        "RequestThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "SlowDown",
        "PriorRequestNotComplete",
        "EC2ThrottledException",
        "ConcurrentModification",
        "ConcurrentUpdateException",
        "OperationAbortedException",
        "OperationAborted",
        "ConcurrentAccess",
    }
)
# AWS gave up waiting for the request, or for its answer: nobody knows, whatever the HTTP status says.
LOST_CODES = frozenset({"RequestTimeout", "RequestTimeoutException"})
READ_ATTEMPTS = 5
READING = ("describe_", "list_", "get_", "head_", "batch_get_", "batch_check_", "lookup_", "filter_", "decode_")
PAGE = re.compile(rb"\s*<(\?xml[^>]*>\s*<)?(!doctype html|html)", re.IGNORECASE)
EXPIRED_CODES = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired", "LoginRefreshRequired"}
)
DENIED_CODES = frozenset({"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"})
HINTS = {
    **dict.fromkeys(
        EXPIRED_CODES, "the credentials ran out: aws sso login (or renew them as you got them), then the same command"
    ),
    **dict.fromkeys(DENIED_CODES, "these credentials may not do that: orderops doctor"),
    "NoCredentials": "set AWS_PROFILE, or run: aws configure sso",
    "InvalidClientTokenId": "these credentials are not known to AWS: orderops doctor",
    "UnrecognizedClientException": "these credentials are not known to AWS: orderops doctor",
    "SignatureDoesNotMatch": "the secret key or this machine's clock is wrong: orderops doctor",
    "CredentialRetrievalError": "the source of these credentials gives none: orderops doctor",
    **dict.fromkeys(("Unreachable", "LostAnswer"), "is the network there, and AWS_ENDPOINT_URL right? orderops doctor"),
    "SSLError": "is there a proxy with a certificate of its own? AWS_CA_BUNDLE names it",
}


class Aws:
    """AWS in one region: `aws.sqs.create_queue(...)`; services are named as boto3 names them, with underscores."""

    def __init__(self, region: str, *, endpoint_url: str | None = None, session: boto3.Session | None = None) -> None:
        self.region = region
        self._clients = _Clients(region, endpoint_url, session)
        self._attempts = READ_ATTEMPTS
        self._memory: dict[str, Future[Any]] | None = None
        self._guard: Callable[[], None] = _unguarded
        self._lock = threading.Lock()

    def __getattr__(self, service: str) -> Service:
        if service.startswith("__"):
            raise AttributeError(service)
        return Service(self, service.replace("_", "-"))

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
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        try:
            client = self._clients.get(service, self._attempts)
            if pages and client.can_paginate(operation):
                return list(client.get_paginator(operation).paginate(**params))
            answer = getattr(client, operation)(**params)
            return [answer] if pages else answer
        except ClientError as error:
            raise _refused(f"{service}.{operation}", error) from None
        except BotoCoreError as error:
            raise _unheard(f"{service}.{operation}", error) from None
        except ResponseParserError as error:  # a proxy's page, or half an answer
            call, text = f"{service}.{operation}", str(error).partition("\n")[0]
            raise AwsError(call, "LostAnswer", text, Meaning.LOST, hint=HINTS["LostAnswer"]) from None


@dataclass(frozen=True)
class Service:
    """One AWS service: its operations as attributes."""

    aws: Aws
    name: str

    def __getattr__(self, operation: str) -> Call:
        if operation.startswith("__"):
            raise AttributeError(operation)
        return Call(self.aws, self.name, operation)


@dataclass(frozen=True)
class Call:
    """One operation, to be called with AWS's own parameters."""

    aws: Aws
    service: str
    operation: str

    def __call__(self, **params: Any) -> Any:
        return self.aws.send(self.service, self.operation, params)


def every(call: Call, key: str, **params: Any) -> Iterator[Any]:
    """Everything under `key` on all pages of a listing."""
    for page in call.aws.send(call.service, call.operation, params, pages=True):
        yield from page.get(key) or ()


def if_found(call: Call, *missing: str, **params: Any) -> Any | None:
    """The answer, or None when AWS says with one of the codes `missing` that there is none."""
    try:
        return call(**params)
    except AwsError as error:
        if error.code in missing:
            return None
        raise


def _unguarded() -> None:
    """Nothing keeps a call back."""


class _Clients:
    """boto3's clients, each made when first used; making one is not thread-safe in boto3, using it is."""

    def __init__(self, region: str, endpoint_url: str | None, session: boto3.Session | None) -> None:
        self._region = region
        self._endpoint_url = endpoint_url
        self._session = session
        self._made: dict[tuple[str, int], Any] = {}
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

    def _make(self, service: str, attempts: int) -> Any:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

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
                try:
                    self._made[service, attempts] = self._session.client(
                        service, region_name=self._region, endpoint_url=self._endpoint_url, config=config
                    )
                except ValueError as error:
                    if isinstance(error, BotoCoreError):
                        raise
                    hint = "an endpoint is a URL such as http://127.0.0.1:5000; is AWS_ENDPOINT_URL one?"
                    raise AwsError(service, "InvalidEndpoint", str(error), Meaning.NO, hint=hint) from None
                events = self._made[service, attempts].meta.events
                events.register_first("before-send", self._ask_guard)
                events.register("before-parse", _refuse_pages)
            return self._made[service, attempts]

    def _ask_guard(self, **_: Any) -> None:
        getattr(self._thread, "guard", _unguarded)()


def _refuse_pages(response_dict: Mapping[str, Any], **_: Any) -> None:
    """A page with HTTP 200, such as a proxy's login, would be read as an answer that says: there is nothing."""
    from botocore.parsers import ResponseParserError

    body, status = response_dict["body"], response_dict["status_code"]
    if status < 500 and isinstance(body, bytes) and PAGE.match(body[:1000]):
        raise ResponseParserError(f"HTTP {status} with a page that is not an answer of AWS")


def _refused(call: str, error: Any) -> AwsError:
    told = error.response.get("Error", {})
    meta = error.response.get("ResponseMetadata", {})
    code = str(told.get("Code", "Unknown"))
    status = int(meta.get("HTTPStatusCode", 0))
    meaning = Meaning.NO
    if code in LATER_CODES or status == 429:
        meaning = Meaning.LATER
    elif code in LOST_CODES or status >= 500:
        meaning = Meaning.LOST
    text, hint = str(told.get("Message", "")).strip(), HINTS.get(code, "")
    if status >= 500 and (code in ("", "Unknown") or PAGE.match(text.encode())):
        code, text, hint = f"HTTP {status}", "what answered does not speak as AWS does", HINTS["Unreachable"]
    return AwsError(call, code, text, meaning, request_id=str(meta.get("RequestId", "")), hint=hint)


def _unheard(call: str, error: Exception) -> AwsError:
    from botocore import exceptions as botocore

    known: list[tuple[type[Exception], str, Meaning]] = [
        (botocore.NoCredentialsError, "NoCredentials", Meaning.NO),
        (botocore.PartialCredentialsError, "NoCredentials", Meaning.NO),
        (botocore.ProfileNotFound, "NoCredentials", Meaning.NO),
        (botocore.TokenRetrievalError, "ExpiredToken", Meaning.NO),
        (botocore.UnauthorizedSSOTokenError, "ExpiredToken", Meaning.NO),
        (botocore.SSOTokenLoadError, "ExpiredToken", Meaning.NO),
        (botocore.EndpointConnectionError, "Unreachable", Meaning.LATER),
        (botocore.ProxyConnectionError, "Unreachable", Meaning.LATER),
        (botocore.ConnectTimeoutError, "Unreachable", Meaning.LATER),
        (botocore.HTTPClientError, "LostAnswer", Meaning.LOST),
    ]
    for kind, code, meaning in known:
        if isinstance(error, kind):
            return AwsError(call, code, str(error), meaning, hint=HINTS.get(code, ""))
    name = type(error).__name__
    return AwsError(call, name, str(error), Meaning.NO, hint=HINTS.get(name, ""))

"""The only gateway to AWS: clients by name (`aws.sqs`), their retries, the call log, and errors as `AwsError`.

No module above this one imports botocore or boto3.
"""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from orderops import __version__
from orderops.aws.call_log import LoggedCall
from orderops.aws.diagnosis.permissions import decoded, encoded
from orderops.aws.partition import dns_suffix_of, partition_of
from orderops.aws.translate import SentCall, aws_error, check_response, metadata_of, translate_error
from orderops.errors import AwsError, Meaning
from orderops.frozen import Frozen

if TYPE_CHECKING:
    import boto3
    from botocore.session import Session

    from orderops.aws.sessions import AwsSessions

READ_ATTEMPTS = 5
LARGEST_BODY = 16 * 1024 * 1024
"""Bytes of a body that are read. Any object may lie under a key of ours, and must not fill the memory."""
PIECE = 1024 * 1024
"""Bytes of a body that are read at once."""
READING = ("describe_", "list_", "get_", "head_", "batch_get_", "batch_check_", "lookup_", "filter_", "decode_")


class Aws:
    """AWS in one region: `aws.sqs.create_queue(...)`. Services have boto3's names, with underscores."""

    def __init__(
        self,
        region: str,
        *,
        endpoint_url: str | None = None,
        session: boto3.Session | None = None,
        new_session: Callable[..., Session] | None = None,
        environment: str = "",
    ) -> None:
        """Open AWS with the user's own settings, or those of `session`, or those of what `new_session` makes."""
        self.region = region
        self.environment = environment
        """Used in hints only."""
        self._clients = _Clients(region, endpoint_url, session, new_session)
        self._attempts = READ_ATTEMPTS
        self._cache: dict[str, Future[Any]] | None = None
        self._guard: Callable[[], None] = _unguarded
        self._lock = threading.Lock()

    def __getattr__(self, service: str) -> AwsService:
        if service.startswith("__"):
            raise AttributeError(service)
        return AwsService(self, service.replace("_", "-"))

    @cached_property
    def once(self) -> Aws:
        """The same AWS, which never resends a call: a create whose response was lost may have taken effect."""
        view = self._view()
        view._attempts, view._cache = 1, None
        return view

    def remembering(self) -> Aws:
        """Return a view that sends equal reads once, for the listings of an inventory.

        Of errors only those are kept that are an answer, such as that something does not exist.
        """
        view = self._view()
        view._cache, view._lock = {}, threading.Lock()
        return view

    def in_region(self, region: str) -> Aws:
        """Return AWS in another region, with the same credentials and endpoint."""
        view = self._view()
        view.region, view._cache = region, None
        view._clients = self._clients.in_region(region)
        return view

    @contextmanager
    def marked(self, run: str) -> Iterator[None]:
        """Name this run in everything that is sent meanwhile, by all views, so that CloudTrail records it."""
        self._clients.run = run
        try:
            yield
        finally:
            self._clients.run = ""

    def guarded(self, guard: Callable[[], None]) -> Aws:
        """Return a view that calls `guard` before each attempt of a call that is not a read.

        The guard raises an exception to prevent the call.
        """
        view = self._view()
        view._guard = guard
        return view

    @property
    def partition(self) -> str:
        """The partition of its region, with which every ARN begins."""
        return partition_of(self.region)

    @property
    def account(self) -> str:
        """The account of these credentials."""
        return str(self._identity["Account"])

    @property
    def caller(self) -> str:
        """The ARN of the user or role session of these credentials."""
        return str(self._identity["Arn"])

    @cached_property
    def _identity(self) -> Mapping[str, Any]:
        identity: Mapping[str, Any] = self.sts.get_caller_identity()
        return identity

    def presigned(self, operation: str, *, seconds: int, **params: Any) -> str:
        """Return a signed URL for an operation of S3. Sends nothing."""
        return self._clients.presigned(operation, params, seconds)

    def endpoint(self, service: str) -> str:
        """Return the URL of a service, for programs that call it themselves."""
        return str(self._clients.get(service, "", self._attempts).meta.endpoint_url)

    def send(self, service: str, operation: str, params: Mapping[str, Any], *, pages: bool = False) -> Any:
        """Send one call and return the response, or the list of all `pages`; raises AwsError."""
        if self._cache is None:
            return self._send(service, operation, params, pages=pages)
        key = json.dumps([service, operation, pages, params], sort_keys=True, default=str)
        with self._lock:
            future = self._cache.get(key)
            first = future is None
            if future is None:
                future = self._cache[key] = Future()
        if first:
            try:
                future.set_result(self._send(service, operation, params, pages=pages))
            except BaseException as error:
                if not (isinstance(error, AwsError) and error.meaning is Meaning.NO):
                    # Removed before the waiting threads continue, so that the next call is sent again.
                    del self._cache[key]
                future.set_exception(error)
        return future.result()

    def _view(self) -> Aws:
        view = copy.copy(self)
        # copy.copy copies the cached `once` as well, which is a view of the original.
        view.__dict__.pop("once", None)
        return view

    def _send(self, service: str, operation: str, params: Mapping[str, Any], *, pages: bool) -> Any:
        call = SentCall(service, operation, params, self.region, self.environment)
        log = LoggedCall(call.name, params)
        with self._clients.guarded(_unguarded if operation.startswith(READING) else self._guard):
            try:
                client = self._clients.get(service, operation, self._attempts)
                responses = [log.succeeded(response) for response in _responses(client, operation, params, pages=pages)]
            except Exception as error:
                translated = translate_error(call, error)
                log.failed(translated.code if translated else type(error).__name__, str(error), metadata_of(error))
                if translated is None:
                    raise
                raise self._with_decoded_message(call, translated, error) from None
        return responses if pages else responses[0]

    def _with_decoded_message(self, call: SentCall, translated: AwsError, error: Exception) -> AwsError:
        """Decode what EC2 encoded in an error, if these credentials may; else return the error as it is."""
        # A denied sts:DecodeAuthorizationMessage would come here again.
        if call.service == "sts" or not (message := encoded(str(error))):
            return translated
        try:
            text = decoded(self.sts.decode_authorization_message(EncodedMessage=message)["DecodedMessage"])
        except (AwsError, KeyError, ValueError):  # not allowed, or in a form that AWS does not document
            return translated
        return aws_error(call, translated.code, text, translated.meaning, request_id=translated.request_id)


class AwsService(Frozen):
    """One AWS service: its operations as attributes."""

    aws: Aws
    name: str

    def __getattr__(self, operation: str) -> Operation:
        if operation.startswith("__"):
            raise AttributeError(operation)
        return Operation(self.aws, self.name, operation)


class Operation(Frozen):
    """One operation, to be called with AWS's own parameters."""

    aws: Aws
    service: str
    operation: str

    def __call__(self, **params: Any) -> Any:
        return self.aws.send(self.service, self.operation, params)


def every(call: Operation, key: str, **params: Any) -> Iterator[Any]:
    """Yield everything under `key` on all pages of a listing."""
    for page in call.aws.send(call.service, call.operation, params, pages=True):
        yield from page.get(key) or ()


def if_found(call: Operation, *missing: str, **params: Any) -> Any | None:
    """Return the response, or None if AWS answers with one of the error codes `missing`."""
    try:
        return call(**params)
    except AwsError as error:
        if error.code in missing:
            return None
        raise


def _responses(client: Any, operation: str, params: Mapping[str, Any], *, pages: bool) -> Iterator[Any]:
    if pages and client.can_paginate(operation):
        yield from client.get_paginator(operation).paginate(**params)
    else:
        response = getattr(client, operation)(**params)
        # Read here, so that a connection that breaks in the middle of an object is an AwsError as well.
        if hasattr(body := response.get("Body"), "read"):
            response["Body"] = _content(body)
        yield response


def _content(body: Any) -> bytes:
    """Return a body, or more than LARGEST_BODY bytes of one that is larger."""
    content = bytearray()
    # To the empty piece at its end, at which botocore compares the length with the one that was announced.
    while len(content) <= LARGEST_BODY and (piece := body.read(PIECE)):
        content += piece
    body.close()
    return bytes(content)


def _unguarded() -> None:
    """Let every call through."""


class _Clients:
    """botocore's clients, each created on first use. Creating a client is not thread-safe in botocore, using it is."""

    def __init__(
        self,
        region: str,
        endpoint_url: str | None,
        session: boto3.Session | None,
        new_session: Callable[..., Session] | None,
    ) -> None:
        self._region = region
        self._endpoint_url = endpoint_url
        self._session = session
        self._new_session = new_session
        self._created: dict[tuple[str, int], list[Any]] = {}
        self._signers: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._thread = threading.local()
        self.run = ""
        """The run of orderops under way, which every request names."""

    def in_region(self, region: str) -> _Clients:
        """Return clients of another region with the same settings."""
        return _Clients(region, self._endpoint_url, self._session, self._new_session)

    @contextmanager
    def guarded(self, guard: Callable[[], None]) -> Iterator[None]:
        """Call `guard` before everything that this thread sends meanwhile."""
        # The clients are shared by all views, so the guard of a call travels with its thread.
        before = getattr(self._thread, "guard", _unguarded)
        self._thread.guard = guard
        try:
            yield
        finally:
            self._thread.guard = before

    def get(self, service: str, operation: str, attempts: int) -> Any:
        """Return a client that has this operation; "" stands for any."""
        return self._existing(service, operation, attempts) or self._create(service, operation, attempts)

    def presigned(self, operation: str, params: Mapping[str, Any], seconds: int) -> str:
        """Return a URL with a signature of version 4 for the region's host."""
        from botocore.config import Config

        # The global host redirects to the region of a new bucket at first, and a signature is valid for one host only:
        # S3 user guide, "Making requests using DNS": "Temporary request redirection".
        endpoint = str(self.get("s3", operation, READ_ATTEMPTS).meta.endpoint_url)
        style = "virtual" if endpoint.endswith(dns_suffix_of(self._region)) else "path"
        config = Config(signature_version="s3v4", s3={"addressing_style": style})
        with self._lock:
            if operation not in self._signers:
                self._signers[operation] = self._new("s3", operation, config)
        return str(self._signers[operation].generate_presigned_url(operation, Params=dict(params), ExpiresIn=seconds))

    @cached_property
    def _sessions(self) -> AwsSessions:
        from botocore.session import Session

        from orderops.aws.sessions import AwsSessions

        return AwsSessions(self._new_session or Session, self._region)

    @cached_property
    def _proxies(self) -> dict[str, Any]:
        """Tell clients if there are no proxies; botocore reads all variables of the environment twice for each."""
        from urllib.request import getproxies

        return {} if getproxies() else {"proxies": {}}

    def _existing(self, service: str, operation: str, attempts: int) -> Any:
        for client in self._created.get((service, attempts), ()):
            if self._session or not operation or operation in client.meta.method_to_api_mapping:
                return client
        return None

    def _create(self, service: str, operation: str, attempts: int) -> Any:
        from botocore.config import Config

        with self._lock:
            client = self._existing(service, operation, attempts)
            if client is None:
                config = Config(
                    retries={"mode": "standard", "total_max_attempts": attempts},
                    connect_timeout=5,
                    read_timeout=40,
                    max_pool_connections=32,
                    user_agent_extra=f"orderops/{__version__}",
                    **self._proxies,
                )
                client = self._new(service, operation, config)
                # First, so that a prevented call never reaches the handlers that answer it in tests.
                client.meta.events.register_first("before-send", self._call_guard)
                client.meta.events.register("before-parse", check_response)
                # Last, as botocore builds the header anew for every attempt.
                client.meta.events.register_last("request-created", self._name_run)
                self._created.setdefault((service, attempts), []).append(client)
            return client

    def _new(self, service: str, operation: str, config: Any) -> Any:
        if self._session:
            return self._session.client(
                service, region_name=self._region, endpoint_url=self._endpoint_url, config=config
            )
        return self._sessions.client(service, operation, endpoint_url=self._endpoint_url, config=config)

    def _name_run(self, request: Any, **_: Any) -> None:
        if self.run:
            request.headers.replace_header("User-Agent", f"{request.headers['User-Agent']} run/{self.run}")

    def _call_guard(self, **_: Any) -> None:
        getattr(self._thread, "guard", _unguarded)()

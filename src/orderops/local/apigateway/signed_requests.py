"""Callers of routes with `AWS_IAM`: signed for `execute-api`, by an identity whose policies allow the call."""

from __future__ import annotations

import io
from collections.abc import Callable
from urllib.parse import quote

from moto.core import DEFAULT_ACCOUNT_ID
from moto.utilities.utils import get_partition
from starlette.requests import Request as StarletteRequest

from orderops.local.apigateway.account import DEFAULT, ServedApi
from orderops.local.apigateway.wording import path_in
from orderops.local.emulator import signatures
from orderops.local.emulator.admission import Admission, received_request
from orderops.local.emulator.protocol import RAW_HEADERS, ApiError, Request

SERVICE = "execute-api"
Permits = Callable[[str, str, str], bool]
"""Tells whether the holder of a key may use an action on a resource."""


def may_invoke(
    admission: Admission | None, permits: Permits, request: StarletteRequest, body: bytes, api: ServedApi
) -> bool:
    """Check the signature of a request, and the policies of its identity."""
    received = _received(request, body)
    claim = signatures.find_claim(received_request(received))
    if admission is None or claim is None or claim.service != SERVICE or received.region != api.region:
        return False
    try:
        admission.check_signature(received)
    except ApiError:
        return False
    partition = get_partition(api.region)
    place = f"{api.id}/{api.stage or DEFAULT}/{request.method}{path_in(api, request.scope, request.url.path)}"
    arn = f"arn:{partition}:{SERVICE}:{api.region}:{DEFAULT_ACCOUNT_ID}:{place}"
    return permits(claim.key_id, f"{SERVICE}:Invoke", arn)


def _received(request: StarletteRequest, body: bytes) -> Request:
    """The request in the form in which the emulator's own arrive."""
    raw = request.scope["raw_path"].decode("latin-1") or quote(request.url.path)
    query = request.scope["query_string"].decode("latin-1")
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.scope["headers"]]
    return Request(
        {
            "REQUEST_METHOD": request.method,
            "PATH_INFO": request.url.path,
            "QUERY_STRING": query,
            "REQUEST_URI": f"{raw}?{query}" if query else raw,
            "HTTP_AUTHORIZATION": request.headers.get("authorization", ""),
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
            RAW_HEADERS: headers,
        }
    )

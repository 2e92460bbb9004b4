"""Requests that a balancer answers itself, because no target could make sense of them.

Status codes and limits: user guide of Application Load Balancers, "Troubleshoot your Application Load Balancers", and
RFC 9110 and 9112 where the guide says "does not meet the HTTP specification".
"""

from __future__ import annotations

import re
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.requests import Request

# A request line and each header have at most 16 K.
LONGEST = 16 * 1024
# RFC 9112, section 3.2: visible ASCII without a fragment, which a client never sends.
TARGET = re.compile(rb"/[!\"$-~]*")


def refusal(incoming: Request) -> HTTPStatus | None:
    """Return the status with which a malformed request is answered; None for a request that can be forwarded."""
    headers = incoming.headers
    if incoming.scope["http_version"] not in ("1.0", "1.1"):
        return HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
    if incoming.method == "TRACE":
        return HTTPStatus.METHOD_NOT_ALLOWED
    # Which of the two counts is what request smuggling is about (RFC 9112, section 6.3).
    if "content-length" in headers and "transfer-encoding" in headers:
        return HTTPStatus.BAD_REQUEST
    if len(incoming.scope["raw_path"]) + len(incoming.scope["query_string"]) > LONGEST:
        return HTTPStatus.REQUEST_URI_TOO_LONG
    if any(len(name) + len(value) > LONGEST for name, value in headers.raw):
        return HTTPStatus.BAD_REQUEST
    return HTTPStatus.BAD_REQUEST if origin_form(incoming.scope["raw_path"]) is None else None


def origin_form(path: bytes) -> bytes | None:
    """Return the path to ask a target for; None for the forms of proxies (CONNECT) and of `OPTIONS *`.

    A proxy's clients send the whole URL, which every server has to accept (RFC 9112, section 3.2.2).
    """
    if path.lower().startswith((b"http://", b"https://")):
        try:
            path = urlsplit(path).path or b"/"
        except ValueError:
            return None
    return path if TARGET.fullmatch(path) else None

"""Who may talk to the emulator: requests signed with a key of the laptop environment, and no page of a browser.

Any web page can send requests to a port of this machine, and so can every other user. The words of the refusals are
AWS's, followed by what an operator of the laptop does about them.
"""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from orderops.local.emulator import chunks, signatures
from orderops.local.emulator.protocol import RAW_HEADERS, ApiError, Environ, Request
from orderops.local.emulator.refusals import Problem, refusal
from orderops.local.emulator.signatures import Claim, ReceivedRequest
from orderops.local.keys import AccessKey

# A page cannot get one of these names for a server of its own (RFC 6761: resolvers answer `localhost` with loopback).
LOOPBACK = re.compile(r"(?:(?:[a-z0-9-]+\.)*localhost|127\.0\.0\.1|\[::1\])", re.IGNORECASE)
# From the IAM user guide: a request must arrive within five minutes of its time; S3 and EC2 allow fifteen.
TOLERANCE = timedelta(minutes=5)
LONG_TOLERANCE = timedelta(minutes=15)
LENIENT = frozenset({"s3", "ec2"})
# From the S3 API reference: X-Amz-Expires is at most seven days.
LONGEST_EXPIRY = 604_800
FindKey = Callable[[str], AccessKey | None]


@dataclass(frozen=True)
class Admission:
    """Check of every request: its host, its origin, and its signature by a key that `find_key` knows."""

    port: int
    find_key: FindKey
    clock: Callable[[], float] = time.time

    def check_sender(self, environ: Environ) -> None:
        """Refuse what a browser sends on behalf of a page. Raises ApiError."""
        name, separator, port = environ.get("HTTP_HOST", "").rpartition(":")
        if not (separator and LOOPBACK.fullmatch(name) and port == str(self.port)):
            # The address of a page whose name resolves to this machine (DNS rebinding).
            raise ApiError("AccessDenied", "the laptop environment answers only under the name localhost", 403)
        if "HTTP_ORIGIN" in environ:
            raise ApiError("AccessDenied", "the laptop environment does not answer pages in a browser", 403)

    def check_signature(self, request: Request) -> None:
        """Refuse a request that is not signed with a known key. Raises ApiError."""
        received = received_request(request)
        claim = signatures.find_claim(received)
        if claim is None:
            raise refusal(request, Problem.OLD_SIGNATURE if received.has_old_signature else Problem.UNSIGNED)
        key = self.find_key(claim.key_id)
        if key is None:
            raise refusal(request, Problem.UNKNOWN_KEY)
        if not hmac.compare_digest(claim.token.encode(), key.token.encode()):
            raise refusal(request, Problem.WRONG_TOKEN)
        self._check_time(request, claim)
        if problem := _problem(received, claim, key.secret):
            raise refusal(request, problem)

    def _check_time(self, request: Request, claim: Claim) -> None:
        now, signed_at = datetime.fromtimestamp(self.clock(), UTC), claim.signed_at
        if signed_at is None or signed_at.strftime("%Y%m%d") != claim.date:
            raise refusal(request, Problem.WRONG_SIGNATURE)
        tolerance = LONG_TOLERANCE if claim.service in LENIENT else TOLERANCE
        if claim.presigned:
            if not (claim.expires.isdecimal() and 0 < int(claim.expires) <= LONGEST_EXPIRY):
                raise refusal(request, Problem.WRONG_EXPIRY)
            if now > signed_at + timedelta(seconds=int(claim.expires)):
                raise refusal(request, Problem.EXPIRED)
        if signed_at - now > tolerance or (now - signed_at > tolerance and not claim.presigned):
            raise refusal(request, Problem.WRONG_CLOCK)


def received_request(request: Request) -> ReceivedRequest:
    """Return the request as its client sent it."""
    environ = request.environ
    target = environ.get("REQUEST_URI") or environ.get("PATH_INFO", "/")
    return ReceivedRequest(request.method, target, environ[RAW_HEADERS], request.body)


def _problem(received: ReceivedRequest, claim: Claim, secret: str) -> Problem | None:
    names = {name.lower() for name, _ in received.headers}
    # AWS requires these to be signed; otherwise a signature would hold for other requests too.
    if not {"host", *(name for name in names if name.startswith("x-amz-"))} <= set(claim.signed_headers):
        return Problem.UNSIGNED_HEADERS
    expected = signatures.signature(received, claim, secret)
    if not hmac.compare_digest(expected.encode(), claim.signature.encode()):
        return Problem.WRONG_SIGNATURE
    match signatures.payload_hash(received, claim):
        case signatures.UNSIGNED_PAYLOAD | chunks.UNSIGNED_CHUNKS:
            return None
        case (chunks.SIGNED_CHUNKS | chunks.SIGNED_CHUNKS_AND_TRAILER) as kind:
            trailer = kind == chunks.SIGNED_CHUNKS_AND_TRAILER
            signed = chunks.chunks_are_signed(received.body, claim, secret, trailer=trailer)
            return None if signed else Problem.WRONG_SIGNATURE
        case stated:
            matches = hmac.compare_digest(stated.encode(), signatures.sha256(received.body).encode())
            return None if matches else Problem.WRONG_PAYLOAD

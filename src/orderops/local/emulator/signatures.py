"""Signatures of AWS's version 4, written from its documentation: calculated anew, and compared with those received.

The sources are "Create a signed AWS API request" (IAM user guide) and "Authenticating Requests (AWS Signature Version
4)" (Amazon S3 API reference).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, unquote_to_bytes, urlsplit

from orderops.local.keys import AccessKey

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
TIME_FORMAT = "%Y%m%dT%H%M%SZ"
UNRESERVED = "-_.~"


@dataclass(frozen=True)
class ReceivedRequest:
    """Request as it arrived: path and query still encoded, and every header with its name and value."""

    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    body: bytes = b""

    @property
    def path(self) -> str:
        # Only a client of a proxy sends a whole URL.
        return self._parts[0]

    @property
    def query(self) -> str:
        return self._parts[1]

    def header(self, name: str) -> str:
        """Return the values of a header as they are signed: trimmed, with single spaces, joined by commas."""
        values = [value for other, value in self.headers if other.lower() == name.lower()]
        return ",".join(" ".join(value.split()) for value in values)

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """Parameters of the query, each name and value encoded as AWS encodes them."""
        pairs = [pair.partition("=") for pair in self.query.split("&") if pair]
        return [(_encoded(name), _encoded(value)) for name, _, value in pairs]

    @property
    def has_old_signature(self) -> bool:
        """True with a signature of version 2, which S3 does not accept for buckets created since June 2020."""
        presigned = any(name == "AWSAccessKeyId" for name, _ in self.parameters)
        return presigned or self.header("Authorization").startswith("AWS ")

    @property
    def _parts(self) -> tuple[str, str]:
        if self.target.startswith("/"):
            path, _, query = self.target.partition("?")
            return path, query
        parts = urlsplit(self.target)
        return parts.path or "/", parts.query


@dataclass(frozen=True)
class Claim:
    """What a request states about its signature, in the header `Authorization` or in its query."""

    key_id: str
    scope: str
    signed_headers: tuple[str, ...]
    signature: str
    time: str
    token: str
    expires: str = ""
    """Seconds for which a presigned URL is valid, as its query has them."""
    presigned: bool = False

    @property
    def date(self) -> str:
        return self.scope.split("/")[0]

    @property
    def service(self) -> str:
        return self.scope.split("/")[2]

    @property
    def signed_at(self) -> datetime | None:
        """Time of the signature; None when it is in no form that AWS accepts."""
        try:
            return datetime.strptime(self.time, TIME_FORMAT).replace(tzinfo=UTC)
        except ValueError:
            return None


def find_claim(request: ReceivedRequest) -> Claim | None:
    """Return what the request states about its signature; None without a complete signature of version 4."""
    authorization = request.header("Authorization")
    if authorization:
        algorithm, _, rest = authorization.partition(" ")
        stated = dict(part.strip().partition("=")[::2] for part in rest.split(","))
        names = ("Credential", "SignedHeaders", "Signature")
        time, token = request.header("X-Amz-Date"), request.header("X-Amz-Security-Token")
        return _claim(algorithm, [stated.get(name, "") for name in names], time, token)
    query = {name: _decoded(value) for name, value in request.parameters}
    credential = [query.get(f"X-Amz-{name}", "") for name in ("Credential", "SignedHeaders", "Signature")]
    time, token = query.get("X-Amz-Date", ""), query.get("X-Amz-Security-Token", "")
    return _claim(query.get("X-Amz-Algorithm", ""), credential, time, token, query.get("X-Amz-Expires", ""))


def payload_hash(request: ReceivedRequest, claim: Claim) -> str:
    """Return the hash of the body that was signed, or the word that stands in its place."""
    if stated := request.header("X-Amz-Content-Sha256"):
        return stated
    if claim.presigned and claim.service == "s3":
        return dict(request.parameters).get("X-Amz-Content-Sha256") or UNSIGNED_PAYLOAD
    return sha256(request.body)


def signature(request: ReceivedRequest, claim: Claim, secret: str) -> str:
    """Return the signature that the request must have."""
    headers = "".join(f"{name}:{request.header(name)}\n" for name in claim.signed_headers)
    canonical = "\n".join(
        (
            request.method,
            canonical_path(request.path, claim.service),
            _canonical_query(request),
            headers,
            ";".join(claim.signed_headers),
            payload_hash(request, claim),
        )
    )
    return hmac_hex(signing_key(secret, claim.scope), text_to_sign(claim, sha256(canonical.encode())))


def text_to_sign(claim: Claim, *hashes: str, purpose: str = ALGORITHM) -> str:
    """Return what is signed: its purpose, time and scope, and then hashes."""
    return "\n".join((purpose, claim.time, claim.scope, *hashes))


def signing_key(secret: str, scope: str) -> bytes:
    """Derive the key for one day, region and service."""
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), hashlib.sha256)
    return key


def hmac_hex(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode(), hashlib.sha256).hex()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def canonical_path(path: str, service: str) -> str:
    """Return the path as it is signed: by S3 encoded once and as it is, by all others normalized and encoded twice."""
    if service == "s3":
        return _encoded(path, safe="/")
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment not in ("", "."):
            segments.append(segment)
    closing = "/" if segments and path.endswith("/") else ""
    return quote("/" + "/".join(segments) + closing, safe="/" + UNRESERVED)


def sign(method: str, url: str, key: AccessKey, *, region: str, service: str, now: datetime) -> Mapping[str, str]:
    """Return the headers that sign a request without a body."""
    parts = urlsplit(url)
    time = now.strftime(TIME_FORMAT)
    headers = [("host", parts.netloc), ("x-amz-date", time)]
    request = ReceivedRequest(method, parts.path + (f"?{parts.query}" if parts.query else ""), headers)
    scope = f"{time[:8]}/{region}/{service}/aws4_request"
    claim = Claim(key.id, scope, ("host", "x-amz-date"), "", time, "")
    stated = f"Credential={key.id}/{scope}, SignedHeaders=host;x-amz-date, Signature="
    return {"X-Amz-Date": time, "Authorization": f"{ALGORITHM} {stated}{signature(request, claim, key.secret)}"}


def _claim(algorithm: str, stated: Sequence[str], time: str, token: str, expires: str | None = None) -> Claim | None:
    credential, signed_headers, received = stated
    key_id, _, scope = credential.partition("/")
    if algorithm != ALGORITHM or not re.fullmatch(r"\d{8}/[^/]+/[^/]+/aws4_request", scope):
        return None
    if not (key_id and signed_headers and received):
        return None
    names = tuple(name.lower() for name in signed_headers.split(";"))
    return Claim(key_id, scope, names, received, time, token, expires or "", presigned=expires is not None)


def _canonical_query(request: ReceivedRequest) -> str:
    pairs = sorted(pair for pair in request.parameters if pair[0] != "X-Amz-Signature")
    return "&".join(f"{name}={value}" for name, value in pairs)


def _encoded(text: str, safe: str = "") -> str:
    return quote(unquote_to_bytes(text), safe=safe + UNRESERVED)


def _decoded(text: str) -> str:
    return unquote_to_bytes(text).decode(errors="replace")

"""Bodies that clients of S3 sign chunk by chunk: each signature covers the one before it, so that none can be changed.

The source is "Signature calculations for the authorization header: transferring payload in multiple chunks" (Amazon S3
API reference).
"""

from __future__ import annotations

import hmac
import re

from orderops.local.emulator.signatures import ALGORITHM, Claim, hmac_hex, sha256, signing_key, text_to_sign

SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_CHUNKS_AND_TRAILER = f"{SIGNED_CHUNKS}-TRAILER"
# The whole body is covered by TLS alone on AWS; the signature of the headers admits the request.
UNSIGNED_CHUNKS = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
HEAD = re.compile(rb"(?P<size>[0-9a-fA-F]{1,16});chunk-signature=(?P<signature>[0-9a-f]{64})")
TRAILER_SIGNATURE = "x-amz-trailer-signature"


def chunks_are_signed(body: bytes, claim: Claim, secret: str, *, trailer: bool) -> bool:
    """Tell whether every chunk of the body, and the trailer if there must be one, has the right signature."""
    key, previous, position = signing_key(secret, claim.scope), claim.signature, 0
    while True:
        end_of_head = body.find(b"\r\n", position)
        head = HEAD.fullmatch(body[position : max(end_of_head, position)])
        if head is None:
            return False
        start = end_of_head + 2
        end = start + int(head["size"], 16)
        chunk = text_to_sign(claim, previous, sha256(b""), sha256(body[start:end]), purpose=f"{ALGORITHM}-PAYLOAD")
        previous = hmac_hex(key, chunk)
        if not hmac.compare_digest(previous.encode(), head["signature"]):
            return False
        if end == start:
            return not trailer or _trailer_is_signed(body[end:], claim, key, previous)
        position = end + 2


def _trailer_is_signed(content: bytes, claim: Claim, key: bytes, previous: str) -> bool:
    lines = [line.strip() for line in content.decode(errors="replace").splitlines() if line.strip()]
    fields = dict(line.partition(":")[::2] for line in lines)
    received = fields.pop(TRAILER_SIGNATURE, "")
    signed = "".join(f"{name}:{value}\n" for name, value in fields.items())
    expected = text_to_sign(claim, previous, sha256(signed.encode()), purpose=f"{ALGORITHM}-TRAILER")
    return hmac.compare_digest(hmac_hex(key, expected).encode(), received.encode())

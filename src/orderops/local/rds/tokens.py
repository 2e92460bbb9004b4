"""The check of a token of IAM in place of a password, as RDS makes it before a session begins.

A token is a presigned URL without its scheme: `HOST:PORT/?Action=connect&DBUser=…&X-Amz-…`. The source is "Connecting
to your DB instance using IAM authentication" (RDS user guide); RDS itself tells a client no reason, and the log export
iam-db-auth-error has it.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

from orderops.local.emulator import signatures
from orderops.local.emulator.admission import FindKey
from orderops.local.emulator.partition import account_arn
from orderops.local.emulator.signatures import Claim, ReceivedRequest
from orderops.local.keys import AccessKey

SERVICE = "rds-db"
ACTION = "rds-db:connect"
VALID = timedelta(minutes=15)
# As of every signed request (IAM user guide).
AHEAD = timedelta(minutes=5)


@dataclass(frozen=True)
class Endpoint:
    """The instance that a session is opened at."""

    host: str
    port: int
    region: str
    resource_id: str
    takes_tokens: bool


@dataclass(frozen=True)
class TokenCheck:
    """Check of tokens by the keys of the account, and by the policies of what they belong to."""

    find_key: FindKey
    permits: Callable[[str, str, str], bool]
    """Whether the holder of a key may use an action on a resource: key id, action, ARN."""
    clock: Callable[[], float] = time.time

    def problem(self, token: str, user: str, at: Endpoint) -> str:
        """Return why the token does not open the instance for the user; empty if it does."""
        if not at.takes_tokens:
            return "IAM authentication is off for this instance"
        address, _, query = token.partition("/?")
        request = ReceivedRequest("GET", f"/?{query}", [("host", address)])
        claim = signatures.find_claim(request)
        if claim is None or not claim.presigned:
            return "it is not a presigned URL of signature version 4"
        if problem := self._wrong_target(request, claim, address, user, at) or self._wrong_time(claim):
            return problem
        key = self.find_key(claim.key_id)
        if key is None:
            return f"the access key {claim.key_id} does not exist or has ended"
        if problem := _wrong_signature(request, claim, key):
            return problem
        resource = account_arn(SERVICE, at.region, f"dbuser:{at.resource_id}/{user}")
        return "" if self.permits(claim.key_id, ACTION, resource) else f"no policy allows {ACTION} on {resource}"

    def _wrong_target(self, request: ReceivedRequest, claim: Claim, address: str, user: str, at: Endpoint) -> str:
        names = [name for name, _ in request.parameters]
        stated = {name: unquote(value) for name, value in request.parameters}
        region = claim.scope.split("/")[1]
        wrong = {
            "it names a parameter twice": len(names) > len(set(names)),
            f"it is for the host {address}": address != f"{at.host}:{at.port}",
            f"it is signed for the service {claim.service}": claim.service != SERVICE,
            f"it is signed for the region {region}": region != at.region,
            f"it is for the action {stated.get('Action')}": stated.get("Action") != "connect",
            f"it is for the user {stated.get('DBUser')}": stated.get("DBUser") != user,
            "its host is not signed": claim.signed_headers != ("host",),
        }
        return next((words for words, applies in wrong.items() if applies), "")

    def _wrong_time(self, claim: Claim) -> str:
        now, signed_at = datetime.fromtimestamp(self.clock(), UTC), claim.signed_at
        if signed_at is None or signed_at.strftime("%Y%m%d") != claim.date:
            return "its date is not that of its signature"
        if not claim.expires.isdecimal():
            return "it says not for how long it is valid"
        if now > signed_at + min(VALID, timedelta(seconds=int(claim.expires[:9]))):
            return f"it has expired: it was signed at {claim.time}"
        return f"it is from the future: {claim.time}" if signed_at - now > AHEAD else ""


def _wrong_signature(request: ReceivedRequest, claim: Claim, key: AccessKey) -> str:
    if not hmac.compare_digest(claim.token.encode(), key.token.encode()):
        return "its session token is not that of the access key"
    expected = signatures.signature(request, claim, key.secret)
    matches = hmac.compare_digest(expected.encode(), claim.signature.encode())
    return "" if matches else "its signature does not match"

"""Checking through the load balancer which database the running service uses."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from collections.abc import Mapping
from time import monotonic, sleep
from typing import Any

from orderops.aws.validation import LARGEST, Malformed, json_object
from orderops.errors import OrderopsError
from orderops.frozen import Frozen

REQUEST_TIMEOUT = 5.0
"""Seconds for one response."""
# The load balancer sends requests to a draining task until it is deregistered.
SWITCH_TIMEOUT = 30.0
"""Seconds until all responses must come from the right database."""
# With fewer, a remaining old task among several could be missed by chance.
REQUESTS = 10
"""Responses in a row that must all come from the right database."""


class ServiceResponse(Frozen):
    """What the service reported."""

    requests: int
    users: int | None
    """None if the service does not show them."""


class ServiceUnreachable(OrderopsError):
    """The service cannot be reached from this machine, so its database is unknown."""


def identity(database: Mapping[str, Any]) -> str:
    """Return the identifier that the service reports for a database: a hash, so that no address is exposed."""
    address = f"{database['host']}:{database['port']}/{database['dbname']}"
    return hashlib.sha256(address.encode()).hexdigest()[:12]


def verify(url: str, database: Mapping[str, Any], *, timeout: float = SWITCH_TIMEOUT) -> ServiceResponse:
    """Query the service until only `database` (its connection info) responds, for at most `timeout` seconds.

    Raises ServiceUnreachable if this machine cannot connect, OrderopsError if another database still responds.
    """
    wanted, deadline = identity(database), monotonic() + timeout
    while True:
        try:
            for _ in range(REQUESTS):
                _check(_get(f"{url}/ready"), wanted)
            users = _get(f"{url}/users").get("users")
            return ServiceResponse(REQUESTS, len(users) if isinstance(users, list) else None)
        except ServiceUnreachable:
            raise
        except OrderopsError:
            if monotonic() > deadline:
                raise
            sleep(0.5)


def _check(document: Mapping[str, Any], wanted: str) -> None:
    if document.get("database") == wanted:
        return
    hint = "check its tasks and logs: orderops status; or switch back: orderops restore back"
    if document.get("database"):
        raise OrderopsError(f"the service still uses another database ({document['database']})", hint)
    checks = document.get("checks")
    check = checks.get("database") if isinstance(checks, dict) else None
    reason = check.get("detail", "") if isinstance(check, dict) else ""
    raise OrderopsError(f"the service cannot query its database{f': {reason}' if reason else ''}", hint)


def _get(url: str) -> dict[str, Any]:
    """Return the JSON object at a URL; raises OrderopsError for any other response, even a successful one."""
    request = urllib.request.Request(url, headers={"Accept": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT) as response:
            body = response.read(LARGEST + 1)
    except urllib.error.HTTPError as error:
        # A service that is not ready responds with 503 and says why in the body.
        body = error.read(LARGEST + 1)
        if error.code in (502, 504):
            raise OrderopsError(
                f"{url} returned {error.code}: the load balancer has no running task", "orderops status"
            ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ServiceUnreachable(
            f"cannot reach the service at {url} from this machine: {reason}",
            "check it from a machine that has access to the load balancer",
        ) from None
    try:
        return json_object(body)
    except Malformed as error:
        raise OrderopsError(
            f"{url} did not return the service's JSON: the answer {error}",
            "check which image is running: orderops status",
        ) from None

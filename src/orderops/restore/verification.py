"""Asking the running service which database answers: a real query, through the load balancer."""

from __future__ import annotations

import hashlib
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any

from orderops.errors import OrderopsError

TIMEOUT = 5.0
PATIENCE = 30.0
"""Seconds for one answer, and until the balancer has taken the last old task out."""
REQUESTS = 10
"""Answers in a row that must all come from the right database: several tasks stand behind the balancer."""


@dataclass(frozen=True)
class ServiceResponse:
    """What the service said."""

    requests: int
    users: int


class ServiceUnreachable(OrderopsError):
    """The service cannot be reached from this machine, so that nothing is known of it."""


def identity(database: Mapping[str, Any]) -> str:
    """How the service calls the database that stands there, in a form that gives no address away."""
    told = f"{database['host']}:{database['port']}/{database['dbname']}"
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def verify(url: str, database: Mapping[str, Any], *, timeout: float = PATIENCE) -> ServiceResponse:
    """Query through the service until only the database behind `door` answers.

    Raises Unasked where nothing listens for this machine, and OrderopsError where something else answers.
    """
    wanted, until = identity(database), monotonic() + timeout
    while True:
        try:
            for _ in range(REQUESTS):
                _check(_get(f"{url}/ready"), wanted)
            return ServiceResponse(REQUESTS, len(_get(f"{url}/users").get("users") or ()))
        except ServiceUnreachable:
            raise
        except OrderopsError:
            if monotonic() > until:
                raise
            sleep(0.5)


def _check(told: Mapping[str, Any], wanted: str) -> None:
    if told.get("database") == wanted:
        return
    hint = "its tasks and their logs: orderops status; the other way: orderops restore back"
    if told.get("database"):
        raise OrderopsError(f"the service still answers from another database ({told['database']})", hint)
    checks = told.get("checks", {})
    why = checks.get("database", {}).get("detail", "") if isinstance(checks, dict) else ""
    raise OrderopsError(f"the service cannot query its database{f': {why}' if why else ''}", hint)


def _get(url: str) -> dict[str, Any]:
    asked = urllib.request.Request(url, headers={"Accept": "application/json"})
    try:
        with urllib.request.urlopen(asked, timeout=TIMEOUT) as answer:
            body = answer.read()
    except urllib.error.HTTPError as error:
        body = error.read()
        if error.code in (502, 504):
            raise OrderopsError(
                f"{url} answers {error.code}: no task is behind the balancer", "orderops status"
            ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ServiceUnreachable(
            f"the service at {url} cannot be asked from here: {reason}", "ask it from a machine that may"
        ) from None
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise OrderopsError(f"{url} does not answer as the service does", "what runs there? orderops status")
    return told

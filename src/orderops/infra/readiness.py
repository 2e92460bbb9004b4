"""Readiness: what the service answers to GET /ready, asked through the load balancer as a client would."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from http.client import HTTPConnection, HTTPException, RemoteDisconnected
from ipaddress import ip_address
from urllib.parse import urlsplit

from orderops.config.environment import Environment
from orderops.config.service import covers_all
from orderops.text.durations import in_words
from orderops.text.outside import plain

PATH = "/ready"
# The service checks its dependencies side by side, for at most two seconds.
ANSWER_TIME = timedelta(seconds=5)
# The answer of an order processor has a few hundred bytes.
MOST_BYTES = 65_536
MOST_REASONS = 5
REDIRECTS = range(300, 400)
ERRORS = range(500, 600)


class ReadyState(StrEnum):
    """What the answer says."""

    READY = "ready"
    NOT_READY = "not-ready"
    FAILING = "failing"
    """An error, or no answer on an open connection."""
    UNKNOWN = "unknown"
    """Something answered, and it was not an order processor."""
    UNREACHABLE = "unreachable"
    """No connection from this machine, which says nothing about other clients."""
    NOT_ASKED = "not-asked"


@dataclass(frozen=True)
class ReadyAnswer:
    """The answer; `reasons` has why each dependency is not ready, by its name."""

    state: ReadyState
    detail: str
    url: str = ""
    reasons: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        """As JSON, with stable keys."""
        return {"state": str(self.state), "detail": self.detail, "url": self.url, "reasons": dict(self.reasons)}


AskReady = Callable[[str], ReadyAnswer]
"""Asks the load balancer at a URL."""


def ask_ready(url: str, *, within: timedelta = ANSWER_TIME) -> ReadyAnswer:
    """Send GET /ready to a load balancer, without a proxy, and follow no redirect. Returns within this time."""
    question = _Question(url, within)
    # A thread, since neither the resolution of a name nor the arrival of single bytes has a limit of its own.
    thread = threading.Thread(target=question.ask, name="ready", daemon=True)
    thread.start()
    thread.join(within.total_seconds())
    return question.answer or question.given_up()


def asked_service(environment: Environment) -> str | None:
    """The service to which the load balancer routes /ready; None if it routes it to none."""
    by_priority = sorted(environment.entries, key=environment.routing.priority)
    return next((name for name in by_priority if covers_all(environment.services[name].paths, [PATH])), None)


def on_this_machine(url: str) -> bool:
    """Whether the host of a URL is this machine, so that no firewall is in between."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class _Question:
    """One request. `answer` is None until there is one."""

    def __init__(self, url: str, within: timedelta) -> None:
        parts = urlsplit(url)
        self.answer: ReadyAnswer | None = None
        self._url = f"{url}{PATH}"
        self._host = parts.hostname or ""
        self._within = within
        self._connection = HTTPConnection(self._host, parts.port or 80, timeout=within.total_seconds())
        self._socket: socket.socket | None = None

    def ask(self) -> None:
        try:
            self._connection.connect()
            self._socket = self._connection.sock
        except OSError as error:
            self.answer = self._unreachable(error)
            return
        try:
            self._connection.request("GET", PATH, headers={"Accept": "application/json", "Connection": "close"})
            response = self._connection.getresponse()
            body = response.read(MOST_BYTES + 1)
            self.answer = self._judged(response.status, response.reason, response.getheader("Location", ""), body)
        except TimeoutError:
            self.answer = self.given_up()
        except (RemoteDisconnected, OSError) as error:
            # Between this machine and a load balancer of AWS, a firewall may do that.
            closed = plain(getattr(error, "strerror", None) or "closed without an answer").lower()
            self.answer = self._answered(ReadyState.UNREACHABLE, f"the connection was {closed}")
        except (HTTPException, ValueError):
            self.answer = self._answered(ReadyState.UNKNOWN, "the answer is not HTTP")
        finally:
            self._connection.close()

    def given_up(self) -> ReadyAnswer:
        """The answer when the time is over; ends the request."""
        waited = in_words(self._within)
        if self._socket is None:
            return self._answered(ReadyState.UNREACHABLE, f"no connection within {waited}")
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        return self._answered(ReadyState.FAILING, f"no complete answer within {waited}")

    def _unreachable(self, error: OSError) -> ReadyAnswer:
        if isinstance(error, socket.gaierror):
            return self._answered(ReadyState.UNREACHABLE, f"the name {self._host} cannot be resolved")
        if isinstance(error, TimeoutError):
            return self._answered(ReadyState.UNREACHABLE, f"no connection within {in_words(self._within)}")
        return self._answered(ReadyState.UNREACHABLE, plain(error.strerror or str(error)).lower())

    def _judged(self, status: int, reason: str, location: str, body: bytes) -> ReadyAnswer:
        if status in REDIRECTS:
            return self._answered(
                ReadyState.UNKNOWN, f"{status}, a redirect to {plain(location) or 'nowhere'}, which is not followed"
            )
        document = _parsed(body)
        ready = document.get("ready")
        if not isinstance(ready, bool):
            return self._not_ours(f"{status} {plain(reason, 40)}".strip(), status, too_long=len(body) > MOST_BYTES)
        if ready and status not in ERRORS:
            return self._answered(ReadyState.READY, "every dependency answers")
        reasons = _reasons(document.get("checks"))
        detail = "; ".join(f"{name}: {why}" for name, why in reasons.items()) or f"{status} without a reason"
        return self._answered(ReadyState.NOT_READY, detail, reasons)

    def _not_ours(self, words: str, status: int, *, too_long: bool) -> ReadyAnswer:
        if status in ERRORS:
            return self._answered(ReadyState.FAILING, words)
        size = f" in the first {MOST_BYTES // 1024} KB" if too_long else ""
        return self._answered(ReadyState.UNKNOWN, f"{words}, without the JSON of an order processor{size}")

    def _answered(self, state: ReadyState, detail: str, reasons: Mapping[str, str] | None = None) -> ReadyAnswer:
        return ReadyAnswer(state, detail, self._url, reasons or {})


def _parsed(body: bytes) -> dict[str, object]:
    """A JSON object; empty for anything else."""
    try:
        document = json.loads(body) if len(body) <= MOST_BYTES else None
    # Deeply nested arrays exceed the limit of recursion.
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _reasons(checks: object) -> dict[str, str]:
    """Why each failed check failed. Nothing about the form of the answer is certain."""
    if not isinstance(checks, dict):
        return {}
    failed = {name: check for name, check in checks.items() if isinstance(check, dict) and check.get("ok") is False}
    pairs = list(failed.items())[:MOST_REASONS]
    return {plain(str(name), 40): plain(str(check.get("detail") or "no reason given")) for name, check in pairs}

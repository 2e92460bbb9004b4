"""Readiness: what the service answers to GET /ready, asked through the load balancer as a client would."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import urlsplit

from orderops.config.environment import Environment
from orderops.config.service import covers_all
from orderops.frozen import Frozen, as_dict, field
from orderops.infra.page import ANSWER_TIME, MOST_BYTES, NoAnswer, PageAnswer, ask_page
from orderops.text.outside import plain

PATH = "/ready"
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


class AppliedMigrations(Frozen):
    """The newest migration that the database has, and how many it has."""

    version: int
    applied: int


class OwnedSchema(Frozen):
    """Whether the database belongs to the owner of the schema, and how many tables and views do not."""

    handed_over: bool
    others: int


class ReadyAnswer(Frozen):
    """The answer; `reasons` has why each dependency is not ready, by its name."""

    state: ReadyState
    detail: str
    url: str = ""
    reasons: Mapping[str, str] = field(default_factory=dict)
    migrations: AppliedMigrations | None = None
    """None if the service does not say it."""
    schema: OwnedSchema | None = None
    """None as well if it does not say it, as an older order processor."""

    def to_dict(self) -> dict[str, object]:
        """As JSON, with stable keys."""
        return {
            "state": str(self.state),
            "detail": self.detail,
            "url": self.url,
            "reasons": dict(self.reasons),
            "migrations": as_dict(self.migrations) if self.migrations else None,
            "schema": as_dict(self.schema) if self.schema else None,
        }


AskReady = Callable[[str], ReadyAnswer]
"""Asks the load balancer at a URL."""


def ask_ready(url: str, *, within: timedelta = ANSWER_TIME) -> ReadyAnswer:
    """Send GET /ready to a load balancer. Returns within this time."""
    page = ask_page(url, PATH, within=within)
    states = {
        NoAnswer.UNREACHABLE: ReadyState.UNREACHABLE,
        NoAnswer.LATE: ReadyState.FAILING,
        NoAnswer.NOT_HTTP: ReadyState.UNKNOWN,
    }
    return ReadyAnswer(states[page.missing], page.detail, page.url) if page.missing else _judged(page)


def asked_service(environment: Environment) -> str | None:
    """The service to which the load balancer routes /ready under the first name; None if it routes it to none."""
    by_priority = sorted(environment.entries, key=environment.routing.priority)
    return next((name for name in by_priority if _answers(environment, name)), None)


def _answers(environment: Environment, service: str) -> bool:
    declared, name = environment.services[service], environment.domain.name
    return covers_all(declared.paths, [PATH]) and (not declared.hosts or name in declared.hosts)


def on_this_machine(url: str) -> bool:
    """Whether the host of a URL is this machine, so that no firewall is in between."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or host.endswith(".localhost") or ip_address(host).is_loopback
    except ValueError:
        return False


def _judged(page: PageAnswer) -> ReadyAnswer:
    if page.status in REDIRECTS:
        detail = f"{page.status}, a redirect to {plain(page.location) or 'nowhere'}, which is not followed"
        return ReadyAnswer(ReadyState.UNKNOWN, detail, page.url)
    document = _parsed(page.body)
    ready = document.get("ready")
    if not isinstance(ready, bool):
        return _not_ours(page)
    if ready and page.status not in ERRORS:
        migrations, schema = _migrations(document), _schema(document)
        return ReadyAnswer(ReadyState.READY, "every dependency answers", page.url, migrations=migrations, schema=schema)
    reasons = _reasons(document.get("checks"))
    detail = "; ".join(f"{name}: {why}" for name, why in reasons.items()) or f"{page.status} without a reason"
    return ReadyAnswer(ReadyState.NOT_READY, detail, page.url, reasons)


def _not_ours(page: PageAnswer) -> ReadyAnswer:
    words = f"{page.status} {plain(page.reason, 40)}".strip()
    if page.status in ERRORS:
        return ReadyAnswer(ReadyState.FAILING, words, page.url)
    size = f" in the first {MOST_BYTES // 1024} KB" if len(page.body) > MOST_BYTES else ""
    return ReadyAnswer(ReadyState.UNKNOWN, f"{words}, without the JSON of an order processor{size}", page.url)


def _migrations(document: Mapping[str, object]) -> AppliedMigrations | None:
    found = document.get("migrations")
    numbers = [found.get(key) for key in ("version", "applied")] if isinstance(found, dict) else []
    known = [number for number in numbers if isinstance(number, int) and not isinstance(number, bool)]
    return AppliedMigrations(known[0], known[1]) if len(known) == 2 else None


def _schema(document: Mapping[str, object]) -> OwnedSchema | None:
    found = document.get("schema")
    if not isinstance(found, dict):
        return None
    handed_over, others = found.get("handed_over"), found.get("others")
    if not isinstance(handed_over, bool) or isinstance(others, bool) or not isinstance(others, int):
        return None
    return OwnedSchema(handed_over, others)


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

"""Responses as a page for browsers and as JSON for other clients."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

NO_STORE_HEADERS = {"Cache-Control": "no-store", "Vary": "Accept", "X-Content-Type-Options": "nosniff"}


def wants_page(request: Request) -> bool:
    """Tell whether the client prefers HTML: it names HTML, and with no lower weight than JSON."""
    preferences = _preferences(request.headers.get("accept", ""))
    html = max(preferences.get("text/html", 0.0), preferences.get("application/xhtml+xml", 0.0))
    return html > 0 and html >= preferences.get("application/json", 0.0)


def wants_fresh(request: Request) -> bool:
    """Tell whether the client does without an answer that is some seconds old (RFC 9111, 5.2.1.4)."""
    given = request.headers.get("cache-control", "").lower().split(",")
    return "no-cache" in (directive.strip() for directive in given)


class Pages:
    """Renderer of pages that load nothing else."""

    def __init__(self, about: Mapping[str, str], *, demonstration: bool) -> None:
        """Link to the pages with people's data only in a demonstration."""
        self._templates = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals["about"] = dict(about)
        self._templates.globals["demonstration"] = demonstration
        self._templates.filters["moment"] = _moment

    def page(self, template: str, status: int = 200, **content: Any) -> Response:
        """Render a page that may run its own script and nothing else."""
        nonce = secrets.token_urlsafe(16)
        html = self._templates.get_template(template).render(nonce=nonce, **content)
        policy = (
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; img-src data:; "
            f"connect-src 'self'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'"
        )
        return HTMLResponse(html, status, {**NO_STORE_HEADERS, "Content-Security-Policy": policy})


def json_answer(content: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON response that no cache stores."""
    return JSONResponse(content, status, {**NO_STORE_HEADERS, **(headers or {})})


def iso(moment: datetime) -> str:
    """Return a time as text, in UTC and to the second."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def read_at(age: float) -> str:
    """Return as text when something was read that is so many seconds old now."""
    return iso(datetime.now(UTC) - timedelta(seconds=age))


def _moment(text: str) -> str:
    return f"{text[:10]} {text[11:16]} UTC"


def _preferences(accept: str) -> dict[str, float]:
    preferences: dict[str, float] = {}
    for part in accept.lower().split(","):
        kind, _, rest = part.partition(";")
        weight = rest.strip().removeprefix("q=") if rest.strip().startswith("q=") else "1"
        try:
            preferences[kind.strip()] = float(weight)
        except ValueError:
            preferences[kind.strip()] = 0.0
    return preferences

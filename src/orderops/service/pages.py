"""The same content as a page for a browser and as JSON for a client."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

_NEVER_STORED = {"Cache-Control": "no-store", "Vary": "Accept", "X-Content-Type-Options": "nosniff"}


def wants_page(request: Request) -> bool:
    """Tell a browser from a client: a browser names HTML and likes it at least as much as JSON."""
    liking = _liking(request.headers.get("accept", ""))
    html = max(liking.get("text/html", 0.0), liking.get("application/xhtml+xml", 0.0))
    return html > 0 and html >= liking.get("application/json", 0.0)


class Pages:
    """Draws the pages; all they need is in the one answer."""

    def __init__(self, about: Mapping[str, str]) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals["about"] = dict(about)
        self._templates.filters["moment"] = _moment

    def page(self, template: str, status: int = 200, **content: Any) -> Response:
        """Draw a page which may run its own script and nothing else."""
        nonce = secrets.token_urlsafe(16)
        html = self._templates.get_template(template).render(nonce=nonce, **content)
        policy = (
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; img-src data:; "
            f"connect-src 'self'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'"
        )
        return HTMLResponse(html, status, {**_NEVER_STORED, "Content-Security-Policy": policy})


def json_answer(content: Mapping[str, Any], status: int = 200) -> Response:
    """Answer a client; nothing between it and us keeps a copy."""
    return JSONResponse(content, status, _NEVER_STORED)


def _moment(iso: str) -> str:
    return f"{iso[:10]} {iso[11:16]} UTC"


def _liking(accept: str) -> dict[str, float]:
    liking: dict[str, float] = {}
    for part in accept.lower().split(","):
        kind, _, rest = part.partition(";")
        weight = rest.strip().removeprefix("q=") if rest.strip().startswith("q=") else "1"
        try:
            liking[kind.strip()] = float(weight)
        except ValueError:
            liking[kind.strip()] = 0.0
    return liking

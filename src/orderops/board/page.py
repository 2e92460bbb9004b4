"""The page of a board: one document that loads nothing, with a policy by which browsers enforce that."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from orderops.board.reading import BoardReading
from orderops.board.view import customer_view, engineer_view
from orderops.frozen import Frozen

TEMPLATES = Path(__file__).parent / "templates"


class Refresh(Frozen):
    """How often a page reads itself again where it was loaded from, and from which age on it says how old it is."""

    every: timedelta
    stale_after: timedelta


def board_page(reading: BoardReading, *, detail: bool, refresh: Refresh | None = None, notice: str = "") -> str:
    """The page as HTML. A `notice` stands above everything else."""
    style, script = _text("board.css"), _text("board.js") if refresh else ""
    return _template().render(
        customer=customer_view(reading),
        engineer=engineer_view(reading) if detail else None,
        refresh=refresh,
        notice=notice,
        style=style,
        script=script,
        policy=_policy(style, script),
    )


def _policy(style: str, script: str) -> str:
    """The policy of the page: its own style and script, by their hashes, and nothing from anywhere."""
    sources = [
        "default-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "img-src data:",
        f"style-src {_hash(style)}",
    ]
    if script:
        sources += [f"script-src {_hash(script)}", "connect-src 'self'"]
    return "; ".join(sources)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _text(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8").strip()


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("board.html")

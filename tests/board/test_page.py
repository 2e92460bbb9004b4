"""The page as a document: one file, and a policy that allows its own style and script only."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import timedelta
from functools import cache
from html import unescape

import pytest

from orderops.board.page import Refresh, board_page
from support.boards import situations

REFRESH = Refresh(timedelta(seconds=30), timedelta(minutes=2))
NAMES = [
    f"{name}{detail}{renewed}"
    for name in ("healthy", "degraded", "down", "no-data")
    for detail in (" customers", " detail")
    for renewed in ("", " renewed")
]


@cache
def page_of(name: str) -> str:
    """A page by its name. Made when a test needs it: each worker of a run imports this module."""
    situation, audience, *renewed = name.split()
    return board_page(situations()[situation], detail=audience == "detail", refresh=REFRESH if renewed else None)


def test_every_situation_has_its_pages() -> None:
    assert {name.split()[0] for name in NAMES} == situations().keys()


@pytest.mark.parametrize("name", NAMES)
def test_a_page_loads_nothing(name: str) -> None:
    page = page_of(name)
    links = re.findall(r'(?:href|src|action)="([^"]+)"', page)

    assert set(links) <= {"data:,", "http://orderops-prod-balancer-1234.ap-southeast-2.elb.amazonaws.com"}
    assert not re.search(r"url\(|@import|<link(?! rel=\"icon\")|<iframe|<object| style=| on\w+=", page)


@pytest.mark.parametrize("name", NAMES)
def test_the_policy_allows_the_style_and_the_script_of_the_page_by_their_hashes(name: str) -> None:
    page = page_of(name)
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    parts = dict(part.split(" ", 1) for part in unescape(policy).split("; "))

    assert parts["default-src"] == "'none'"
    assert parts["style-src"] == hash_of(page, "style")
    if "renewed" in name:
        assert (parts["script-src"], parts["connect-src"]) == (hash_of(page, "script"), "'self'")
    else:
        assert "script-src" not in parts
        assert "<script" not in page


def hash_of(page: str, tag: str) -> str:
    [text] = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_small(name: str) -> None:
    assert len(page_of(name).encode()) < 400_000


@pytest.mark.parametrize("name", NAMES)
def test_no_id_stands_twice(name: str) -> None:
    ids = re.findall(r'\bid="([^"]+)"', page_of(name))

    assert len(ids) == len(set(ids))

"""The page as a document: one file, and a policy that allows its own style and script only."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import timedelta
from html import unescape

import pytest

from orderops.board.page import Refresh, board_page
from support.boards import situations

REFRESH = Refresh(timedelta(seconds=30), timedelta(minutes=2))
PAGES = {
    f"{name} {'detail' if detail else 'customers'}{' renewed' if refresh else ''}": board_page(
        reading, detail=detail, refresh=refresh
    )
    for name, reading in situations().items()
    for detail in (False, True)
    for refresh in (None, REFRESH)
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_loads_nothing(name: str) -> None:
    page = PAGES[name]
    links = re.findall(r'(?:href|src|action)="([^"]+)"', page)

    assert set(links) <= {"data:,", "http://orderops-prod-balancer-1234.ap-southeast-2.elb.amazonaws.com"}
    assert not re.search(r"url\(|@import|<link(?! rel=\"icon\")|<iframe|<object| style=| on\w+=", page)


@pytest.mark.parametrize("name", PAGES)
def test_the_policy_allows_the_style_and_the_script_of_the_page_by_their_hashes(name: str) -> None:
    page = PAGES[name]
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


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_small(name: str) -> None:
    assert len(PAGES[name].encode()) < 400_000


@pytest.mark.parametrize("name", PAGES)
def test_no_id_stands_twice(name: str) -> None:
    ids = re.findall(r'\bid="([^"]+)"', PAGES[name])

    assert len(ids) == len(set(ids))

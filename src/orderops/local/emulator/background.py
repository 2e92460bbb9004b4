"""Posting to those who subscribed, beside the call that caused it."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

log = logging.getLogger(__name__)
PATIENCE = 10.0


class Background:
    """Stands in for the module `requests` where moto posts: sends later, and an unreachable end harms nobody."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="post")

    def post(self, url: str, **what: Any) -> None:
        self._pool.submit(_post, url, what)


def _post(url: str, what: dict[str, Any]) -> None:
    try:
        httpx.post(url, timeout=PATIENCE, **what)
    except httpx.HTTPError as error:
        log.warning("%s did not take a notification: %s", url, error)

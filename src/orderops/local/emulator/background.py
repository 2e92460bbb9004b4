"""Deliver notifications to subscribers in the background."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

log = logging.getLogger(__name__)
# Seconds. SNS gives an HTTP endpoint 15 s to answer.
TIMEOUT = 10.0


class Background:
    """Replacement for the module `requests` where moto posts notifications.

    Posts from a thread pool, so that an unreachable subscriber delays no request.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="post")

    def post(self, url: str, **arguments: Any) -> None:
        self._pool.submit(_post, url, arguments)


def _post(url: str, arguments: dict[str, Any]) -> None:
    try:
        httpx.post(url, timeout=TIMEOUT, **arguments)
    except httpx.HTTPError as error:
        log.warning("cannot deliver a notification to %s: %s", url, error)

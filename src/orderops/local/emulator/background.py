"""Deliver notifications to subscribers in the background."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

log = logging.getLogger(__name__)
# Seconds. SNS gives an HTTP endpoint 15 s to answer.
TIMEOUT = 10.0
HEADERS = {"message-type": "Type", "message-id": "MessageId", "topic-arn": "TopicArn"}


class Background:
    """Replacement for the module `requests` where moto posts notifications.

    Posts from a thread pool, so that an unreachable subscriber delays no request.
    """

    def __init__(self, delivered: Callable[[str, bool], None] = lambda topic, arrived: None) -> None:
        """`delivered` is called with the topic of a notification, and whether its subscriber took it."""
        self._delivered = delivered
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="post")

    def post(self, url: str, **arguments: Any) -> None:
        self._pool.submit(self._post, url, arguments)

    def _post(self, url: str, arguments: dict[str, Any]) -> None:
        arrived = False
        notification = arguments.get("json", {})
        # moto leaves these out; a receiver tells from them what arrives.
        headers = {
            **arguments.pop("headers", {}),
            **{f"x-amz-sns-{name}": notification[key] for name, key in HEADERS.items() if key in notification},
        }
        try:
            arrived = httpx.post(url, timeout=TIMEOUT, headers=headers, **arguments).is_success
        # A wrong address raises InvalidURL, which is no HTTPError.
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            log.warning("cannot deliver a notification to %s: %s", url, error)
        if topic := notification.get("TopicArn"):
            self._delivered(topic, arrived)

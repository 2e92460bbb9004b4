from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from orderops.service.address import AddressBook
from orderops.service.app import create_app
from orderops.service.database import OrderStore, Result
from orderops.service.logs import JsonLines
from orderops.service.pool import Connection
from orderops.service.queues import Depth, Queue
from orderops.service.settings import read_settings

SETTINGS = read_settings(
    {
        "AWS_REGION": "ap-southeast-2",
        "ORDEROPS_ENVIRONMENT": "test",
        "QUEUE_URL": "https://sqs.ap-southeast-2.amazonaws.com/111122223333/orders",
        "DATABASE_SECRET": "database",
        "DEMONSTRATION": "on",
    }
)


class FaultyDatabase(OrderStore):
    """Database client with a bug."""

    def __init__(self) -> None:
        super().__init__(AddressBook(None, "database"), pool_size=1)

    def run(self, work: Callable[[Connection], Result]) -> Result:
        raise ZeroDivisionError("a mistake of ours")


class EmptyQueue(Queue):
    """Queue without messages."""

    def __init__(self) -> None:
        super().__init__(None, "https://sqs.example/orders")

    def depth(self) -> Depth:
        return Depth(0, 0, 0, None)


def ask(path: str, **headers: str) -> httpx.Response:
    app: Any = create_app(SETTINGS, FaultyDatabase(), EmptyQueue(), started_at=datetime.now(UTC))

    async def once() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(once())


def test_a_bug_yields_a_500_with_the_request_id(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        response = ask("/users", **{"X-Request-Id": "abc"})

    assert response.status_code == 500
    assert response.json()["request_id"] == "abc"
    assert "mistake of ours" not in response.text
    assert response.headers["x-request-id"] == "abc"
    faults = [json.loads(JsonLines().format(record)) for record in caplog.records if record.levelname == "ERROR"]
    assert len(faults) == 1
    assert "ZeroDivisionError: a mistake of ours" in faults[0]["exception"]


def test_a_bug_yields_a_page_in_a_browser() -> None:
    response = ask("/users", accept="text/html")

    assert response.status_code == 500
    assert "Internal error" in response.text

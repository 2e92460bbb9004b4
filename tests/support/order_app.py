"""The service's application in this process, with a queue in memory and a real database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from orderops.service.app import create_app
from orderops.service.delivery import Delivery, Parts
from orderops.service.gate import Gate
from orderops.service.heartbeat import Heartbeat
from orderops.service.inbox import Inbox
from orderops.service.metrics import Metrics
from orderops.service.order_writer import OrderWriter
from orderops.service.queues import Queue
from orderops.service.read_router import ReadRouter
from orderops.service.settings import read_settings
from orderops.service.tokens import Tokens
from orderops.service.tracing import Tracing
from support.fake_queue import DEAD_LETTERS, URL, FakeQueue
from support.order_database import OrderDatabase

ORDER = {"customer": 1, "currency": "AUD", "items": [{"sku": "tea", "quantity": 2, "unit_price": 1250}]}
VARIABLES = {
    "AWS_REGION": "ap-southeast-2",
    "ORDEROPS_ENVIRONMENT": "test",
    "ORDEROPS_VERSION": "7-abc1234",
    "QUEUE_URL": URL,
    "DATABASE_SECRET": "database",
}


@dataclass
class OrderApp:
    """An application and its surroundings; each request runs in a loop of its own."""

    database: OrderDatabase
    variables: Mapping[str, str] = field(default_factory=dict)
    tokens: Tokens | None = None
    queue: FakeQueue = field(default_factory=FakeQueue)
    metrics: Metrics = field(default_factory=Metrics)
    tracing: Tracing = field(default_factory=Tracing)
    reads: ReadRouter | None = None

    def __post_init__(self) -> None:
        self.asgi: Any = create_app(
            read_settings({**VARIABLES, **self.variables}),
            self.database.store,
            Queue(self.queue, URL, DEAD_LETTERS),
            started_at=datetime.now(UTC),
            tokens=self.tokens,
            metrics=self.metrics,
            tracing=self.tracing,
            reads=self.reads,
        )

    def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Send a request."""

        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(self.asgi)
            async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
                return await client.request(method, path, **more)

        return asyncio.run(once())

    def crowd(self, path: str, *, clients: int) -> list[httpx.Response]:
        """Send the same request from many clients at once."""

        async def all_at_once() -> list[httpx.Response]:
            transport = httpx.ASGITransport(self.asgi)
            async with httpx.AsyncClient(transport=transport, base_url="http://service", timeout=60) as client:
                return list(await asyncio.gather(*(client.get(path) for _ in range(clients))))

        return asyncio.run(all_at_once())

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.send("GET", path, headers=headers)

    def page(self, path: str) -> str:
        """Return the page that a browser gets."""
        return self.get(path, accept="text/html").text

    def place(self, order: Any = None, *, key: str | None = None, **headers: str) -> httpx.Response:
        """Place an order, with an idempotency key if there is one."""
        given = {"Idempotency-Key": key} if key else {}
        return self.send("POST", "/orders", json=order or ORDER, headers={**given, **headers})

    def deliver(self) -> None:
        """Write the orders of the queue, as a consumer does."""
        inbox = Inbox(self.queue, URL, DEAD_LETTERS, poll_seconds=0)
        writer, gate = OrderWriter(self.database.store), Gate(pause_seconds=0.02)
        parts = Parts(inbox, writer, Heartbeat(inbox), self.metrics, gate, tracing=self.tracing)
        while messages := inbox.receive():
            Delivery(parts, messages).run()

    def messages(self) -> list[dict[str, Any]]:
        """Return the bodies of the messages in the queue."""
        return [json.loads(message.body) for message in self.queue.messages]

"""Handlers of /orders: place an order, follow it, list orders."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from orderops.service.circuit import Unavailable
from orderops.service.logs import request_id
from orderops.service.metrics import Metrics
from orderops.service.order_reader import KeyState, OrderReader, OrderState
from orderops.service.orders import KEY_PATTERN, LARGEST_REQUEST, InvalidOrder, Order, PlacedOrder, read_order
from orderops.service.pages import Pages, iso, json_answer, read_at, wants_fresh, wants_page
from orderops.service.problems import RefusedRequest
from orderops.service.queues import Queue
from orderops.service.threads import Threads
from orderops.service.tokens import Tokens
from orderops.service.tracing import Tracing

log = logging.getLogger(__name__)
Result = TypeVar("Result")

DEFAULT_LIMIT, LARGEST_LIMIT = 50, 200
# Seconds for which an order waits for the database: it is accepted without.
DATABASE_SECONDS = 1.0
RETRY_AFTER = {"Retry-After": "2"}
# Microseconds since the epoch, up to the year 2286, and an id.
CURSOR_PATTERN = r"^[0-9]{1,16}-[0-9a-f]{32}$"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class OrderRoutes:
    """Orders as clients see them."""

    def __init__(
        self,
        reader: OrderReader,
        queue: Queue,
        tokens: Tokens | None,
        metrics: Metrics,
        pages: Pages | None,
        tracing: Tracing,
        threads: Threads,
    ) -> None:
        """Show pages only if they are given; ask for a token only if tokens are."""
        self._reader = reader
        self._queue = queue
        self._tokens = tokens
        self._metrics = metrics
        self._pages = pages
        self._tracing = tracing
        self._threads = threads

    async def orders(self, request: Request) -> Response:
        """Place an order with POST, list orders with GET."""
        await self._admit(request)
        return await (self._place(request) if request.method == "POST" else self._list(request))

    async def order(self, request: Request) -> Response:
        """Show an order."""
        await self._admit(request)
        identifier = _identifier(request.path_params["id"])
        state = await self._answer(lambda: self._reader.order(identifier)) if identifier else None
        if state is None:
            raise RefusedRequest(404, "no order with this id is known; see GET /orders/{id} in /openapi.json")
        if self._pages and wants_page(request):
            return self._pages.page("order.html", order=order_json(state))
        return json_answer(order_json(state))

    async def _admit(self, request: Request) -> None:
        if self._tokens is None:
            return
        tokens, given = self._tokens, request.headers.get("authorization", "")
        if not await self._answer(lambda: tokens.admits(given)):
            raise RefusedRequest(401, "a valid bearer token is needed", headers={"WWW-Authenticate": "Bearer"})

    async def _place(self, request: Request) -> Response:
        key = request.headers.get("idempotency-key")
        if key is not None and not re.fullmatch(KEY_PATTERN, key):
            raise RefusedRequest(400, "Idempotency-Key must have 1 to 200 visible ASCII characters, and no spaces")
        order = await _order(request)
        placed = PlacedOrder(key or f"generated-{uuid4()}", order, datetime.now(UTC), request_id.get())
        known = await self._key(placed) if key else None
        if known and known.conflict:
            raise RefusedRequest(409, "this Idempotency-Key was used for another order")
        if not (known and known.written):
            await self._send(placed, known)
        identifier = (known and known.written) or placed.id
        path = f"/orders/{identifier}"
        content = {"id": identifier, "status": "processed" if known and known.written else "queued", "href": path}
        return json_answer(content, 202, {"Location": path})

    async def _send(self, placed: PlacedOrder, known: KeyState | None) -> None:
        with self._tracing.sending() as attributes:
            await self._answer(lambda: self._queue.send(placed.message(), attributes))
        self._metrics.add("Accepted")
        log.info("order accepted", extra={"order_id": placed.id})
        # The order is accepted, whatever happens now: the queue holds it.
        await self._if_possible(lambda: self._reader.queued(placed, known.checked_at if known else None))

    async def _key(self, placed: PlacedOrder) -> KeyState | None:
        """Return what is known of the key; None while the database does not answer."""
        return await self._if_possible(lambda: self._reader.key(placed))

    async def _list(self, request: Request) -> Response:
        limit, before = _limit(request), _cursor(request)
        page = await self._answer(lambda: self._reader.page(limit + 1, before, fresh=wants_fresh(request)))
        states, shown = page.value, page.value[:limit]
        more = f"/orders?limit={limit}&before={_text(shown[-1])}" if len(states) > limit else None
        content = {"orders": [order_json(state) for state in shown], "next": more, "read_at": read_at(page.age)}
        if self._pages and wants_page(request):
            return self._pages.page("orders.html", content=content, first=before is None)
        return json_answer(content)

    async def _answer(self, question: Callable[[], Result]) -> Result:
        """Return the answer of a dependency. Raises RefusedRequest 503 if there is none."""
        try:
            return await self._threads.answer(question)
        except Unavailable as error:
            log.warning("not served: %s", error)
            raise RefusedRequest(503, f"try again later: {error.public}", headers=RETRY_AFTER) from None

    async def _if_possible(self, question: Callable[[], Result]) -> Result | None:
        """Return the answer of the database; None if it gives none in time."""
        try:
            return await asyncio.wait_for(self._threads.answer(question), DATABASE_SECONDS)
        except TimeoutError:
            log.info("an order is accepted without the database: no answer within %g s", DATABASE_SECONDS)
        except Unavailable as error:
            log.info("an order is accepted without the database: %s", error)
        return None


def order_json(state: OrderState) -> dict[str, Any]:
    """Return what is known of an order: what is None is left out."""
    content = {
        "id": str(state.id),
        "href": f"/orders/{state.id}",
        "status": state.status,
        "reason": state.reason,
        "placed_at": iso(state.placed_at),
        "processed_at": state.processed_at and iso(state.processed_at),
        "customer": state.customer,
        "currency": state.currency,
        "total": state.total,
        "items": state.items or None,
    }
    return {name: value for name, value in content.items() if value is not None}


async def _order(request: Request) -> Order:
    """Read the order in a request. Raises RefusedRequest."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise RefusedRequest(415, "the order must be sent as application/json")
    body = b""
    try:
        async for part in request.stream():
            body += part
            if len(body) > LARGEST_REQUEST:
                raise RefusedRequest(413, f"an order has at most {LARGEST_REQUEST} bytes")
    except ClientDisconnect:
        raise RefusedRequest(400, "the request ended before its body") from None
    try:
        return read_order(body)
    except InvalidOrder as error:
        raise RefusedRequest(422, "the order is not valid", problems=error.problems) from None


def _identifier(text: str) -> UUID | None:
    # UUID() accepts braces and missing hyphens, which would give an order several paths.
    return UUID(text) if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text) else None


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", str(DEFAULT_LIMIT))
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= LARGEST_LIMIT:
        raise RefusedRequest(400, f"limit must be 1 to {LARGEST_LIMIT}")
    return int(text)


def _cursor(request: Request) -> tuple[datetime, UUID] | None:
    text = request.query_params.get("before")
    if text is None:
        return None
    if not re.fullmatch(CURSOR_PATTERN, text):
        raise RefusedRequest(400, "before must be taken from the `next` of another page")
    microseconds, _, identifier = text.partition("-")
    return _EPOCH + timedelta(microseconds=int(microseconds)), UUID(identifier)


def _text(state: OrderState) -> str:
    """Return the cursor behind an order."""
    return f"{(state.placed_at - _EPOCH) // timedelta(microseconds=1)}-{state.id.hex}"

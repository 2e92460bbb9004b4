"""What is known of orders: those that are written, those in the queue, and those that failed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row, dict_row

from orderops.service.database import OrderStore
from orderops.service.orders import PlacedOrder
from orderops.service.pool import Connection
from orderops.service.read_router import ReadRouter
from orderops.service.replica import ReadResult

# The longest retention of SQS: a message that is older is no longer in a queue.
_QUEUED = "interval '14 days'"
_WRITTEN = """
    SELECT id, 'processed' AS status, placed_at, created_at AS processed_at, NULL AS reason,
        user_id AS customer, currency, total_cents AS total
    FROM orders
"""
# A row whose order is written may be left over: it was inserted by the request while the consumer wrote the order.
_OTHERS = f"""
    SELECT id,
        CASE WHEN placed_at < now() - {_QUEUED} THEN 'failed' ELSE status END AS status,
        placed_at, NULL::timestamptz AS processed_at,
        CASE WHEN status = 'queued' AND placed_at < now() - {_QUEUED} THEN 'not written within 14 days' ELSE reason END
            AS reason,
        NULL::bigint AS customer, NULL AS currency, NULL::bigint AS total
    FROM accepted_orders
    WHERE NOT EXISTS (SELECT FROM orders WHERE orders.id = accepted_orders.id)
"""
# One statement, so one snapshot: an order that is being written is in one half or in the other.
_ONE = f"""
    SELECT * FROM ({_WRITTEN} WHERE id = %(id)s) AS written
    UNION ALL
    SELECT * FROM ({_OTHERS} AND id = %(id)s) AS others
"""
_ITEMS = """
    SELECT sku, quantity, unit_price_cents AS unit_price FROM order_items WHERE order_id = %(id)s ORDER BY line
"""
# The row values are compared as a whole, so the index gives the page without sorting.
_PAGE = """(placed_at, id) < (%(time)s, %(id)s) ORDER BY placed_at DESC, id DESC LIMIT %(limit)s"""
_LIST = f"""
    SELECT * FROM (
        ({_WRITTEN} WHERE {_PAGE}) UNION ALL ({_OTHERS} AND {_PAGE})
    ) AS orders ORDER BY placed_at DESC, id DESC LIMIT %(limit)s
"""
_KEY = """
    SELECT now() AS checked_at,
        (SELECT request_sha256 FROM idempotency_keys WHERE key = %(key)s) AS digest,
        (SELECT order_id::text FROM idempotency_keys WHERE key = %(key)s) AS written,
        EXISTS (
            SELECT FROM accepted_orders
            WHERE key = %(key)s AND id <> %(id)s AND status = 'queued'
                AND NOT EXISTS (SELECT FROM orders WHERE orders.id = accepted_orders.id)
        ) AS other_queued
"""
# A failure that was recorded after the key was checked is of this message, and stays.
_QUEUE = """
    INSERT INTO accepted_orders (id, key, placed_at)
    SELECT %(id)s, %(key)s, %(placed_at)s WHERE NOT EXISTS (SELECT FROM orders WHERE id = %(id)s)
    ON CONFLICT (id) DO UPDATE
        SET status = 'queued', reason = NULL, failed_at = NULL, placed_at = excluded.placed_at
        WHERE accepted_orders.status = 'failed' AND accepted_orders.failed_at < %(checked_at)s
"""


@dataclass(frozen=True)
class OrderState:
    """An order as far as it is known; customer, currency and total only once it is written."""

    id: UUID
    status: str
    placed_at: datetime
    processed_at: datetime | None
    reason: str | None
    customer: int | None
    currency: str | None
    total: int | None
    items: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class KeyState:
    """What is known of an idempotency key."""

    checked_at: datetime
    written: str | None
    """The order that was written under this key."""
    conflict: bool
    """Whether the key belongs to another order."""


class OrderReader:
    """Questions of clients. All raise Unavailable or one of its kinds."""

    def __init__(self, store: OrderStore, reads: ReadRouter | None = None) -> None:
        self._store = store
        self._reads = reads or ReadRouter(store)

    def order(self, identifier: UUID) -> OrderState | None:
        """Return an order, with its items if it is written; None if it is unknown.

        Always of the primary: its client has just placed it, and a task that knows nothing of that may be asked.
        """

        def read(connection: Connection) -> OrderState | None:
            with connection.cursor(row_factory=class_row(OrderState)) as cursor:
                state = cursor.execute(_ONE, {"id": identifier}).fetchone()
            if state and state.status == "processed":
                with connection.cursor(row_factory=dict_row) as cursor:
                    state.items.extend(cursor.execute(_ITEMS, {"id": identifier}).fetchall())
            return state

        return self._store.run(read)

    def page(
        self, limit: int, before: tuple[datetime, UUID] | None = None, *, fresh: bool = False
    ) -> ReadResult[list[OrderState]]:
        """Return the newest orders, or the newest of those before a time and an id; of the primary if `fresh`."""
        time, identifier = before or ("infinity", UUID(int=0))

        def read(connection: Connection) -> list[OrderState]:
            with connection.cursor(row_factory=class_row(OrderState)) as cursor:
                return cursor.execute(_LIST, {"time": time, "id": identifier, "limit": limit}).fetchall()

        return self._reads.answer(read, fresh=fresh)

    def key(self, order: PlacedOrder) -> KeyState:
        """Return whether the key of an order is free, its own, or another order's."""

        def read(connection: Connection) -> KeyState:
            with connection.cursor(row_factory=dict_row) as cursor:
                row = cursor.execute(_KEY, {"key": order.key, "id": order.id}).fetchone()
            assert row  # a SELECT without FROM
            other_written = row["digest"] is not None and bytes(row["digest"]) != order.digest
            written = None if other_written else row["written"]
            return KeyState(row["checked_at"], written, other_written or (written is None and row["other_queued"]))

        return self._store.run(read)

    def queued(self, order: PlacedOrder, checked_at: datetime | None) -> None:
        """Record that the message of an order was sent, after its key was checked at this time of the database."""
        values = {"id": order.id, "key": order.key, "placed_at": order.placed_at, "checked_at": checked_at}
        self._store.run(lambda connection: connection.execute(_QUEUE, values))

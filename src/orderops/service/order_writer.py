"""Orders written exactly once in effect: the idempotency key is inserted in the transaction of the order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from orderops.service.circuit import Rejected, Unavailable
from orderops.service.database import OrderStore
from orderops.service.orders import PlacedOrder
from orderops.service.pool import Connection

# One statement, so one round trip and one transaction, for a batch as for a single order. The keys are sorted: two
# tasks with the same keys wait for each other in the same order, and never both at once. A second delivery waits at
# the key until the first is committed, then inserts nothing. The id can be taken while its key is free: old keys may
# be deleted.
_WRITE = """
WITH message AS (
    SELECT * FROM unnest(
        %(ids)s::uuid[], %(keys)s::text[], %(digests)s::bytea[], %(customers)s::bigint[], %(currencies)s::text[],
        %(totals)s::bigint[], %(times)s::timestamptz[]
    ) AS message (id, key, digest, customer, currency, total, placed_at)
), taken AS (
    INSERT INTO idempotency_keys (key, order_id, request_sha256)
    SELECT key, id, digest FROM message ORDER BY key, id
    ON CONFLICT DO NOTHING
    RETURNING order_id
), placed AS (
    INSERT INTO orders (id, user_id, currency, total_cents, placed_at)
    SELECT id, customer, currency, total, placed_at FROM message JOIN taken ON taken.order_id = message.id
    ON CONFLICT DO NOTHING
    RETURNING id
), lines AS (
    INSERT INTO order_items (order_id, line, sku, quantity, unit_price_cents)
    SELECT item.order_id, item.line, item.sku, item.quantity, item.price
    FROM unnest(
        %(item_orders)s::uuid[], %(lines)s::integer[], %(skus)s::text[], %(quantities)s::integer[], %(prices)s::bigint[]
    ) AS item (order_id, line, sku, quantity, price)
    JOIN placed ON placed.id = item.order_id
), settled AS (
    DELETE FROM accepted_orders USING placed WHERE accepted_orders.id = placed.id
)
SELECT id FROM placed
"""

_DIGESTS = "SELECT key, request_sha256 FROM idempotency_keys WHERE key = ANY(%s)"

_FAIL = """
INSERT INTO accepted_orders (id, key, status, reason, placed_at, failed_at)
SELECT %(id)s, %(key)s, 'failed', %(reason)s, %(placed_at)s, now()
WHERE NOT EXISTS (SELECT FROM orders WHERE id = %(id)s)
ON CONFLICT (id) DO UPDATE SET status = 'failed', reason = excluded.reason, failed_at = excluded.failed_at
"""


@dataclass(frozen=True)
class Written:
    """What became of a batch, by the ids of its orders."""

    new: frozenset[UUID]
    duplicates: frozenset[UUID]
    """Orders that had been written before."""
    conflicts: frozenset[UUID]
    """Orders whose key belongs to another order."""


class OrderWriter:
    """Writes of the consumer."""

    def __init__(self, store: OrderStore) -> None:
        self._store = store

    def check(self) -> None:
        """Return when the database answers. Raises Unavailable."""
        self._store.check()

    def write(self, orders: Sequence[PlacedOrder]) -> Written:
        """Write the orders in one transaction: all that are new, or none. Raises Unavailable or one of its kinds."""
        by_id = {order.id: order for order in orders}
        values = _values(by_id)
        new = self._store.run(lambda connection: frozenset(row[0] for row in connection.execute(_WRITE, values)))
        rest = [order for identifier, order in by_id.items() if identifier not in new]
        if not rest:
            return Written(new, frozenset(), frozenset())
        digests = self._store.run(lambda connection: _digests(connection, [order.key for order in rest]))
        if any(order.key not in digests for order in rest):
            # Deleted between the two statements, as old keys may be.
            raise Unavailable("an idempotency key was deleted while its order came again")
        duplicates = frozenset(order.id for order in rest if digests[order.key] == order.digest)
        return Written(new, duplicates, frozenset(order.id for order in rest) - duplicates)

    def fail(self, order: PlacedOrder, reason: str) -> None:
        """Record an order that will not be written as it is; it stays written if it is. Raises Unavailable."""
        values = {"id": order.id, "key": order.key, "reason": reason, "placed_at": order.placed_at}
        self._store.run(lambda connection: connection.execute(_FAIL, values))


def reason_of(error: Rejected, order: PlacedOrder) -> str:
    """Return why the database refuses an order, in words for its customer."""
    if "orders_user_id_fkey" in str(error):
        return f"customer {order.order.customer} does not exist"
    return "the database refuses its values"


def _digests(connection: Connection, keys: list[str]) -> dict[str, bytes]:
    return {key: bytes(digest) for key, digest in connection.execute(_DIGESTS, (keys,))}


def _values(by_id: dict[UUID, PlacedOrder]) -> dict[str, Any]:
    """Return the columns of the batch, each as a list."""
    orders = by_id.values()
    lines = [
        (identifier, number, item)
        for identifier, order in by_id.items()
        for number, item in enumerate(order.order.items, 1)
    ]
    return {
        "ids": list(by_id),
        "keys": [order.key for order in orders],
        "digests": [order.digest for order in orders],
        "customers": [order.order.customer for order in orders],
        "currencies": [order.order.currency for order in orders],
        "totals": [order.order.total for order in orders],
        "times": [order.placed_at for order in orders],
        "item_orders": [identifier for identifier, _, _ in lines],
        "lines": [number for _, number, _ in lines],
        "skus": [item.sku for _, _, item in lines],
        "quantities": [item.quantity for _, _, item in lines],
        "prices": [item.unit_price for _, _, item in lines],
    }

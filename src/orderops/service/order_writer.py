"""Orders written exactly once in effect: the idempotency key is inserted in the transaction of the order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

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
    SELECT * FROM json_to_recordset(%(orders)s::json) AS message (
        id uuid, key text, digest bytea, customer bigint, currency text, total bigint, placed_at timestamptz
    )
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
    FROM json_to_recordset(%(items)s::json) AS item (
        order_id uuid, line integer, sku text, quantity integer, price bigint
    )
    JOIN placed ON placed.id = item.order_id
), settled AS (
    DELETE FROM accepted_orders USING placed WHERE accepted_orders.id = placed.id
)
SELECT id::text FROM placed
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

    new: frozenset[str]
    duplicates: frozenset[str]
    """Orders that had been written before."""
    conflicts: frozenset[str]
    """Orders whose key belongs to another order."""


class OrderWriter:
    """Writes of the consumer."""

    def __init__(self, store: OrderStore) -> None:
        self._store = store

    def check(self) -> None:
        """Return when the database answers, or did so within the last second. Raises Unavailable."""
        self._store.check(within=1.0)

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


def _values(by_id: dict[str, PlacedOrder]) -> dict[str, str]:
    """Return the rows of the batch as JSON, which takes half of the time that arrays of columns take."""
    orders = [
        {
            "id": identifier,
            "key": placed.key,
            "digest": f"\\x{placed.digest.hex()}",
            "customer": placed.order.customer,
            "currency": placed.order.currency,
            "total": placed.order.total,
            "placed_at": placed.placed_at.isoformat(),
        }
        for identifier, placed in by_id.items()
    ]
    items = [
        {
            "order_id": identifier,
            "line": line,
            "sku": item.sku,
            "quantity": item.quantity,
            "price": item.unit_price,
        }
        for identifier, placed in by_id.items()
        for line, item in enumerate(placed.order.items, 1)
    ]
    return {"orders": json.dumps(orders), "items": json.dumps(items)}

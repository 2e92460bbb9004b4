"""A database with the migrations of the repository, and the service's own client of it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg

from orderops.local.rds.postgres import PostgresServer
from orderops.service.address import AddressBook
from orderops.service.database import OrderStore
from orderops.service.orders import PlacedOrder, read_order
from support.repository import SQL


class OneSecret:
    """A boto3 client of Secrets Manager in which every secret has the same value."""

    def __init__(self, value: dict[str, Any]) -> None:
        self.value = value

    def get_secret_value(self, SecretId: str) -> dict[str, str]:  # noqa: N803
        return {"SecretString": json.dumps(self.value)}


@dataclass
class OrderDatabase:
    """Database of one test."""

    server: PostgresServer
    name: str
    store: OrderStore
    secret: OneSecret

    def session(self) -> psycopg.Connection:
        """Return an administrator's session."""
        return self.server.connect(self.name)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self.session() as session:
            return session.execute(query.encode()).fetchall()


CLEANED = """
DROP FUNCTION IF EXISTS fail CASCADE;
DELETE FROM accepted_orders;
DELETE FROM idempotency_keys;
DELETE FROM orders;
DELETE FROM users WHERE id > 3
"""


@contextmanager
def order_database(server: PostgresServer, *, pool_size: int = 4) -> Iterator[OrderDatabase]:
    """Create a database, and drop it at the end."""
    name = f"o{uuid.uuid4().hex[:12]}"
    server.create_database(name)
    with server.connect(name) as session:
        for file in sorted(SQL.glob("V*.sql")):
            session.execute(file.read_bytes())
    try:
        with opened(server, name, pool_size=pool_size) as database:
            yield database
    finally:
        server.start()
        server.drop_database(name)


@contextmanager
def opened(
    server: PostgresServer, name: str, *, pool_size: int = 4, keep_seconds: float = 30.0, replicas: Sequence[Any] = ()
) -> Iterator[OrderDatabase]:
    """Open a database with a client of its own, which knows nothing of an earlier outage."""
    where = {"host": "127.0.0.1", "port": server.port, "dbname": name, "sslmode": "disable"}
    login = {"credentials": "login", "username": server.administrator, "password": server.password}
    secret = OneSecret({**where, **login, "replicas": list(replicas)})
    store = OrderStore(AddressBook(secret, "database", keep_seconds=keep_seconds), pool_size=pool_size)
    try:
        yield OrderDatabase(server, name, store, secret)
    finally:
        store.close()


def placed(
    key: str | None = None, *, customer: int = 1, skus: Sequence[str] = ("tea",), at: datetime | None = None
) -> PlacedOrder:
    """Return an accepted order."""
    items = [{"sku": sku, "quantity": 2, "unit_price": 1250} for sku in skus]
    body = json.dumps({"customer": customer, "currency": "AUD", "items": items})
    return PlacedOrder(key or f"key-{uuid.uuid4()}", read_order(body.encode()), at or datetime.now(UTC), "request-1")

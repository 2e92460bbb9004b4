from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from orderops.local.rds.postgres import PostgresServer
from support.repository import SQL

FORWARDS = sorted(SQL.glob("V*.sql"))
TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1"


@pytest.fixture
def session(server: PostgresServer) -> Iterator[psycopg.Connection]:
    """Session in an empty database of this test."""
    name = f"m{uuid.uuid4().hex[:12]}"
    server.create_database(name)
    with server.connect(name) as connection:
        yield connection
    server.drop_database(name)


@pytest.fixture
def migrated(session: psycopg.Connection) -> psycopg.Connection:
    for file in FORWARDS:
        session.execute(file.read_bytes())
    return session


def tables(session: psycopg.Connection) -> list[str]:
    return [row[0] for row in session.execute(TABLES)]


def place_order(session: psycopg.Connection, key: str, order: uuid.UUID, user: int = 1) -> None:
    """Write an order as a consumer does: the key first, everything in one transaction."""
    digest = hashlib.sha256(key.encode()).digest()
    with session.transaction():
        session.execute(
            "INSERT INTO idempotency_keys (key, order_id, request_sha256) VALUES (%s, %s, %s)", (key, order, digest)
        )
        session.execute(
            "INSERT INTO orders (id, user_id, currency, total_cents, placed_at) VALUES (%s, %s, 'AUD', 1250, now())",
            (order, user),
        )
        session.execute(
            "INSERT INTO order_items (order_id, line, sku, quantity, unit_price_cents) VALUES (%s, 1, 'tea', 1, 1250)",
            (order,),
        )


def test_every_migration_can_be_undone(session: psycopg.Connection) -> None:
    seen = []
    for file in FORWARDS:
        seen.append(tables(session))
        session.execute(file.read_bytes())

    for file in reversed(FORWARDS):
        session.execute(file.with_name("U" + file.name[1:]).read_bytes())

        assert tables(session) == seen.pop()


def test_every_migration_leaves_its_tables(migrated: psycopg.Connection) -> None:
    assert tables(migrated) == ["accepted_orders", "idempotency_keys", "order_items", "orders", "users"]


@pytest.mark.parametrize("file", sorted(SQL.glob("*.sql")), ids=lambda file: file.stem)
def test_a_migration_is_plain_sql(file: Path) -> None:
    assert not re.search(r"^\s*\\", file.read_text(), re.MULTILINE)


def test_the_first_users_are_fictitious(migrated: psycopg.Connection) -> None:
    emails = [row[0] for row in migrated.execute("SELECT email FROM users")]

    assert len(emails) == 3
    assert all(email.endswith("@example.com") for email in emails)


def test_an_order_delivered_twice_is_written_once(migrated: psycopg.Connection) -> None:
    order = uuid.uuid4()
    place_order(migrated, "key-1", order)

    with pytest.raises(psycopg.errors.UniqueViolation):
        place_order(migrated, "key-1", order)

    assert migrated.execute("SELECT id, status, total_cents FROM orders").fetchall() == [(order, "received", 1250)]
    assert migrated.execute("SELECT count(*) FROM order_items").fetchone() == (1,)


def test_a_failed_order_leaves_its_key_free(migrated: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        place_order(migrated, "key-1", uuid.uuid4(), user=404)

    place_order(migrated, "key-1", uuid.uuid4())

    assert migrated.execute("SELECT count(*) FROM orders").fetchone() == (1,)


def test_a_key_without_its_order_is_refused_at_commit(migrated: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation), migrated.transaction():
        migrated.execute(
            "INSERT INTO idempotency_keys (key, order_id, request_sha256) VALUES ('key-1', gen_random_uuid(), %s)",
            (bytes(32),),
        )


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE orders SET status = 'lost'",
        "UPDATE orders SET total_cents = -1",
        "UPDATE orders SET currency = 'aud'",
        "UPDATE orders SET updated_at = created_at - interval '1 s'",
        "UPDATE order_items SET quantity = 0",
        "UPDATE order_items SET unit_price_cents = -1",
        "UPDATE idempotency_keys SET key = ''",
    ],
)
def test_invalid_values_are_refused(migrated: psycopg.Connection, change: str) -> None:
    place_order(migrated, "key-1", uuid.uuid4())

    with pytest.raises(psycopg.errors.CheckViolation):
        migrated.execute(change.encode())


def test_a_user_with_orders_is_not_deleted(migrated: psycopg.Connection) -> None:
    place_order(migrated, "key-1", uuid.uuid4())

    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        migrated.execute("DELETE FROM users WHERE id = 1")

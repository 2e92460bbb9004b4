"""The users, which a demonstration shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from orderops.service.pool import Connection

_NEWEST = "SELECT id, name, email, created_at FROM users ORDER BY id DESC LIMIT %s"


@dataclass(frozen=True)
class User:
    """Row of the users table."""

    id: int
    name: str
    email: str
    created_at: datetime


def newest_users(limit: int) -> Callable[[Connection], list[User]]:
    """Return the question for the newest users."""

    def read(connection: Connection) -> list[User]:
        with connection.cursor(row_factory=class_row(User)) as cursor:
            return cursor.execute(_NEWEST, (limit,)).fetchall()

    return read

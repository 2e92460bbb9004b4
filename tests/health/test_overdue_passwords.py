"""Passwords that AWS should have rotated by itself are named, with the command that rotates them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orderops.config.environment import Environment
from orderops.health.notes import overdue_passwords
from orderops.health.secrets import SecretAge
from orderops.infra.stack import Stack, stack

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LOGIN, MASTER = "orderops/dev/database-login", "orderops/dev/database-master"


def declared(**database: object) -> Stack:
    tables = {"name": "dev", "database": {"master": "own", **database}, "services": {"shop": {"max_tasks": 2}}}
    return stack(Environment.model_validate(tables), "123456789012")


def aged(name: str, **age: float) -> SecretAge:
    return SecretAge(name, NOW - timedelta(**age))


@pytest.mark.parametrize("name", [LOGIN, MASTER])
def test_a_password_that_is_two_days_late_is_to_be_rotated_by_hand(name: str) -> None:
    (note,) = overdue_passwords(declared(rotate_days=30), [aged(name, days=32, seconds=1)], NOW)

    assert note.what == f"{name} is 32 days old, and rotated every 30 days"
    assert note.next_command == "orderops database rotate"


@pytest.mark.parametrize(
    ("settings", "secret"),
    [
        ({"rotate_days": 30}, aged(LOGIN, days=32)),
        ({"rotate_days": 30}, aged("orderops/dev/shop/TOKEN", days=900)),
        ({}, aged(LOGIN, days=900)),
    ],
    ids=["the next task may come", "not one of the database", "nobody asked for it"],
)
def test_other_secrets_are_left_alone(settings: dict[str, int], secret: SecretAge) -> None:
    assert list(overdue_passwords(declared(**settings), [secret], NOW)) == []

"""How to connect to an instance of an environment, and when a migration of its database started."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from orderops.errors import OrderopsError, UsageError
from orderops.infra.stack import Stack
from orderops.migrations.ledger.table import AttemptAction, AttemptState, History
from orderops.restore.instances import Instance
from orderops.text.lists import joined


def connection_info(stack: Stack, instance: Instance) -> dict[str, Any]:
    """Return how orderops connects to an instance, as its master user.

    Raises OrderopsError for an instance that has no endpoint or no password yet.
    """
    properties = instance.observed.properties
    # RDS lists an instance that is being created without both.
    if not properties["EndpointAddress"] or not properties["MasterUserSecretArn"]:
        raise OrderopsError(
            f"{instance.name} does not accept connections yet: its status is {instance.observed.status}",
            f"check its progress: orderops restore list --env {stack.environment.name}",
        )
    return {
        "host": properties["EndpointAddress"],
        "port": properties["EndpointPort"],
        "dbname": stack.pointer.dbname,
        "sslmode": stack.pointer.sslmode,
        "credentials": properties["MasterUserSecretArn"],
    }


def start_of(histories: Mapping[int, History], version: int, options: str = "") -> datetime:
    """Return when the apply that put a migration into the database started, by the database's clock.

    `histories` are the ledger's, by version. `options` are added to the commands in hints, so that they reach the same
    database. Failed attempts that left nothing behind do not count.

    Raises UsageError for a version that the ledger does not know, OrderopsError for one that is not applied or has no
    known start.
    """
    history = histories.get(version)
    if history is None:
        known = joined([f"V{number}" for number in sorted(histories) if number], max_names=20) or "none"
        raise UsageError(
            f"the ledger has no V{version}; it has: {known}",
            f"list the migrations: orderops migrate info {options}".rstrip(),
        )
    if not history.status:
        raise OrderopsError(
            f"V{version} is not applied to this database, so there is no time before it to restore",
            f"see when migrations ran: orderops migrate history {options}".rstrip(),
        )
    start = _start_of_effect(history)
    if start is None or (history.applied and history.applied.action == AttemptAction.BASELINE):
        raise OrderopsError(
            f"V{version} was marked as applied, not applied by orderops, so its start time is unknown",
            'give the time instead: orderops restore --at "2026-11-10T08:00:00Z"',
        )
    return start


def _start_of_effect(history: History) -> datetime | None:
    """Return the start of the first attempt since the last undo that changed the database."""
    start: datetime | None = None
    for attempt in history.attempts:
        if attempt.action == AttemptAction.APPLY:
            changed_something = attempt.state == AttemptState.DONE or attempt.partial
            start = start or (attempt.started if changed_something else None)
        else:
            # An undo or a repair ends the effect of the attempts before it.
            start = attempt.started if attempt.action == AttemptAction.BASELINE else None
    return start

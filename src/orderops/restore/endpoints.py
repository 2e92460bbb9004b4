"""The way into each instance of an environment, and the moment at which a migration began."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from orderops.errors import OrderopsError, UsageError
from orderops.infra.stack import Stack
from orderops.migrations.ledger.table import AttemptAction, AttemptState, History
from orderops.restore.instances import Instance


def connection_info(stack: Stack, instance: Instance) -> dict[str, Any]:
    """What the pointer would say, if it led to this instance."""
    told = instance.observed.properties
    if not told["EndpointAddress"] or not told["MasterUserSecretArn"]:
        raise OrderopsError(
            f"{instance.name} cannot be opened yet: it is {instance.observed.status}",
            f"how far it is: orderops restore list --env {stack.environment.name}",
        )
    return {
        "host": told["EndpointAddress"],
        "port": told["EndpointPort"],
        "dbname": stack.pointer.dbname,
        "sslmode": stack.pointer.sslmode,
        "credentials": told["MasterUserSecretArn"],
    }


def start_of(histories: Mapping[int, History], version: int, options: str = "") -> datetime:
    """When the attempts began by which a migration is in the database, by the database's own clock.

    One that failed and left nothing does not count. `words` lead a command to the same place.

    Raises OrderopsError where it is not in there.
    """
    standing = histories.get(version)
    if standing is None:
        known = ", ".join(f"V{each}" for each in sorted(histories) if each) or "none"
        raise UsageError(
            f"the ledger knows no V{version}: it knows {known}",
            f"which are there: orderops migrate info {options}".rstrip(),
        )
    if not standing.status:
        raise OrderopsError(
            f"V{version} is not in this database, so there is nothing before it to go back to",
            f"what was done when: orderops migrate history {options}".rstrip(),
        )
    start: datetime | None = None
    for attempt in standing.attempts:
        if attempt.action == AttemptAction.APPLY:
            left_something = attempt.state == AttemptState.DONE or attempt.partial
            start = start or (attempt.started if left_something else None)
            continue
        start = attempt.started if attempt.action == AttemptAction.BASELINE else None
    if start is None or (standing.applied and standing.applied.action == AttemptAction.BASELINE):
        raise OrderopsError(
            f"V{version} was not applied here but marked as applied, so nobody knows when its effect began",
            'say the time: orderops restore --at "2026-11-10T08:00:00Z"',
        )
    return start

"""The database connections that a release may open, against those that the server in the account allows.

The environment file was checked for the declared class. The server can be a smaller one: RDS holds back a change of its
class, another tool has changed it, or its parameter group has a `max_connections` of its own.
"""

from __future__ import annotations

from collections.abc import Iterable

from orderops.config.capacity import (
    DEFAULT_MOST_CONNECTIONS,
    RESERVED_CONNECTIONS,
    most_connections,
    pooled_connections,
    room_for_connections,
)
from orderops.engine.resource import Observed, Outputs
from orderops.engine.step import Action, Step
from orderops.errors import OrderopsError
from orderops.infra.stack import Stack

CLASS = "DBInstanceClass"


def check_connections(stack: Stack, outputs: Outputs, steps: Iterable[Step]) -> None:
    """Raise OrderopsError if the services would open more connections than the server allows once `steps` are made.

    Nothing is said of a database that does not exist yet, nor of a release that changes nothing.
    """
    by_address = {step.address: step for step in steps}
    released = any(
        by_address[resource.address].action is not Action.NO_OP
        for resource in stack.release({})
        if resource.address in by_address
    )
    if not released or stack.database not in outputs:
        return
    observed = outputs[stack.database]
    instance_class = _class_after(by_address.get(stack.database.address), stack, observed)
    set_by_hand = _set_by_hand(stack, outputs)
    limits = {
        setting: most_connections(instance_class, setting)
        for setting in (DEFAULT_MOST_CONNECTIONS, set_by_hand)
        if setting
    }
    least = min((limit for limit in limits.values() if limit is not None), default=None)
    needed = pooled_connections(stack.environment.services)
    if least is None or needed <= least - RESERVED_CONNECTIONS:
        return
    limit = f"a {instance_class}"
    if set_by_hand and limits[set_by_hand] == least:
        limit += f" with max_connections = {set_by_hand} in its parameter group"
    raise OrderopsError(
        f"all services open up to {needed} database connections during a deployment (2 x max_tasks x pool_size); "
        f"{stack.database.address} is {limit}, has {room_for_connections(least)}",
        _way_out(stack, observed, instance_class),
    )


def _class_after(step: Step | None, stack: Stack, observed: Observed) -> str:
    """The class that the server has once the step is made: RDS holds back what is not sent along with it."""
    if step and not step.refused and step.action is Action.UPDATE:
        carried = {change.key for change in step.carried}
        if CLASS in step.changes or CLASS in carried:
            return stack.database.instance_class
    return str(observed.properties["DBInstanceClassNow"])


def _set_by_hand(stack: Stack, outputs: Outputs) -> str:
    """A `max_connections` that the parameter group has and the environment does not declare; "" without one."""
    group = stack.database.parameter_group
    # Also where this run takes it back: it is in force until the next reboot.
    return str(outputs[group].properties["Parameters"].get("max_connections", "")) if group in outputs else ""


def _way_out(stack: Stack, observed: Observed, instance_class: str) -> str:
    environment = stack.environment
    lower = f"lower pool_size or max_tasks under [services] in {environment.name}.toml"
    pending = next((change for change in observed.pending if change.key == CLASS), None)
    if pending:
        return f"carry out what RDS holds back ({pending.what}): {pending.command}\nor {lower}"
    if instance_class != environment.database.instance_class:
        return f"give the server its declared class first: orderops infra apply --env {environment.name}\nor {lower}"
    return f"{lower}, or choose a larger instance_class"

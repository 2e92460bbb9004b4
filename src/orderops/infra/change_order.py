"""In which order a database and its replicas change their classes.

A replica must take at least as many connections as its primary: with fewer, it stops to follow (PostgreSQL, "Hot
standby", parameters that must be at least as large as on the primary). RDS derives the number from the memory of the
class. So replicas grow before their primary, and shrink after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orderops.config.capacity import memory_gib
from orderops.engine.resource import Outputs
from orderops.engine.step import Action, Step
from orderops.errors import OrderopsError
from orderops.frozen import Frozen
from orderops.infra.stack import Stack
from orderops.text.lists import joined

CLASS = "DBInstanceClass"


class ClassChange(Frozen):
    """An instance, its class, and the one that it is to have."""

    name: str
    before: str
    after: str

    @property
    def grows(self) -> bool:
        """Whether it gets more memory. A class of unknown memory counts as larger than any other."""
        return _memory(self.after) > _memory(self.before)


def in_order(primary: ClassChange, replicas: Iterable[ClassChange]) -> list[str]:
    """The names of the instances that change, in the order in which no replica is ever smaller than its primary.

    Holds if that is so before and after; `too_small` finds the replicas for which it is not.
    """
    changing = [replica for replica in replicas if replica.before != replica.after]
    first = [replica.name for replica in changing if replica.grows]
    last = [replica.name for replica in changing if not replica.grows]
    return [*first, *([primary.name] if primary.before != primary.after else []), *last]


def too_small(instance_class: str, replicas: Mapping[str, str]) -> list[str]:
    """The replicas, by name and class, with less memory than a primary of this class."""
    return [name for name, own in replicas.items() if _memory(own) < _memory(instance_class)]


def check_replicas_first(stack: Stack, outputs: Outputs, steps: Iterable[Step]) -> None:
    """Raise OrderopsError if `steps` would make the database larger than a replica, which are changed after it."""
    wanted = stack.database.instance_class
    step = next((step for step in steps if step.address == stack.database.address), None)
    if step is None or step.action is not Action.UPDATE or not _changes_class(step):
        return
    replicas = {
        outputs[replica].id: str(outputs[replica].properties[f"{CLASS}Now"])
        for replica in stack.replicas
        if replica in outputs
    }
    if small := too_small(wanted, replicas):
        raise OrderopsError(
            f"{joined(small)} would be smaller than the database for a while, and stop to follow it",
            f"change the replicas first: orderops database scale --class {wanted} --env {stack.environment.name}",
        )


def _changes_class(step: Step) -> bool:
    return CLASS in step.changes or any(change.key == CLASS for change in step.carried)


def _memory(instance_class: str) -> float:
    gib = memory_gib(instance_class)
    return float("inf") if gib is None else gib

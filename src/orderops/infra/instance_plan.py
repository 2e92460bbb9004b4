"""What a guided change of the database would do, and the facts that an operator needs before agreeing to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orderops.engine.inventory import Inventory
from orderops.engine.resource import Observed, Outputs, Resource
from orderops.engine.step import Action, Step
from orderops.errors import OrderopsError
from orderops.frozen import Frozen, field
from orderops.infra.measured_changes import ChangeKind, MeasuredChange
from orderops.infra.stack import stack
from orderops.infra.workspace import Workspace
from orderops.text.durations import in_words, measured

CHANGEABLE = frozenset({"available", "storage-optimization", "storage-initialization"})
"""States in which RDS takes a change of the class or the version."""
UNLIKE = ("db.t3.micro", "db.r6g.16xlarge")
"""Two classes that differ in everything that follows from a class."""
USUAL = {
    (ChangeKind.CLASS, True): "1 to 2 min, while the standby takes over",
    (ChangeKind.CLASS, False): "5 to 10 min, since there is no standby",
    (ChangeKind.VERSION, True): "10 to 30 min: the standby is upgraded with it and does not take over",
    (ChangeKind.VERSION, False): "10 to 30 min",
    (ChangeKind.SWITCHOVER, True): "under a minute",
    (ChangeKind.SWITCHOVER, False): "under a minute",
}
"""AWS's usual figures for how long a database is away, by the kind of change and whether it has a standby."""


class Fact(Frozen):
    """One line before the question: what it is about, and what to know."""

    about: str
    text: str

    def to_dict(self) -> dict[str, str]:
        """As JSON, with stable keys."""
        return {"about": self.about, "text": self.text}


class InstancePlan(Frozen):
    """A guided change of the database, and what belongs to it."""

    step: Step
    """What is done to the instance."""
    observed: Observed
    now: str
    """The value in force."""
    wanted: str
    at_once: bool
    """Whether it is carried out now, and not in the maintenance window."""
    inventory: Inventory
    outputs: Outputs
    facts: list[Fact] = field(default_factory=list)
    before: list[Step] = field(default_factory=list)
    """What has to be made first."""
    after: list[Step] = field(default_factory=list)
    """What follows from the new value."""
    in_force: bool = False
    """Whether the value in force is the wanted one."""
    busy: bool = False
    """Whether RDS is at work on just this change, which an interrupted run has begun."""

    @property
    def steps(self) -> list[Step]:
        """All steps that would be taken."""
        return [step for step in (*self.before, self.step, *self.after) if step.action is not Action.NO_OP]

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to do in the account."""
        return self.busy or bool(self.steps)

    @property
    def waits(self) -> bool:
        """Whether the value waits for the maintenance window, and is to wait there."""
        return not self.at_once and not self.in_force


def check_state(observed: Observed, environment: str, *, busy: bool) -> None:
    """Raise OrderopsError for an instance in a state in which RDS takes no such change."""
    status = observed.properties["DBInstanceStatus"]
    if busy or status in CHANGEABLE:
        return
    hint = {
        "stopped": f"start it: orderops infra apply --env {environment}",
        "storage-full": f"raise storage_gb under [database] first, then: orderops infra apply --env {environment}",
    }.get(status, "re-run this command once it is available")
    raise OrderopsError(f"{observed.id} is {status}, so RDS takes no change of it; nothing was changed", hint)


def outage_fact(kind: ChangeKind, before: MeasuredChange | None, *, multi_az: bool, emulated: bool) -> Fact:
    """How long the database will be away: as it was measured here before, else AWS's usual figure, named as that."""
    if before is not None:
        away = before.away_seconds
        seen = "" if away is None else f", and the database was away for {measured(away)} ({before.seen_by})"
        what = f"{before.before} -> {before.after} took {in_words(before.seconds)} on {before.at[:10]}{seen}"
        return Fact("interrupts", f"all connections end; {what}")
    if emulated:
        return Fact("interrupts", "all connections end; the server of this machine restarts within seconds")
    usual = USUAL[kind, multi_az]
    return Fact("interrupts", f"all connections end; not measured here yet, AWS's usual figure is {usual}")


def storage_fact(observed: Observed) -> Fact:
    """Whether the storage grows by itself, which neither a class nor a version changes."""
    size, limit = observed.properties["AllocatedStorageNow"], observed.properties["MaxAllocatedStorage"]
    grows = f"grows by itself up to {limit} GB" if limit else "does not grow by itself"
    return Fact("storage", f"{size} GB, {grows}; stays as it is")


def following_class(workspace: Workspace, outputs: Outputs) -> list[Resource]:
    """The resources, besides the instances, that the class decides, such as the threshold of an alarm."""
    declared = workspace.stack
    instances = {declared.database.address, *(replica.address for replica in declared.replicas)}
    small, large = (_desired(workspace, instance_class, outputs) for instance_class in UNLIKE)
    return [
        resource
        for resource in declared.infra
        if resource.address not in instances and small.get(resource.address) != large.get(resource.address)
    ]


def _desired(workspace: Workspace, instance_class: str, outputs: Outputs) -> dict[str, Any]:
    environment = workspace.environment
    database = environment.database.model_copy(update={"instance_class": instance_class})
    other = environment.model_copy(update={"database": database})
    resources: Iterator[Resource] = iter(stack(other, workspace.aws.account, workspace.zones).infra)
    return {resource.address: resource.desired(outputs) for resource in resources}

"""orderops database scale: another instance class, declared in the file and brought about for this instance alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import ClassVar

from orderops.aws.documents import Bucket
from orderops.config.capacity import RESERVED_CONNECTIONS, most_connections, pooled_connections, room_for_connections
from orderops.config.database import is_instance_class
from orderops.config.environment import Environment
from orderops.costs.database import class_change
from orderops.costs.prices import prices_of
from orderops.engine.resource import Observed, Outputs, Resource
from orderops.errors import OrderopsError, UsageError
from orderops.infra.change_order import ClassChange, in_order, too_small
from orderops.infra.declaration import declare
from orderops.infra.instance_plan import Fact, InstancePlan, following_class, outage_fact, storage_fact
from orderops.infra.measured_changes import ChangeKind, newest
from orderops.operations.database_change import InstanceChange, carry_out
from orderops.operations.options import ChangeOptions, ChangeTime, EnvironmentOptions
from orderops.operations.workspace import open_workspace, slow_resources
from orderops.resources.rds_description import replicas_of
from orderops.resources.rds_offers import class_refusal
from orderops.resources.rds_read_replica import RdsReadReplica
from orderops.text.lists import joined

KEY = ("database", "instance_class")


def scale(where: EnvironmentOptions, options: ChangeOptions, instance_class: str, at: ChangeTime | None) -> None:
    """Give the database another class. An interrupted run is continued by the same command."""
    if not is_instance_class(instance_class):
        raise UsageError(f"{instance_class!r} is no instance class", "write one as RDS does: --class db.m6g.large")
    workspace = open_workspace(where.env, where.environments)
    check_budget(workspace.environment, instance_class)
    declaration = declare(workspace, {KEY: instance_class})
    at_once = when(workspace.environment, at) is ChangeTime.NOW
    carry_out(_Scale(declaration, options, instance_class, at_once=at_once), options)


def when(environment: Environment, at: ChangeTime | None) -> ChangeTime:
    """When a change is carried out: as the operator says, else in the window where the environment is protected."""
    return at or (ChangeTime.WINDOW if environment.protected else ChangeTime.NOW)


def check_budget(environment: Environment, instance_class: str) -> None:
    """Raise OrderopsError for a class that takes fewer connections than the services open."""
    most, needed = most_connections(instance_class), pooled_connections(environment.services)
    if most is None or needed <= most - RESERVED_CONNECTIONS:
        return
    raise OrderopsError(
        f"all services of {environment.name} open up to {needed} database connections during a deployment "
        f"(2 x max_tasks x pool_size); a {instance_class} has {room_for_connections(most)}; nothing was changed",
        f"lower pool_size or max_tasks under [services] in {environment.name}.toml and release that: "
        f"orderops up --env {environment.name}\nor choose a larger class",
    )


class _Scale(InstanceChange):
    key: ClassVar[str] = "DBInstanceClass"
    kind: ClassVar[ChangeKind] = ChangeKind.CLASS

    def question(self, plan: InstancePlan) -> str:
        how = "now" if plan.at_once else "in the maintenance window" if plan.waits else "back"
        return f"Change {plan.observed.id} to {plan.wanted} {how}?"

    def in_force(self, now: str) -> bool:
        return now == self.wanted

    def refuse(self, observed: Observed) -> None:
        aws, name = self.workspace.aws, self.workspace.environment.name
        if refusal := class_refusal(aws, observed, self.wanted, name):
            raise refusal
        # Those of the file are changed with it, in the order that keeps them large enough.
        declared = {replica.name for replica in self.workspace.stack.replicas}
        found = replicas_of(aws, observed.id)
        replicas = {name: own for name, own in found.items() if name not in declared}
        if small := too_small(self.wanted, replicas):
            raise OrderopsError(
                f"{joined(small)} would be smaller than its primary, and stop to follow it; nothing was changed",
                f"change it first: aws rds modify-db-instance --db-instance-identifier {small[0]} "
                f"--db-instance-class {self.wanted} --apply-immediately --region {aws.region}",
            )

    def first(self, outputs: Outputs) -> Collection[Resource]:
        return self._replicas_by_order(outputs)[0]

    def then(self, outputs: Outputs) -> Collection[Resource]:
        return [*self._replicas_by_order(outputs)[1], *following_class(self.workspace, outputs)]

    def _replicas_by_order(self, outputs: Outputs) -> tuple[list[RdsReadReplica], list[RdsReadReplica]]:
        """The replicas of the file that change before the database, and those that change after it."""
        primary = self.workspace.stack.database
        replicas = {item.name: item for item in self.workspace.stack.replicas if item in outputs}
        changes = [ClassChange(name, _class_of(outputs, item), self.wanted) for name, item in replicas.items()]
        order = in_order(ClassChange(primary.name, _class_of(outputs, primary), self.wanted), changes)
        place = order.index(primary.name) if primary.name in order else 0
        first, last = (
            [replicas[name] for name in names if name in replicas] for names in (order[:place], order[place:])
        )
        return first, last

    def facts(self, plan: InstancePlan) -> list[Fact]:
        properties, environment = plan.observed.properties, self.workspace.environment
        multi_az = bool(properties["MultiAZ"])
        before = newest(Bucket(self.workspace.aws), environment.name, self.kind, multi_az=multi_az)
        on_aws = bool(slow_resources(self.workspace))
        facts = [outage_fact(self.kind, before, multi_az=multi_az, emulated=not on_aws)]
        if plan.waits:
            facts.append(Fact("when", f"in the maintenance window {properties['PreferredMaintenanceWindow']} (UTC)"))
        facts += [self._connections(plan), storage_fact(plan.observed)]
        return [*facts, *self._credits(), *self._replicas(plan), *([self._cost(plan)] if on_aws else [])]

    def _cost(self, plan: InstancePlan) -> Fact:
        """What the class costs more or less a month, of the instance, its standby, and the replicas of the file."""
        servers = 1 + bool(plan.observed.properties["MultiAZ"]) + len(self.workspace.stack.replicas)
        prices = prices_of(self.workspace.environment.region)
        of = f" for {servers} servers" if servers > 1 else ""
        return Fact("cost", f"{class_change(prices, plan.now, plan.wanted, servers)}{of}")

    def _connections(self, plan: InstancePlan) -> Fact:
        most = [most_connections(instance_class) for instance_class in (plan.now, plan.wanted)]
        before, after = (f"about {number}" if number else "an unknown number" for number in most)
        needed = pooled_connections(self.workspace.environment.services)
        text = f"the server takes {after} in place of {before}; the services open up to {needed} during a deployment"
        return Fact("connections", text)

    def _credits(self) -> Iterator[Fact]:
        if self.wanted.startswith("db.t"):
            text = "few right after the change; CPU above the baseline of the class is charged (unlimited mode)"
            yield Fact("CPU credits", text)

    def _replicas(self, plan: InstancePlan) -> Iterator[Fact]:
        replicas = replicas_of(self.workspace.aws, plan.observed.id)
        if not replicas:
            return
        changes = [ClassChange(name, own, plan.wanted) for name, own in replicas.items()]
        order = in_order(ClassChange(plan.observed.id, plan.now, plan.wanted), changes)
        yield Fact("replicas", f"for the same class everywhere, change in this order: {', '.join(order)}")


def _class_of(outputs: Outputs, instance: Resource) -> str:
    return str(outputs[instance].properties["DBInstanceClassNow"])

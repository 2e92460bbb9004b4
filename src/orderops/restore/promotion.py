"""Switching the primary from one instance to another, and back; the services follow.

No instance is renamed. A single tag update makes the switch: it gives the new primary a higher term than any before. If
interrupted, exactly one instance is primary. Each later step (the former primary's tags, the pointer secret, the
resources that refer to the primary, the services' tasks) checks for itself whether it is done, so a re-run continues.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic, sleep

from orderops.aws.client import Aws
from orderops.aws.ownership import ADDRESS, ENVIRONMENT, ROLE, Ownership
from orderops.engine.inventory import Inventory
from orderops.engine.reconcile import reconcile
from orderops.engine.resource import Effect, Observed, Outputs, Resource, State
from orderops.engine.scheduler import OnWait
from orderops.engine.step import Action, Step
from orderops.engine.task import RecentWrites
from orderops.engine.terms import Terms
from orderops.engine.waiting import ReconcileLimits
from orderops.errors import OrderopsError
from orderops.frozen import Frozen
from orderops.infra.iam_login import iam_user_of, take_tokens
from orderops.infra.service_login import task_roles
from orderops.infra.workspace import Workspace
from orderops.releases.stages import passing_pauses
from orderops.resources.cloudwatch_alarm import CloudwatchAlarm
from orderops.resources.ecs_redeployment import EcsRedeployment
from orderops.resources.ecs_service import EcsService
from orderops.resources.ecs_strategy import shift_duration
from orderops.resources.rds_deployment import tags_when_promoted
from orderops.resources.rds_description import (
    MASTER_SECRET,
    PRIMARY,
    RESTORED,
    SERVICE_IAM_USER,
    SERVICE_SECRET,
    TERM,
    former,
    term_of,
)
from orderops.resources.rds_instance import RdsInstance
from orderops.resources.rds_read_replica import SOURCE, RdsReadReplica
from orderops.resources.rds_replica_promotion import RdsReplicaPromotion
from orderops.resources.rds_restored_instance import differences
from orderops.restore.instances import (
    PREVIOUS_PRIMARY,
    PROMOTED_BY,
    SETTLED,
    Instance,
    Instances,
    load_instances,
)

PROMOTE, BACK = "promote", "back"


class Switch(Frozen):
    """A change of the primary."""

    to: Instance
    previous: Instance | None
    """The primary until now; the one before, if the tags have been switched already."""
    command: str
    """The command that makes it: `promote` or `back`."""
    decided: bool = False
    """Whether `to` is tagged as the primary already, so that only later steps can be left."""


def switch(instances: Instances, name: str | None, command: str = PROMOTE) -> Switch:
    """Decide which instance becomes the primary; raises OrderopsError if it cannot.

    Without a name, an unfinished promotion is continued, or the only restored instance is promoted.
    """
    # If the primary was deleted by hand, a named instance may take its place.
    primary = instances.primary if instances.primary_missing and name else instances.require_primary()
    to = instances.named(name, action=PROMOTE) if name or not primary else _default_target(instances, primary)
    if primary and to.name == primary.name:
        return _remaining_switch(instances, primary)
    if to not in instances.restored and not to.is_replica:
        raise OrderopsError(
            f"{to.name} was created for a {to.role} and is deleted after it",
            f"restore an instance to keep: orderops restore --at latest --env {instances.environment}",
        )
    _check_ready(to, instances.environment)
    return Switch(to, primary, command)


def switch_back(instances: Instances) -> Switch:
    """Undo the last promotion. An unfinished `back` is continued, and a finished one is not undone again."""
    primary = instances.require_primary()
    previous = primary.tag(PREVIOUS_PRIMARY)
    # Makes a repeated `back` a no-op: otherwise a re-run after an interruption would switch a second time.
    if primary.tag(PROMOTED_BY) == BACK:
        return _remaining_switch(instances, primary)
    if not previous:
        raise OrderopsError(
            f"{primary.name} was never promoted, so there is no previous primary to switch back to",
            f"list the instances: orderops restore list --env {instances.environment}",
        )
    if not any(instance.name == previous for instance in instances.others):
        query = f"DBSnapshots[?DBInstanceIdentifier=='{previous}'].DBSnapshotIdentifier"
        raise OrderopsError(
            f"{previous}, the primary before {primary.name}, does not exist any more",
            f'look for its final snapshot: aws rds describe-db-snapshots --query "{query}"',
        )
    return switch(instances, previous, BACK)


def _default_target(instances: Instances, primary: Instance) -> Instance:
    """Return the primary of an unfinished promotion, or the only restored instance."""
    candidates = [instance for instance in instances.restored if instance.role == RESTORED]
    promoted = primary.tag(PROMOTED_BY) == PROMOTE
    if promoted and (not primary.settled or not candidates):
        return primary
    if candidates or not instances.restored:
        return instances.named(None, action=PROMOTE)
    commands = "\n".join(
        f"orderops restore promote {instance.name} --env {instances.environment}" for instance in instances.restored
    )
    raise OrderopsError(
        f"{instances.environment} has no restored instance that was not the primary before; name one", commands
    )


def _remaining_switch(instances: Instances, primary: Instance) -> Switch:
    previous = primary.tag(PREVIOUS_PRIMARY)
    former_primary = next((instance for instance in instances.others if instance.name == previous), None)
    return Switch(primary, former_primary, primary.tag(PROMOTED_BY), decided=True)


@dataclass
class Promotion:
    """The steps of a switch. What is done already yields no step."""

    workspace: Workspace
    switch: Switch
    recent_writes: RecentWrites = field(default_factory=RecentWrites)
    on_wait: OnWait = lambda *_: None
    outputs: Outputs = field(default_factory=Outputs)
    limits: ReconcileLimits = ReconcileLimits()

    def plan(self) -> list[Step]:
        """Return the steps that `run` would take."""
        return list(self._steps(dry_run=True))

    def run(self) -> Iterator[Step]:
        """Switch, and return when the services run on the new primary only."""
        yield from self._steps(dry_run=False)

    def _steps(self, *, dry_run: bool) -> Iterator[Step]:
        # The order matters: tasks must be replaced after the pointer has changed, or they would read the old one, and
        # the pointer must not name an instance that refuses their tokens.
        yield from self._promote_replica(dry_run=dry_run)
        yield from self._admit_tokens(dry_run=dry_run)
        yield from self._switch_tags(dry_run=dry_run)
        yield from self._update_dependents(dry_run=dry_run)
        yield from self._redeploy_services(dry_run=dry_run)
        yield from self._mark_settled(dry_run=dry_run)

    def _promote_replica(self, *, dry_run: bool) -> Iterator[Step]:
        """Make a read replica an instance of its own, which no interruption can undo, with backups from then on."""
        to, declared = self.switch.to, self.workspace.environment.database
        if not to.is_replica:
            return
        promotion = RdsReplicaPromotion(to.name, declared.backup_days, declared.backup_window)
        inventory = Inventory(
            self.workspace.aws, self.workspace.environment.name, [RdsReplicaPromotion], self.workspace.environment.tags
        )
        yield from self._reconcile([promotion], inventory, dry_run=dry_run)

    def _admit_tokens(self, *, dry_run: bool) -> Iterator[Step]:
        """Let the new primary take the tokens of the services, and the services sign them for it as well.

        The permissions for the primary until now stay, until everything refers to the new one.
        """
        to, workspace = self.switch.to.observed, self.workspace
        if not workspace.stack.pointer.iam_user or not iam_user_of(to):
            return
        name = workspace.environment.name
        yield from take_tokens(workspace.aws, to, self.limits, name, dry_run=dry_run)
        inventory, _ = self._read_outputs()
        roles = task_roles(workspace.stack)
        widen = Terms(widen={role.address for role in roles})
        for step in self._reconcile(roles, inventory, dry_run=dry_run, outputs=self.outputs, terms=widen):
            # In a plan, the same roles come again with what depends on the database.
            if not dry_run:
                yield step

    def _read_outputs(self) -> tuple[Inventory, list[Resource]]:
        """Fill the outputs of all existing resources, with the new primary as the database; returns these resources."""
        workspace = self.workspace
        inventory = workspace.inventory(infra_only=True)
        self.outputs = Outputs(workspace.aws.region, workspace.aws.account)
        # The replicas follow the former primary, and leave the pointer; the next `up` makes those of the new one.
        for replica in workspace.stack.replicas:
            self.outputs[replica] = Observed(replica.name, {SOURCE: None, "Replicating": False})
        # RDS's listing may lag behind the tag update and still show the former primary, or none.
        database = workspace.stack.database
        self.outputs[database] = self.switch.to.observed
        infra = [
            resource
            for resource in workspace.stack.infra
            if resource is not database and not isinstance(resource, RdsReadReplica)
        ]
        # A dry run fills the outputs of all existing resources.
        for _ in reconcile(infra, inventory, outputs=self.outputs, dry_run=True):
            pass
        return inventory, infra

    def _switch_tags(self, *, dry_run: bool) -> Iterator[Step]:
        to, previous, aws = self.switch.to, self.switch.previous, self.workspace.aws
        # The new primary comes first: if interrupted between the two updates, the higher term decides.
        if not self.switch.decided:
            if not dry_run:
                RdsInstance.retag(aws, to.observed, self._primary_tags())
                _await_primary(self.workspace, to, self.limits)
            yield Step(f"{RdsInstance.kind}/{to.name}", Action.UPDATE, {"role": (to.role, PRIMARY)})
        address = self.workspace.stack.database.address
        if previous and (not self.switch.decided or _is_tagged_as_primary(aws, previous, address)):
            if not dry_run:
                RdsInstance.retag(aws, previous.observed, former(previous.name))
            role = (PRIMARY, former(previous.name)[ROLE])
            yield Step(f"{RdsInstance.kind}/{previous.name}", Action.UPDATE, {"role": role})

    def _primary_tags(self) -> dict[str, str]:
        previous, database = self.switch.previous, self.workspace.stack.database
        return {
            **Ownership(self.workspace.environment.name, database.address, database.name).tags,
            **({PREVIOUS_PRIMARY: previous.name} if previous else {}),
            **({key: secret for key, secret in self._logins() if secret} if self.switch.to.is_replica else {}),
            **tags_when_promoted(self.switch.to.name),
            ROLE: PRIMARY,
            TERM: str(self._next_term()),
            PROMOTED_BY: self.switch.command,
        }

    def _logins(self) -> Iterator[tuple[str, str]]:
        """Yield the tags of the secrets that open a replica: its data has the passwords of the instance before it."""
        properties = self.switch.to.observed.properties
        yield SERVICE_SECRET, properties["ServiceSecretArn"]
        yield SERVICE_IAM_USER, properties["ServiceIamUser"]
        if not (self.switch.previous and self.switch.previous.observed.properties["ManageMasterUserPassword"]):
            yield MASTER_SECRET, properties["MasterUserSecretArn"]

    def _update_dependents(self, *, dry_run: bool) -> Iterator[Step]:
        """Update the pointer secret and all other resources that refer to the primary."""
        database = self.workspace.stack.database
        inventory, infra = self._read_outputs()
        dependents = [
            resource for resource in infra if _depends_on(resource, database) and not _watches_replica(resource)
        ]
        yield from self._reconcile(dependents, inventory, dry_run=dry_run, outputs=self.outputs)

    def _redeploy_services(self, *, dry_run: bool) -> Iterator[Step]:
        """Replace tasks that started before the pointer changed: they may still use the old value."""
        workspace, name = self.workspace, self.workspace.environment.name
        pointer = workspace.stack.pointer.now(workspace.aws, name)
        if pointer is None:
            return
        _, changed_at = pointer
        services = list(self._services())
        # Before the switch the pointer has not changed yet, so no task would look outdated; all of them will be.
        if dry_run and not self.switch.decided:
            for service in services:
                change = {"Renewed": (False, True)}
                yield Step(f"{EcsService.kind}/{service.name}", Action.UPDATE, change, Effect.RESTARTS)
            return
        redeployments = [
            EcsRedeployment(
                service.name, service.properties["Cluster"], changed_at, shift=shift_duration(service.properties)
            )
            for service in services
        ]
        inventory = Inventory(workspace.aws, name, [EcsRedeployment], workspace.environment.tags)
        on_wait = passing_pauses(workspace.aws, services, self.on_wait)
        yield from self._reconcile(redeployments, inventory, dry_run=dry_run, on_wait=on_wait)

    def _services(self) -> Iterator[Observed]:
        name = self.workspace.environment.name
        for service in EcsService.listing(self.workspace.aws, Ownership(name)):
            if service.state is not State.GOING and (service.tags or {}).get(ENVIRONMENT) == name:
                yield service

    def _reconcile(
        self,
        resources: Sequence[Resource],
        inventory: Inventory,
        *,
        dry_run: bool,
        outputs: Outputs | None = None,
        on_wait: OnWait | None = None,
        terms: Terms | None = None,
    ) -> Iterator[Step]:
        steps = reconcile(
            resources,
            inventory,
            outputs=outputs,
            dry_run=dry_run,
            terms=terms or Terms(),
            on_wait=on_wait or self.on_wait,
            limits=self.limits,
            recent_writes=self.recent_writes,
        )
        yield from (step for step in steps if step.action is not Action.NO_OP)

    def _mark_settled(self, *, dry_run: bool) -> Iterator[Step]:
        """Tag the primary as settled, which makes a repeated command a no-op."""
        to, decided = self.switch.to, self.switch.decided
        if decided and to.settled:
            return
        # `to` was read before its tags were switched, so its own term is the old one.
        term = to.tag(TERM) if decided else str(self._next_term())
        if not dry_run:
            RdsInstance.retag(self.workspace.aws, to.observed, {SETTLED: term})
        if decided:
            yield Step(f"{RdsInstance.kind}/{to.name}", Action.UPDATE, {"switch": ("begun", "done")})

    def _next_term(self) -> int:
        instances = [instance for instance in (self.switch.to, self.switch.previous) if instance]
        return 1 + max(term_of(instance.observed.tags or {}) for instance in instances)


def check_alike(switched: Switch) -> None:
    """Raise OrderopsError if the new primary's settings differ from those of the instance that it replaces.

    IAM authentication is left out: where the services need it, the switch turns it on.
    """
    # Once the tags are switched, an error here would only prevent the rest from following. A replica has what the file
    # declares for it, and gets backups with its promotion.
    if switched.decided or switched.previous is None or switched.to.is_replica:
        return
    to, previous = switched.to, switched.previous
    different = differences(previous.observed, to.observed)
    different.pop("EnableIAMDatabaseAuthentication", None)
    if different:
        lines = "\n".join(
            f"{key}: {before!r} on {previous.name}, {after!r} on {to.name}"
            for key, (before, after) in different.items()
        )
        raise OrderopsError(
            f"the settings of {to.name} differ from those of {previous.name}:\n{lines}",
            "to promote it as it is, and set the rest with the next orderops up, pass --as-it-is",
        )


def _check_ready(instance: Instance, environment: str) -> None:
    if instance.is_replica and instance.observed.state is not State.FAILED:
        # One that is busy may be so with an interrupted promotion, which is waited for.
        return
    if instance.observed.state is State.READY and instance.ready:
        return
    available = instance.observed.state is State.READY
    problem = "its restore is not complete" if available else f"its status is {instance.observed.status}"
    raise OrderopsError(
        f"{instance.name} is not ready: {problem}",
        "re-run the command that restores it to continue; "
        f"check its progress: orderops restore list --env {environment}",
    )


def _await_primary(workspace: Workspace, to: Instance, limits: ReconcileLimits) -> None:
    """Wait until RDS's listing shows the new tags; raises OrderopsError if it does not in time."""
    # Later steps read the listing: before it shows the new primary they would follow the former one.
    deadline = monotonic() + limits.seen_within.total_seconds()
    while monotonic() < deadline:
        primary = load_instances(workspace.aws, workspace.stack).primary
        if primary and primary.name == to.name:
            return
        sleep(0.2)
    raise OrderopsError(
        f"{to.name} was tagged as the primary, but AWS does not list it as such yet", "re-run this command to continue"
    )


def _is_tagged_as_primary(aws: Aws, instance: Instance, address: str) -> bool:
    # The listing shows the role that follows from the highest term; only the instance's own tags say
    # whether it still has the primary's address.
    tags = aws.rds.list_tags_for_resource(ResourceName=instance.observed.arn)["TagList"]
    return any((tag["Key"], tag["Value"]) == (ADDRESS, address) for tag in tags)


def _depends_on(resource: Resource, database: Resource) -> bool:
    return any(need is database or _depends_on(need, database) for need in resource.needs())


def _watches_replica(resource: Resource) -> bool:
    return isinstance(resource, CloudwatchAlarm) and any(isinstance(need, RdsReadReplica) for need in resource.needs())

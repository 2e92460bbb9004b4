"""The plan: what apply would do, and what it would not touch."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches

from orderops.engine.destroy import destroy, holding, keep_with_needs, undeclared
from orderops.engine.inventory import Inventory, Owned, environments_in_account
from orderops.engine.reconcile import reconcile
from orderops.engine.resource import Outputs, Resource
from orderops.engine.scheduler import OnWait
from orderops.engine.step import Action, Step
from orderops.engine.terms import Terms
from orderops.engine.together import held_back, refusals, with_held
from orderops.engine.twins import check_no_twins
from orderops.errors import UsageError
from orderops.frozen import Frozen, field, replace
from orderops.infra.change_order import check_replicas_first
from orderops.infra.connections import check_connections
from orderops.infra.domain import check_zone
from orderops.infra.features import with_complete_notes
from orderops.infra.left_out import ServicesLeftOut, left_out, running_images, widened_steps
from orderops.infra.region import check_region
from orderops.infra.stack import Stack
from orderops.infra.still_used import KINDS as STILL_USED
from orderops.infra.still_used import kept_open
from orderops.infra.workspace import Workspace
from orderops.resources.sns_subscription import former_subscriptions


class Plan(Frozen):
    """Steps that apply would take, undeclared resources that it would prune or keep, and what it was planned from."""

    steps: list[Step]
    pruned: list[Step]
    undeclared: list[Owned]
    outputs: Outputs
    inventory: Inventory
    infra: list[Resource]
    """The infrastructure, with what stays open for undeclared resources."""
    terms: Terms
    services: ServicesLeftOut
    """What a plan of the infrastructure alone leaves out."""
    undeclared_environments: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Environments in the account without a file, and their addresses; read only if this one does not exist yet."""

    @property
    def changes(self) -> list[Step]:
        """The steps that would change something."""
        return [step for step in self.steps if step.action is not Action.NO_OP]

    @property
    def differs(self) -> bool:
        """Whether there is anything to do or to decide."""
        return bool(self.changes or self.pruned or self.undeclared or self.services.changes)

    @property
    def refused_steps(self) -> list[Step]:
        """The steps that will not be taken."""
        return [step for step in self.steps if step.refused]


def make_plan(
    workspace: Workspace,
    *,
    images: Mapping[str, str] | None = None,
    adopt: Collection[str] = (),
    prune: bool = False,
    running: bool = False,
    on_wait: OnWait = lambda *_: None,
) -> Plan:
    """Plan what apply would do: with `images` for everything, without them for the infrastructure alone.

    With `running`, for everything, with the images that the services run.
    Raises UsageError if `adopt` names an address that is not declared, OrderopsError for a changed region, for a
    release with more connections than the database allows, and for a database that would outgrow its replicas.
    """
    inventory, stack, declared = workspace.inventory(), workspace.stack, workspace.declared()
    check_addresses(adopt, declared, "--adopt {}: no declared resource has this address")
    check_region(workspace.environment, inventory)
    check_zone(workspace.aws, workspace.environment)
    infra = stack.infra if prune else kept_open(stack, list(inventory.owned(STILL_USED)), declared)
    infra = with_complete_notes(infra, inventory)
    outputs = Outputs(workspace.aws.region, workspace.account)
    dry_run = _DryRun(stack, inventory, infra, outputs, Terms(adopt, ignores=workspace.ignores), on_wait)
    steps, terms, services = dry_run.of(images, running=running)
    late = services.late(stack)
    owned = list(inventory.owned())
    found = undeclared_in(workspace, owned, outputs)
    return Plan(
        steps=steps,
        pruned=list(prune_steps(found, inventory, dry_run=True)) if prune else [],
        undeclared=[] if prune else found,
        outputs=outputs,
        inventory=inventory,
        infra=[resource for resource in infra if resource.address not in late],
        terms=terms,
        services=services,
        # An environment whose file was renamed looks like a new one, and its old name like one without a file.
        undeclared_environments={} if owned else _environments_without_file(workspace),
    )


class _DryRun(Frozen):
    """A dry run of an apply. Fills `outputs` with what is observed."""

    stack: Stack
    inventory: Inventory
    infra: list[Resource]
    outputs: Outputs
    terms: Terms
    on_wait: OnWait

    def of(self, images: Mapping[str, str] | None, *, running: bool) -> tuple[list[Step], Terms, ServicesLeftOut]:
        """The steps with these images, with those that run, or of the infrastructure alone; and the rest of a plan."""
        if running:
            images = running_images(self.stack, self.inventory)
            return *self.everything(self.stack.release(images, only=images)), ServicesLeftOut()
        if images is None:
            return self.infra_alone()
        steps, terms = self.everything(self.stack.release(images))
        check_connections(self.stack, self.outputs, steps)
        return steps, terms, ServicesLeftOut()

    def everything(self, release: list[Resource]) -> tuple[list[Step], Terms]:
        """The steps of infrastructure and release, and the terms on which they may be taken."""
        resources = [*self.infra, *release]
        steps = list(
            reconcile(
                resources,
                self.inventory,
                outputs=self.outputs,
                dry_run=True,
                terms=self.terms,
                on_wait=self.on_wait,
            )
        )
        check_replicas_first(self.stack, self.outputs, steps)
        steps = with_held(steps, held_back(steps, resources))
        return steps, replace(self.terms, refused=refusals(steps))

    def infra_alone(self) -> tuple[list[Step], Terms, ServicesLeftOut]:
        """The steps of the infrastructure, and what they leave out of the services, with the images that these run."""
        running = running_images(self.stack, self.inventory)
        release = self.stack.release(running, only=running)
        steps, terms = self.everything(release)
        services = left_out(self.stack, steps, release, running)
        terms = replace(terms, widen=services.waiting(self.stack))
        late = services.late(self.stack)
        now = [resource for resource in self.infra if resource.address not in late]
        return list(widened_steps(steps, now, self.outputs, self.inventory, terms)), terms, services


def undeclared_in(workspace: Workspace, owned: Iterable[Owned], outputs: Outputs) -> list[Owned]:
    """What the environment owns and its file does not declare, with subscriptions of the alarms."""
    former = [
        subscription
        for topic in dict.fromkeys(workspace.stack.routes.values())
        for subscription in former_subscriptions(workspace.environment.name, outputs[topic])
    ]
    return [*undeclared(owned, workspace.declared()), *former]


def prune_steps(
    found: list[Owned], inventory: Inventory, *, dry_run: bool = False, on_wait: OnWait = lambda *_: None
) -> Iterator[Step]:
    """Delete undeclared resources; keep those that hold data and everything that these need.

    Raises OrderopsError for an address that several of them carry.
    """
    holds = holding(found, inventory)
    check_no_twins(found, holds, f"orderops down --env {inventory.environment}")
    # A kept database still needs its subnets, security group and parameter group.
    kept = keep_with_needs(holds, {}, found)
    yield from destroy(found, inventory, kept=kept, dry_run=dry_run, on_wait=on_wait)


def check_addresses(given: Collection[str], known: Collection[str], message: str) -> None:
    """Raise UsageError with `message` for the first address that is not known, and suggest a similar one."""
    for address in given:
        if address not in known:
            similar = get_close_matches(address, known, n=1)
            hint = f"did you mean {similar[0]}?" if similar else "list the addresses: orderops infra graph"
            raise UsageError(message.format(address), hint)


def _environments_without_file(workspace: Workspace) -> dict[str, set[str]]:
    known = {workspace.environment.name, *workspace.other_environments}
    return {name: addresses for name, addresses in environments_in_account(workspace.aws).items() if name not in known}

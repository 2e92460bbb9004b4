"""Apply: bring the account to the declared state, the infrastructure first and then what runs on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from orderops.engine.decision import property_changes
from orderops.engine.destroy import with_what_they_need
from orderops.engine.reconcile import reconcile
from orderops.engine.resource import Outputs, Resource
from orderops.engine.scheduler import OnWait
from orderops.engine.step import Action, Step
from orderops.engine.task import RecentWrites
from orderops.engine.terms import Terms
from orderops.errors import OrderopsError
from orderops.frozen import replace
from orderops.infra.connections import check_connections
from orderops.infra.features import with_complete_notes
from orderops.infra.plan import Plan, prune_steps, undeclared_in
from orderops.infra.region import check_region
from orderops.infra.workspace import Workspace
from orderops.text.lists import joined


@dataclass
class Apply:
    """One apply, whose parts share an inventory and outputs.

    Permissions are widened first and narrowed last, so that tasks which still run keep what they need.
    """

    workspace: Workspace
    images: Mapping[str, str] | None = None
    plan: Plan | None = None
    """The plan, if nothing has changed the environment since; None to read the account again and plan no terms."""
    recent_writes: RecentWrites | None = None
    on_wait: OnWait = lambda *_: None
    outputs: Outputs = field(default_factory=Outputs)

    def __post_init__(self) -> None:
        self._inventory = self.plan.inventory if self.plan else self.workspace.inventory()
        stack = self.workspace.stack
        self._infra = self.plan.infra if self.plan else with_complete_notes(stack.infra, self._inventory)
        self._terms = self.plan.terms if self.plan else Terms(ignores=self.workspace.ignores)

    def infra(self) -> Iterator[Step]:
        """Create and update everything but the release, and but what leads clients to another place."""
        permitting = {resource.address for resource in self._infra if resource.permits}
        late = self.workspace.stack.listeners.late
        first = [resource for resource in self._infra if resource.address not in late]
        yield from self._reconcile(first, replace(self._terms, widen=permitting))

    def release(self) -> Iterator[Step]:
        """Create and update what runs the services. The infrastructure has to exist."""
        yield from self._reconcile(self.workspace.stack.release(self.images or {}), self._terms)

    def names(self) -> Iterator[Step]:
        """Lead clients to where the released tasks are; before anything is pruned that answered them until now."""
        late = self.workspace.stack.listeners.late
        yield from self._reconcile([one for one in self._infra if one.address in late], self._terms)

    def look_again(self) -> None:
        """Read the infrastructure again, after something else than this apply has changed it."""
        self._inventory = self.workspace.inventory()
        for _ in reconcile(self._infra, self._inventory, outputs=self.outputs, dry_run=True):
            pass

    def prune(self) -> Iterator[Step]:
        """Delete owned resources that are not declared and hold no data, releases included."""
        # Read again: the inventory of the plan does not show what this apply created.
        inventory = self.workspace.inventory()
        found = undeclared_in(self.workspace, inventory.owned(), self.outputs)
        yield from prune_steps(found, inventory, on_wait=self.on_wait)

    def narrow(self) -> Iterator[Step]:
        """Take away permissions that nothing uses any more, now that the release has replaced the tasks."""
        wide = [resource for resource in self._infra if self._is_wide(resource)]
        # Without those that a release that has yet to come still needs.
        yield from (step for step in self._reconcile(wide, self._terms) if step.action is not Action.NO_OP)

    def _is_wide(self, resource: Resource) -> bool:
        if not resource.permits or resource not in self.outputs:
            return False
        return bool(property_changes(self.outputs[resource].properties, resource.desired(self.outputs)))

    def _reconcile(self, resources: list[Resource], terms: Terms) -> Iterator[Step]:
        yield from reconcile(
            resources,
            self._inventory,
            outputs=self.outputs,
            terms=terms,
            on_wait=self.on_wait,
            recent_writes=self.recent_writes,
        )


class Release:
    """A release of some services on the existing infrastructure. Raises OrderopsError if a part of that is missing."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self.outputs = Outputs(workspace.aws.region, workspace.aws.account)
        self._inventory = workspace.inventory()
        check_region(workspace.environment, self._inventory)
        steps = list(reconcile(workspace.stack.infra, self._inventory, outputs=self.outputs, dry_run=True))
        running = [resource.address for resource in workspace.stack.release({})]
        needed = with_what_they_need(running, workspace.declared(), lambda address: address)
        missing = sorted(step.address for step in steps if step.action is Action.CREATE and step.address in needed)
        if missing:
            name = workspace.environment.name
            raise OrderopsError(f"{joined(missing, max_names=1)} must be created first", f"orderops up --env {name}")

    def plan(self, images: Mapping[str, str]) -> list[Step]:
        """What rolling out these images would change. Raises OrderopsError if it needs more than there is yet."""
        resources = self._resources(images)
        terms = Terms(ignores=self._workspace.ignores)
        steps = list(reconcile(resources, self._inventory, outputs=self.outputs, dry_run=True, terms=terms))
        changing = {step.address for step in steps if step.action is not Action.NO_OP}
        self._check_permitted(resource for resource in resources if resource.address in changing)
        check_connections(self._workspace.stack, self.outputs, steps)
        return steps

    def _check_permitted(self, resources: Iterable[Resource]) -> None:
        """Raise OrderopsError if new tasks would lack a permission, such as a port that no security group opens."""
        needs = {need.address: need for resource in resources for need in resource.needs() if need.permits}
        missing = sorted(address for address, need in needs.items() if self._permits_less(need))
        if missing:
            name = self._workspace.environment.name
            raise OrderopsError(
                f"{joined(missing, max_names=2)} must be updated first: the new tasks need what it does not permit yet",
                f"with the release: orderops up --env {name}; alone: orderops infra apply --env {name}",
            )

    def _permits_less(self, need: Resource) -> bool:
        observed, desired = self.outputs[need].properties, need.desired(self.outputs)
        return bool(property_changes(observed, need.widened(observed, desired)))

    def roll_out(
        self, images: Mapping[str, str], *, recent_writes: RecentWrites | None = None, on_wait: OnWait = lambda *_: None
    ) -> Iterator[Step]:
        """Roll out these images; returns when their tasks are healthy."""
        inventory = self._workspace.inventory()
        resources = self._resources(images)
        yield from reconcile(
            resources,
            inventory,
            outputs=self.outputs,
            terms=Terms(ignores=self._workspace.ignores),
            recent_writes=recent_writes,
            on_wait=on_wait,
        )

    def _resources(self, images: Mapping[str, str]) -> list[Resource]:
        return self._workspace.stack.release(images, only=images)

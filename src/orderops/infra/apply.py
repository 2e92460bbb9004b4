"""Apply: bring the account to the declared state, the infrastructure first and then what runs on it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from orderops.engine.destroy import undeclared, with_what_they_need
from orderops.engine.inventory import Inventory
from orderops.engine.reconcile import reconcile
from orderops.engine.resource import Outputs, Resource
from orderops.engine.scheduler import OnWait
from orderops.engine.step import Action, Step
from orderops.engine.task import RecentWrites
from orderops.errors import OrderopsError
from orderops.infra.plan import prune_steps
from orderops.infra.workspace import Workspace
from orderops.text.lists import joined


@dataclass
class Apply:
    """One apply, whose parts share an inventory and outputs."""

    workspace: Workspace
    images: Mapping[str, str] | None = None
    adopt: Collection[str] = ()
    inventory: Inventory | None = None
    """The inventory of the plan, if nothing has changed the environment since; None to read the account again."""
    recent_writes: RecentWrites | None = None
    on_wait: OnWait = lambda *_: None
    outputs: Outputs = field(default_factory=Outputs)

    def __post_init__(self) -> None:
        self._inventory = self.inventory or self.workspace.inventory(infra_only=self.images is None)

    def infra(self) -> Iterator[Step]:
        """Create and update everything but the release."""
        yield from self._reconcile(self.workspace.stack.infra)

    def release(self) -> Iterator[Step]:
        """Create and update what runs the services. The infrastructure has to exist."""
        yield from self._reconcile(self.workspace.stack.release(self.images or {}))

    def prune(self) -> Iterator[Step]:
        """Delete owned resources that are not declared and hold no data, releases included."""
        # Read again: the inventory of the plan does not show what this apply created.
        inventory = self.workspace.inventory()
        yield from prune_steps(
            undeclared(inventory.owned(), self.workspace.declared()), inventory, on_wait=self.on_wait
        )

    def _reconcile(self, resources: list[Resource]) -> Iterator[Step]:
        yield from reconcile(
            resources,
            self._inventory,
            outputs=self.outputs,
            adopt=self.adopt,
            on_wait=self.on_wait,
            recent_writes=self.recent_writes,
        )


class Release:
    """A release of some services on the existing infrastructure. Raises OrderopsError if a part of that is missing."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self.outputs = Outputs(workspace.aws.region, workspace.aws.account)
        self._inventory = workspace.inventory()
        steps = list(reconcile(workspace.stack.infra, self._inventory, outputs=self.outputs, dry_run=True))
        running = [resource.address for resource in workspace.stack.release({})]
        needed = with_what_they_need(running, workspace.declared(), lambda address: address)
        missing = sorted(step.address for step in steps if step.action is Action.CREATE and step.address in needed)
        if missing:
            name = workspace.environment.name
            raise OrderopsError(f"{joined(missing, max_names=1)} must be created first", f"orderops up --env {name}")

    def plan(self, images: Mapping[str, str]) -> Iterator[Step]:
        """What rolling out these images would change."""
        yield from reconcile(self._resources(images), self._inventory, outputs=self.outputs, dry_run=True)

    def roll_out(
        self, images: Mapping[str, str], *, recent_writes: RecentWrites | None = None, on_wait: OnWait = lambda *_: None
    ) -> Iterator[Step]:
        """Roll out these images; returns when their tasks are healthy."""
        inventory = self._workspace.inventory()
        resources = self._resources(images)
        yield from reconcile(resources, inventory, outputs=self.outputs, recent_writes=recent_writes, on_wait=on_wait)

    def _resources(self, images: Mapping[str, str]) -> list[Resource]:
        return self._workspace.stack.release(images, only=images)

"""The plan: what apply would do, and what it would not touch."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from orderops.engine.destroy import destroy, holding, undeclared, with_what_they_need
from orderops.engine.inventory import Inventory, Owned, environments_in_account
from orderops.engine.reconcile import reconcile
from orderops.engine.resource import Outputs
from orderops.engine.scheduler import OnWait
from orderops.engine.step import Action, Step
from orderops.errors import UsageError
from orderops.infra.workspace import Workspace


@dataclass(frozen=True)
class Plan:
    """Steps that apply would take, undeclared resources that it would prune or keep, and what it was planned from."""

    steps: list[Step]
    pruned: list[Step]
    undeclared: list[Owned]
    outputs: Outputs
    inventory: Inventory
    undeclared_environments: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Environments in the account without a file, and their addresses; read only if this one does not exist yet."""

    @property
    def changes(self) -> list[Step]:
        """The steps that would change something."""
        return [step for step in self.steps if step.action is not Action.NO_OP]

    @property
    def differs(self) -> bool:
        """Whether there is anything to do or to decide."""
        return bool(self.changes or self.pruned or self.undeclared)

    @property
    def refused_steps(self) -> list[Step]:
        """The steps that cannot be taken."""
        return [step for step in self.steps if step.error]


def make_plan(
    workspace: Workspace,
    *,
    images: Mapping[str, str] | None = None,
    adopt: Collection[str] = (),
    prune: bool = False,
    on_wait: OnWait = lambda *_: None,
) -> Plan:
    """Plan what apply would do: with `images` for everything, without them for the infrastructure alone.

    Raises UsageError if `adopt` names an address that is not declared.
    """
    inventory = workspace.inventory(infra_only=images is None and not prune)
    check_addresses(adopt, workspace.declared(), "--adopt {}: no declared resource has this address")
    outputs = Outputs(workspace.aws.region, workspace.aws.account)
    resources = [*workspace.stack.infra, *(workspace.stack.release(images) if images is not None else [])]
    steps = list(reconcile(resources, inventory, outputs=outputs, dry_run=True, adopt=adopt, on_wait=on_wait))
    owned = list(inventory.owned())
    found = undeclared(owned, workspace.declared())
    pruned = list(prune_steps(found, inventory, dry_run=True)) if prune else []
    # An environment whose file was renamed looks like a new one, and its old name like one without a file.
    environments = {} if owned else _environments_without_file(workspace)
    return Plan(steps, pruned, [] if prune else found, outputs, inventory, environments)


def prune_steps(
    found: list[Owned], inventory: Inventory, *, dry_run: bool = False, on_wait: OnWait = lambda *_: None
) -> Iterator[Step]:
    """Delete undeclared resources; keep those that hold data and everything that these need."""
    # A kept database still needs its subnets, security group and parameter group.
    holds = holding(found, inventory)
    kept = with_what_they_need(holds, {}, lambda address: f"holds {holds[address]}", found)
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

"""The contract that every resource fulfils."""

from __future__ import annotations

from typing import Any, Protocol

from orderops.aws.client import Aws
from orderops.engine.destroy import destroy
from orderops.engine.inventory import Inventory
from orderops.engine.resource import Resource
from orderops.engine.step import Action, Step
from orderops.engine.waiting import ReconcileLimits
from orderops.frozen import replace
from support.tag_keys import ADDRESS, ENVIRONMENT


class Up(Protocol):
    """Reconcile resources and everything that they need; return the steps by address."""

    def __call__(
        self, *resources: Resource, dry_run: bool = False, adopt: Any = (), environment: str = "dev"
    ) -> dict[str, Step]: ...


def keeps_its_promises(resource: Resource, aws: Aws, up: Up, **altered: Any) -> None:
    """Take a resource through its life: absent, created, unchanged, updated, unchanged, deleted, re-created."""
    address = resource.address
    assert up(resource, dry_run=True)[address].action is Action.CREATE

    assert up(resource)[address].action is Action.CREATE
    step = up(resource)[address]
    assert step.action is Action.NO_OP, step.changes

    if altered:
        other = replace(resource, **altered)
        planned = up(other, dry_run=True)[address]
        assert planned.action is Action.UPDATE
        assert planned.changes
        assert up(other)[address].changes == planned.changes
        assert up(other)[address].action is Action.NO_OP, "a change must be done after one run"
        assert up(resource)[address].action is Action.UPDATE
        assert up(resource)[address].action is Action.NO_OP

    remove(resource, aws)
    assert up(resource, dry_run=True)[address].action is Action.CREATE
    assert up(resource)[address].action is Action.CREATE
    assert up(resource)[address].action is Action.NO_OP


def remove(resource: Resource, aws: Aws, environment: str = "dev") -> None:
    """Delete what the listing returns, as `down` does."""
    inventory = Inventory(aws, environment, [type(resource)])
    owned = [other for other in inventory.existing([resource]) if other.address == resource.address]
    assert len(owned) == 1, owned
    assert owned[0].observed.tags
    assert owned[0].observed.tags[ENVIRONMENT] == environment
    assert owned[0].observed.tags[ADDRESS] == resource.address
    assert [step.action for step in destroy(owned, inventory, limits=ReconcileLimits())] == [Action.DELETE]
    left = Inventory(aws, environment, [type(resource)]).existing([resource])
    assert not [other for other in left if other.address == resource.address]

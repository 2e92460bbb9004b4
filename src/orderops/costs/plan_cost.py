"""What the changes of a plan add a month, or take away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from orderops.costs.estimate import CostDifference, cost_of, differences, worst
from orderops.costs.prices import Prices, Quality, prices_of
from orderops.engine.resource import Properties
from orderops.engine.step import Action, Step
from orderops.frozen import Frozen
from orderops.infra.plan import Plan
from orderops.infra.workspace import Workspace


class PlanCost(Frozen):
    """The resources whose cost a plan changes, and the prices of the estimate."""

    changes: Sequence[CostDifference]
    prices: Prices

    @property
    def least(self) -> Decimal:
        """USD a month more in all, at the lowest scaling; below 0 for less."""
        return sum((change.least for change in self.changes), Decimal(0))

    @property
    def most(self) -> Decimal:
        """USD a month more in all, at the highest scaling."""
        return sum((change.most for change in self.changes), Decimal(0))

    @property
    def quality(self) -> Quality | None:
        """That of the worst price."""
        return worst(line for change in self.changes for line in [*change.before.lines, *change.after.lines])

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with stable keys."""
        return {
            "changes": [change.to_dict() for change in self.changes],
            "usd": round(float(self.least), 4),
            "usd_most": round(float(self.most), 4),
            "quality": None if self.quality is None else str(self.quality),
            "prices_of": str(self.prices.date),
        }


def plan_cost(workspace: Workspace, plan: Plan) -> PlanCost:
    """What the steps of a plan add a month; refused steps add nothing."""
    environment, prices = workspace.environment, prices_of(workspace.environment.region)
    before: dict[str, Properties] = {}
    after: dict[str, Properties] = {}
    for step, desired in _declared(workspace, plan):
        observed = {**desired, **{key: live for key, (live, _) in {**step.ignored, **step.changes}.items()}}
        exists = step.action is not Action.CREATE
        if exists:
            before[step.address] = observed
        if not step.refused:
            after[step.address] = {**desired, **{key: live for key, (live, _) in step.ignored.items()}}
        elif exists:
            after[step.address] = observed
    before |= _pruned(plan)
    now, then = (cost_of(environment, world, prices) for world in (before, after))
    return PlanCost(differences(now, then), prices)


def _declared(workspace: Workspace, plan: Plan) -> Iterator[tuple[Step, Properties]]:
    resources = {resource.address: resource for resource in [*workspace.stack.release({}), *plan.infra]}
    for step in plan.steps:
        # A release that is taken away has no declaration.
        if resource := resources.get(step.address):
            yield step, resource.desired(plan.outputs)


def _pruned(plan: Plan) -> Mapping[str, Properties]:
    """What will be deleted, with its properties."""
    addresses = {step.address for step in plan.pruned if step.action is Action.DELETE}
    if not addresses:
        return {}
    return {owned.address: owned.observed.properties for owned in plan.inventory.owned() if owned.address in addresses}

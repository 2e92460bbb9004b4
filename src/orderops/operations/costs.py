"""orderops env cost: what an environment costs a month, by its file alone."""

from __future__ import annotations

from datetime import UTC, date, datetime

from orderops.config.environment import load_environment
from orderops.costs.estimate import differences, environment_cost
from orderops.costs.plan_cost import plan_cost
from orderops.infra.plan import Plan
from orderops.infra.workspace import Workspace
from orderops.operations.options import EnvironmentOptions
from orderops.ui import console, costs


def show_cost(where: EnvironmentOptions, *, compare: str | None, requests: int | None, as_json: bool) -> None:
    """Show the estimate of an environment, or with `compare` what differs from another one."""
    cost = environment_cost(load_environment(where.env, where.environments), requests)
    head = {"environment": where.env, "prices_of": str(cost.prices.date), "outdated": cost.prices.outdated(today())}
    if compare is None:
        if as_json:
            console.show_json({**head, "region": cost.prices.region, "requests": requests, **cost.to_dict()})
        else:
            costs.show_cost(where.env, cost, requests, today())
        return
    other = environment_cost(load_environment(compare, where.environments), requests)
    found = differences(cost, other, {"before": where.env, "after": compare})
    if as_json:
        sums = {name: one.sums() for name, one in ((where.env, cost), (compare, other))}
        console.show_json(
            {
                **head,
                "compare": compare,
                "requests": requests,
                "sums": sums,
                "differences": [d.to_dict() for d in found],
            }
        )
    else:
        costs.show_comparison((where.env, compare), (cost, other), found, today())


def show_sum(workspace: Workspace, plan: Plan) -> None:
    """Show what the environment will cost, and what the plan adds to it."""
    console.info(costs.sum_before_question(environment_cost(workspace.environment), plan_cost(workspace, plan)))


def today() -> date:
    """The date that the age of the prices is counted to."""
    return datetime.now(UTC).date()

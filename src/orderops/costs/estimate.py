"""The cost of an environment a month, and of the changes of a plan."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from orderops.config.environment import Environment
from orderops.costs.formulas import FORMULAS
from orderops.costs.line import Line, MonthlyTraffic, Priced, Sort, World, guarded
from orderops.costs.prices import Prices, Quality, prices_of
from orderops.costs.tasks import queue_requests
from orderops.engine.resource import Outputs
from orderops.frozen import Frozen
from orderops.infra.stack import stack

NO_ACCOUNT = "000000000000"


class Cost(Frozen):
    """The lines of an estimate, and the prices that it was made with."""

    lines: Sequence[Line]
    prices: Prices

    @property
    def least(self) -> Decimal:
        """USD a month at the lowest scaling, without what is unknown."""
        return sum((line.least for line in self.lines), Decimal(0))

    @property
    def most(self) -> Decimal:
        """USD a month at the highest scaling, without what is unknown."""
        return sum((line.most for line in self.lines), Decimal(0))

    @property
    def quality(self) -> Quality | None:
        """That of its worst price; None if nothing is priced."""
        return worst(self.lines)

    def of(self, *sorts: Sort) -> list[Line]:
        """The lines of these sorts."""
        return [line for line in self.lines if line.sort in sorts]

    def sums(self) -> dict[str, Any]:
        """The sums as JSON, with stable keys."""
        return {
            "usd": round(float(self.least), 4),
            "usd_most": round(float(self.most), 4),
            "quality": None if self.quality is None else str(self.quality),
        }

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with stable keys."""
        return {"lines": [line.to_dict() for line in self.lines], **self.sums()}

    def by_address(self) -> dict[str, Cost]:
        """The estimate of each resource."""
        addresses = dict.fromkeys(line.address for line in self.lines)
        return {
            address: Cost([line for line in self.lines if line.address == address], self.prices)
            for address in addresses
        }


def worst(lines: Iterable[Line]) -> Quality | None:
    """The least good quality among the prices of lines that add to a sum."""
    found = [line.quality for line in lines if line.quality and (line.least or line.most)]
    return max(found, key=lambda quality: quality.weight, default=None)


def environment_cost(environment: Environment, requests: int | None = None) -> Cost:
    """What an environment costs a month by its file alone, with this many requests a month if they are known."""
    prices = prices_of(environment.region)
    declared = stack(environment, environment.account or NO_ACCOUNT)
    outputs = Outputs(environment.region, environment.account or NO_ACCOUNT)
    resources = [*declared.infra, *declared.release({})]
    traffic = None if requests is None else MonthlyTraffic(requests, prices.assumptions)
    world = {resource.address: resource.desired(outputs) for resource in resources}
    return cost_of(environment, world, prices, traffic)


def cost_of(environment: Environment, world: World, prices: Prices, traffic: MonthlyTraffic | None = None) -> Cost:
    """What these resources of an environment cost a month."""
    if environment.emulated:
        return Cost([Line(address, Sort.FREE, "runs on this machine") for address in world], prices)
    return Cost(list(_lines(world, prices, traffic)), prices)


def _lines(world: World, prices: Prices, traffic: MonthlyTraffic | None) -> Iterator[Line]:
    for address, properties in world.items():
        resource = Priced(address, properties, world, prices, traffic)
        formula = FORMULAS[address.partition("/")[0]]
        yield from guarded(formula(resource), resource)
    if requests := queue_requests(world, prices, traffic):
        yield requests


class CostDifference(Frozen):
    """What a resource costs a month in two environments, or before and after a plan."""

    address: str
    before: Cost
    after: Cost

    @property
    def least(self) -> Decimal:
        """USD a month more at the lowest scaling; below 0 for less."""
        return self.after.least - self.before.least

    @property
    def most(self) -> Decimal:
        """USD a month more at the highest scaling."""
        return self.after.most - self.before.most

    @property
    def quality(self) -> Quality | None:
        """That of its worst price."""
        return worst([*self.before.lines, *self.after.lines])

    @property
    def unknown(self) -> list[str]:
        """What is not known of it, on either side."""
        lines = [*self.before.of(Sort.UNKNOWN), *self.after.of(Sort.UNKNOWN)]
        return list(dict.fromkeys(line.what for line in lines))

    @property
    def usage(self) -> list[str]:
        """What depends on use and has no amount, on one side alone."""
        before, after = ({line.what for line in cost.of(Sort.USAGE)} for cost in (self.before, self.after))
        return sorted(before ^ after)

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with stable keys."""
        return {
            "address": self.address,
            "usd": round(float(self.least), 4),
            "usd_most": round(float(self.most), 4),
            "quality": None if self.quality is None else str(self.quality),
            "unknown": self.unknown,
            "usage": self.usage,
        }


def differences(before: Cost, after: Cost, names: Mapping[str, str] | None = None) -> list[CostDifference]:
    """What differs between two estimates, resource by resource; what costs the same is left out.

    `names` is the word that takes the place of an environment's name in each estimate: "before" and "after".
    """
    one, other = before.by_address(), after.by_address()
    if names:
        one = {nameless(address, names["before"]): cost for address, cost in one.items()}
        other = {nameless(address, names["after"]): cost for address, cost in other.items()}
    nothing = (Cost([], before.prices), Cost([], after.prices))
    found = [
        CostDifference(address, one.get(address, nothing[0]), other.get(address, nothing[1]))
        for address in dict.fromkeys([*one, *other])
    ]
    return [item for item in found if item.least or item.most or _unlike(item)]


def _unlike(item: CostDifference) -> bool:
    """Whether what is unknown or depends on use is there on one side alone."""
    return any(bool(item.before.of(sort)) != bool(item.after.of(sort)) for sort in (Sort.UNKNOWN, Sort.USAGE))


def nameless(address: str, name: str) -> str:
    """An address without the name of its environment, so that those of two environments can be compared."""
    return re.sub(rf"(?<=orderops[-/]){re.escape(name)}(?=[-/:]|$)", "ENV", address)

"""One line of a cost estimate, and the resource that it is for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from orderops.costs.prices import NoPriceError, Price, Prices, Quality
from orderops.engine.resource import Properties, unknown_in
from orderops.frozen import Frozen

World = Mapping[str, Properties]
"""The properties of every resource, by address."""


class Sort(StrEnum):
    """What an amount is."""

    PRICED = "priced"
    """Paid for as long as the resource exists."""
    USAGE = "usage"
    """Depends on use; the amount is what is known of it."""
    FREE = "free"
    UNKNOWN = "unknown"


class Line(Frozen):
    """An amount a month in USD: `least` at the lowest scaling, `most` at the highest."""

    address: str
    sort: Sort
    what: str
    """The working, such as "730 h x 0.059", or the reason of what is free or unknown."""
    least: Decimal = Decimal(0)
    most: Decimal = Decimal(0)
    quality: Quality | None = None

    @property
    def kind(self) -> str:
        """The kind of its resource."""
        return self.address.partition("/")[0]

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with stable keys."""
        return {
            "address": self.address,
            "sort": str(self.sort),
            "what": self.what,
            "usd": round(float(self.least), 4),
            "usd_most": round(float(self.most), 4),
            "quality": None if self.quality is None else str(self.quality),
        }


class MonthlyTraffic(Frozen):
    """Requests a month, and what one of them is assumed to cause."""

    requests: int
    assumptions: Mapping[str, Decimal]

    def gb(self, assumption: str) -> Decimal:
        """The gigabytes that all requests cause, by an assumption in kilobytes."""
        return self.requests * self.assumptions[assumption] / 1_000_000


@dataclass(frozen=True)
class Priced:
    """A resource to be priced, among all others."""

    address: str
    properties: Properties
    world: World
    prices: Prices
    traffic: MonthlyTraffic | None = None
    name: str = field(init=False, default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.address.partition("/")[2])

    def of_kind(self, kind: str) -> list[str]:
        """The addresses of all resources of a kind."""
        return [address for address in self.world if address.startswith(f"{kind}/")]

    def stated(self, key: str, *, kind: str = "") -> Any:
        """A property of it, or of its namesake of another kind. Raises NoPriceError if it is not known."""
        properties = self.world.get(f"{kind}/{self.name}", {}) if kind else self.properties
        value = properties.get(key)
        if value is None or unknown_in(value):
            raise NoPriceError(f"its {key} is not known")
        return value

    def fixed(self, what: str, least: Decimal, price: Price, most: Decimal | None = None) -> Line:
        """An amount that is paid in any case."""
        return Line(self.address, Sort.PRICED, what, least, least if most is None else most, price.quality)

    def used(self, what: str, amount: Decimal = Decimal(0), price: Price | None = None) -> Line:
        """An amount that depends on use."""
        return Line(self.address, Sort.USAGE, what, amount, amount, price.quality if price else None)

    def free(self, why: str) -> Line:
        """Nothing to pay."""
        return Line(self.address, Sort.FREE, why)

    def unknown(self, why: str) -> Line:
        """An amount that the table cannot give."""
        return Line(self.address, Sort.UNKNOWN, why)


def guarded(lines: Iterator[Line], resource: Priced) -> Iterator[Line]:
    """The lines of a formula, and an unknown one where a price or a property is missing."""
    try:
        yield from lines
    except NoPriceError as error:
        yield resource.unknown(str(error))

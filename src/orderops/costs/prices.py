"""The table of prices: figures of one date, each with its source and how far it may be off."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from importlib.resources import files

from orderops.frozen import Frozen

HOURS = 730
"""Hours of a month, as AWS's own calculator counts them."""
OUTDATED_DAYS = 365


class Quality(StrEnum):
    """How good a price is, best first."""

    PUBLISHED = "published"
    PUBLIC = "public"
    RECALLED = "recalled"
    DERIVED = "derived"

    @property
    def weight(self) -> int:
        """Its rank; greater is worse."""
        return list(Quality).index(self)


class Price(Frozen):
    """What one unit costs in USD, and how many of them are free a month."""

    usd: Decimal
    per: str
    quality: Quality
    source: str
    free: Decimal = Decimal(0)

    def __str__(self) -> str:
        return f"{self.usd} USD a {self.per}"

    @property
    def month(self) -> Decimal:
        """For a whole month of a price by the hour."""
        return self.usd * HOURS


class Prices(Frozen):
    """The prices of one region; none for a region that the table does not have."""

    region: str
    date: datetime.date
    known: Mapping[str, Price]
    assumptions: Mapping[str, Decimal]

    def __getitem__(self, item: str) -> Price:
        """Return a price. Raises NoPriceError if the table does not have it."""
        if item not in self.known:
            raise NoPriceError(f"no price of {item} in {self.region} in the table of {self.date}")
        return self.known[item]

    def outdated(self, today: datetime.date) -> bool:
        """Whether the table is older than a year."""
        return (today - self.date).days > OUTDATED_DAYS


class NoPriceError(Exception):
    """A price, or a property that decides it, is not known; the message says which."""


def prices_of(region: str) -> Prices:
    """Return the prices of a region from the packaged table."""
    text = (files(__package__) / "prices.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text, parse_float=Decimal)
    known = {
        item: Price(
            Decimal(raw["usd"]), raw["per"], Quality(raw["quality"]), raw["source"], Decimal(raw.get("free", 0))
        )
        for item, raw in table["regions"].get(region, {}).items()
    }
    assumptions = {name: Decimal(value) for name, value in table["assumptions"].items()}
    return Prices(region, table["date"], known, assumptions)

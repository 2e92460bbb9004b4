"""What a database instance and a read replica cost a month."""

from __future__ import annotations

from collections.abc import Iterator

from orderops.costs.line import Line, Priced
from orderops.costs.money import added, money
from orderops.costs.prices import HOURS, NoPriceError, Prices


def instance(resource: Priced) -> Iterator[Line]:
    """Instance and storage, twice with a standby; the secret that RDS keeps the master password in."""
    copies = 2 if resource.stated("MultiAZ") else 1
    yield from _server(resource, copies)
    if resource.properties.get("ManageMasterUserPassword"):
        secret = resource.prices["secret"]
        yield resource.fixed("the secret of the master user", secret.usd, secret)
    backup = resource.prices["rds-backup"]
    yield resource.used(f"backups beyond the size of the storage, and snapshots by hand: {backup}")


def replica(resource: Priced) -> Iterator[Line]:
    """Another instance with storage of its own."""
    yield from _server(resource, 2 if resource.properties.get("MultiAZ") else 1)


def class_change(prices: Prices, now: str, wanted: str, servers: int) -> str:
    """What another class costs more or less a month for so many servers, in words."""
    try:
        before, after = prices[now], prices[wanted]
    except NoPriceError as error:
        return f"unknown: {error}"
    amounts = [servers * price.month for price in (before, after)]
    quality = max(before.quality, after.quality, key=lambda quality: quality.weight)
    words = [money(amount, quality) for amount in amounts]
    return f"{added(amounts[1] - amounts[0], quality)} USD a month ({words[0]} -> {words[1]}), prices of {prices.date}"


def _server(resource: Priced, copies: int) -> Iterator[Line]:
    if not resource.properties.get("Running", True):
        yield resource.free("the instance is stopped; its storage is not")
    else:
        name = resource.stated("DBInstanceClass")
        price = resource.prices[name]
        standby = "2 x " if copies == 2 else ""
        yield resource.fixed(f"{name}: {standby}{HOURS} h x {price.usd}", copies * price.month, price)
    yield from _storage(resource, copies)
    if resource.properties.get("DatabaseInsightsMode") == "advanced":
        yield resource.unknown("Database Insights in its advanced mode: charged by vCPU, not in the table")


def _storage(resource: Priced, copies: int) -> Iterator[Line]:
    form = resource.stated("StorageType")
    if form != "gp3":
        yield resource.unknown(f"storage of type {form}: only gp3 is in the table")
        return
    price, size = resource.prices["rds-gp3"], resource.stated("AllocatedStorage")
    largest = resource.properties.get("MaxAllocatedStorage") or size
    standby = "2 x " if copies == 2 else ""
    grows = f", growing up to {largest} GB" if largest > size else ""
    yield resource.fixed(
        f"storage: {standby}{size} GB x {price.usd}{grows}",
        copies * size * price.usd,
        price,
        most=copies * largest * price.usd,
    )

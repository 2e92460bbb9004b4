"""Costs on the terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal

from orderops.costs.estimate import Cost, CostDifference, worst
from orderops.costs.line import Line, Sort
from orderops.costs.money import added, span
from orderops.costs.plan_cost import PlanCost
from orderops.costs.prices import Prices, Quality
from orderops.text.lists import counted, joined
from orderops.text.outside import plain
from orderops.ui import console

EXACTNESS = {
    Quality.RECALLED: "within about 10 %",
    Quality.DERIVED: "within about 20 %, so without cents",
}


def show_cost(name: str, cost: Cost, requests: int | None, today: date) -> None:
    """Print the lines of an estimate, its sum, and where the prices are from."""
    for kind, lines in _by_kind(cost.of(Sort.PRICED)).items():
        _show_priced(kind, lines)
    for line in _once(cost.of(Sort.USAGE)):
        amount = span(line.least, line.most, line.quality) if line.quality else "by use"
        console.data(f"{amount:>20}  {line.address}  {line.what}")
    for line in _once(cost.of(Sort.UNKNOWN)):
        console.data(f"{'unknown':>20}  {line.address}  {line.what}")
    free = _by_kind(cost.of(Sort.FREE))
    if free:
        console.data(f"{'free':>20}  {joined(list(free), max_names=len(free))}")
    console.data(f"{span(cost.least, cost.most, cost.quality):>20}  USD a month for {name}{_what_for(cost, requests)}")
    _show_prices(cost.prices, today, cost.quality)


def _show_priced(kind: str, lines: Sequence[Line]) -> None:
    quality = worst(lines)
    least, most = (
        sum(amounts, Decimal(0)) for amounts in zip(*((line.least, line.most) for line in lines), strict=True)
    )
    addresses = list(dict.fromkeys(line.address for line in lines))
    what = "; ".join(dict.fromkeys(line.what for line in lines)) if len(addresses) == 1 else _of_several(lines)
    label = addresses[0] if len(addresses) == 1 else f"{len(addresses)} x {kind}"
    console.data(f"{span(least, most, quality):>20}  {label}  {what}")


def _of_several(lines: Sequence[Line]) -> str:
    return joined(list(dict.fromkeys(line.what for line in lines)), max_names=2)


def _what_for(cost: Cost, requests: int | None) -> str:
    traffic = "without traffic (--traffic 3M adds it)" if requests is None else f"with {requests:,} requests"
    scaling = ", at the lowest and the highest scaling" if cost.least != cost.most else ""
    unknown = len(_once(cost.of(Sort.UNKNOWN)))
    missing = f"; {counted(unknown, 'part')} unknown" if unknown else ""
    return f" {traffic}{scaling}{missing}"


def _show_prices(prices: Prices, today: date, quality: Quality | None = None) -> None:
    exact = f"; the worst price is {quality}, {EXACTNESS[quality]}" if quality in EXACTNESS else ""
    console.info(f"prices of {prices.date}, {prices.region}, 730 hours a month, without tax and discounts{exact}")
    if not prices.known:
        console.info(f"the table has no prices of {prices.region}: nothing is estimated from those of another region")
    if prices.outdated(today):
        console.info("the prices are older than a year: compare them with AWS's price list, or use a newer orderops")


def show_comparison(
    names: tuple[str, str], costs: tuple[Cost, Cost], found: Sequence[CostDifference], today: date
) -> None:
    """Print what differs between two environments, and their sums."""
    for item in found:
        if item.least or item.most:
            sums = (span(cost.least, cost.most, cost.quality) for cost in (item.before, item.after))
            console.data(f"{_change(item):>24}  {item.address}  {' -> '.join(sums)}")
        else:
            console.data(f"{_without_amount(item):>24}  {item.address}")
    for name, cost in zip(names, costs, strict=True):
        console.data(f"{span(cost.least, cost.most, cost.quality):>24}  USD a month for {name}")
    quality = worst([*costs[0].lines, *costs[1].lines])
    for cost in costs if costs[0].prices.region != costs[1].prices.region else costs[:1]:
        _show_prices(cost.prices, today, quality)


def show_plan_cost(cost: PlanCost, today: date) -> None:
    """Print what each change of a plan adds a month, and the sum."""
    for item in cost.changes:
        console.data(_plan_line(item))
    console.data(f"in all: {_sum(cost)} USD a month")
    _show_prices(cost.prices, today, cost.quality)


def cost_markdown(cost: PlanCost) -> Iterator[str]:
    """The lines of a section of Markdown: what each change adds a month, and the sum."""
    yield from ("", "## Cost a month", "", "| resource | USD a month |", "| --- | --- |")
    for item in cost.changes:
        address = plain(item.address, 200).replace("|", "\\|")
        amount = _change(item) if item.least or item.most else _without_amount(item)
        yield f"| `{address}` | {amount} |"
    yield f"| in all | {_sum(cost)} |"
    yield from ("", f"Prices of {cost.prices.date}, {cost.prices.region}, without tax and discounts.")


def sum_before_question(environment: Cost, change: PlanCost) -> str:
    """The sum that an operator sees before a change of an environment is confirmed."""
    quality = worst([*environment.lines, *(line for item in change.changes for line in item.after.lines)])
    total = span(environment.least, environment.most, environment.quality)
    unknown = len(_once(environment.of(Sort.UNKNOWN)))
    missing = f", {counted(unknown, 'part')} unknown" if unknown else ""
    more = added(change.least, quality)
    return (
        f"cost a month afterwards: {total} USD without traffic{missing}; this change: {more} USD "
        f"(prices of {environment.prices.date})"
    )


def _sum(cost: PlanCost) -> str:
    return _span_added(cost.least, cost.most, cost.quality)


def _change(item: CostDifference) -> str:
    return _span_added(item.least, item.most, item.quality)


def _span_added(least: Decimal, most: Decimal, quality: Quality | None) -> str:
    low, high = added(least, quality), added(most, quality)
    return low if low == high else f"{low} to {high.removeprefix('about ')}"


def _plan_line(item: CostDifference) -> str:
    amount = f"{_change(item)} USD a month" if item.least or item.most else _without_amount(item)
    details = [*item.unknown, *item.usage]
    return f"{amount:>28}  {item.address}{f'  ({joined(details, max_names=2)})' if details else ''}"


def _without_amount(item: CostDifference) -> str:
    return "unknown" if item.unknown else "by use"


def _by_kind(lines: Sequence[Line]) -> dict[str, list[Line]]:
    kinds: dict[str, list[Line]] = {}
    for line in lines:
        kinds.setdefault(line.kind, []).append(line)
    return kinds


def _once(lines: Sequence[Line]) -> list[Line]:
    """The lines without those that say the same of another resource of their kind and have no amount."""
    return list({(line.kind, line.what, line.address if line.most else ""): line for line in lines}.values())

"""Amounts in words: as exact as the prices behind them."""

from __future__ import annotations

from decimal import Decimal

from orderops.costs.prices import Quality

CENT, WHOLE = Decimal("0.01"), Decimal(1)


def money(amount: Decimal, quality: Quality | None) -> str:
    """An amount in USD; without cents where a price is derived."""
    if quality is Quality.DERIVED:
        return f"about {amount.quantize(WHOLE):,}"
    return f"{amount.quantize(CENT):,}"


def added(amount: Decimal, quality: Quality | None) -> str:
    """A difference in USD with its sign."""
    sign = "-" if amount < 0 else "+"
    text = money(abs(amount), quality)
    about, _, figure = text.rpartition(" ")
    return f"{about} {sign}{figure}".lstrip()


def span(least: Decimal, most: Decimal, quality: Quality | None) -> str:
    """An amount at the lowest and at the highest scaling; one amount where they are the same."""
    low, high = money(least, quality), money(most, quality)
    return low if low == high else f"{low} to {high.removeprefix('about ')}"

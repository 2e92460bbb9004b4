"""Charts as numbers: paths, places of labels and bars, for the SVG of the template.

Plots are drawn in units of 1000 by 100 and stretched; texts stand beside them in percent, so that they stay legible
at any width.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import timedelta

from orderops.board.marks import ChangeMark
from orderops.board.series import COUNT, PERIOD, DaySeries, Values
from orderops.frozen import Frozen

WIDTH, HEIGHT = 1000, 100
STEPS = (1, 2, 2.5, 5, 10)
FEW = 10
HOURS = 24
PER_HOUR = COUNT // HOURS


class ChartLine(Frozen):
    """One line of a chart; `path` is empty without data."""

    label: str
    path: str
    area: str
    style: str
    dots: str = ""
    """Single values between two gaps."""


class MarkLine(Frozen):
    """A release or a migration on a chart, in percent of its width."""

    x: str
    kind: str
    title: str


class HourRow(Frozen):
    """A line of the table that says the same as the chart."""

    hour: str
    values: tuple[str, ...]


class ChartView(Frozen):
    """A chart of 24 hours."""

    id: str
    title: str
    unit: str
    now: str
    summary: str
    highest: str
    lines: tuple[ChartLine, ...]
    marks: tuple[MarkLine, ...]
    rows: tuple[HourRow, ...]
    has_data: bool
    why_empty: str = ""


class ChartKind(Frozen):
    """How a metric is shown."""

    metric: str
    title: str
    unit: str
    empty: str
    with_limit: str = ""
    """A second metric, drawn as a limit."""


KINDS = (
    ChartKind("latency", "Latency, 95th percentile", "s", "no response times were recorded"),
    ChartKind("errors", "Requests answered with 5xx", "%", "no requests were counted"),
    ChartKind("requests", "Requests", "/min", "no requests were counted"),
    ChartKind("waiting", "Messages waiting", "", "SQS sends no metrics of an idle queue"),
    ChartKind("running", "Running tasks", "", "counted with [cluster] container_insights = true", "wanted"),
)


def chart(
    kind: ChartKind, service: str, values: Values, limit: Values | None, day: DaySeries, marks: Sequence[ChangeMark]
) -> ChartView:
    """The chart of one metric of one service."""
    present = [value for value in values if value is not None]
    limits = [value for value in limit or () if value is not None]
    top = _top(max([*present, *limits], default=0.0), whole=not kind.unit)
    lines = [ChartLine("wanted", _path(limit, top), "", "limit")] if limit and limits else []
    lines.append(ChartLine(kind.title, _path(values, top), _area(values, top), "value", _dots(values, top)))
    return ChartView(
        id=f"{kind.metric}-{service}",
        title=kind.title,
        unit=kind.unit,
        now=_with_unit(present[-1], kind.unit) if present else "no data",
        summary=_summary(kind, values, day),
        highest=_with_unit(top, kind.unit),
        lines=tuple(lines),
        marks=tuple(_mark(mark, day) for mark in marks if day.start <= mark.at <= day.end),
        rows=tuple(_rows(values, kind.unit, day)),
        has_data=bool(present),
        why_empty=kind.empty,
    )


def hour_labels(day: DaySeries) -> list[tuple[str, str]]:
    """The times below the charts, with their places in percent."""
    marks = (0, 6, 12, 18, 24)
    return [(f"{100 * hour / HOURS:g}%", f"{day.start + timedelta(hours=hour):%H:%M}") for hour in marks]


def shown(value: float) -> str:
    """A number with as many digits as it needs: 1234, 56.7, 0.089."""
    if value == 0:
        return "0"
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}".rstrip("0").rstrip(".")


def _top(highest: float, *, whole: bool) -> float:
    """The next round number above the highest value; of a few things that are counted, one more."""
    if highest <= 0:
        return 1.0
    if whole and highest < FEW:
        return math.ceil(highest) + 1.0
    magnitude = 10.0 ** math.floor(math.log10(highest))
    return next(step * magnitude for step in STEPS if step * magnitude >= highest)


def _runs(values: Values) -> Iterator[list[tuple[float, float]]]:
    """The parts of a line between its gaps, each as places of periods and values."""
    part: list[tuple[float, float]] = []
    for index, value in enumerate(values):
        if value is not None:
            part.append(((index + 0.5) * WIDTH / COUNT, value))
        elif part:
            yield part
            part = []
    if part:
        yield part


def _path(values: Values | None, top: float) -> str:
    parts = (part for part in _runs(values or ()) if len(part) > 1)
    return " ".join("M" + " L".join(f"{x:.1f} {_y(value, top):.2f}" for x, value in part) for part in parts)


def _dots(values: Values, top: float) -> str:
    # A line of no length with round ends is a dot.
    single = (part[0] for part in _runs(values) if len(part) == 1)
    return " ".join(f"M{x:.1f} {_y(value, top):.2f} h0.01" for x, value in single)


def _area(values: Values, top: float) -> str:
    pieces = []
    for part in _runs(values):
        if len(part) > 1:
            line = " L".join(f"{x:.1f} {_y(value, top):.2f}" for x, value in part)
            pieces.append(f"M{part[0][0]:.1f} {HEIGHT} L{line} L{part[-1][0]:.1f} {HEIGHT} Z")
    return " ".join(pieces)


def _y(value: float, top: float) -> float:
    return HEIGHT * (1 - max(0.0, min(value / top, 1.0)))


def _mark(mark: ChangeMark, day: DaySeries) -> MarkLine:
    place = 100 * ((mark.at - day.start) / (day.end - day.start))
    return MarkLine(f"{place:.2f}%", mark.kind, f"{mark.at:%H:%M} {mark.kind}: {mark.what}")


def _summary(kind: ChartKind, values: Values, day: DaySeries) -> str:
    """The chart in a sentence, for those who cannot see it."""
    present = [(index, value) for index, value in enumerate(values) if value is not None]
    if not present:
        return f"No data in the last 24 hours: {kind.empty}."
    index, highest = max(present, key=lambda pair: pair[1])
    at = day.start + index * PERIOD
    missing = COUNT - len(present)
    gaps = f" No data in {missing * int(PERIOD.total_seconds()) // 60} of 1440 minutes." if missing else ""
    last = _with_unit(present[-1][1], kind.unit)
    return f"Last value {last}, highest {_with_unit(highest, kind.unit)} at {at:%H:%M} UTC.{gaps}"


def _rows(values: Values, unit: str, day: DaySeries) -> Iterator[HourRow]:
    for hour in range(HOURS):
        part = [value for value in values[hour * PER_HOUR : (hour + 1) * PER_HOUR] if value is not None]
        cells = (
            [_with_unit(v, unit) for v in (min(part), sum(part) / len(part), max(part))] if part else ["no data"] * 3
        )
        yield HourRow(f"{day.start + timedelta(hours=hour):%H:%M}", tuple(cells))


def _with_unit(value: float, unit: str) -> str:
    return f"{shown(value)} {unit}".strip() if unit != "/min" else f"{shown(value)}/min"

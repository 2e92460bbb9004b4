"""Charts: gaps stay gaps, and their texts say what the lines show."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orderops.board.charts import ChartKind, ChartView, chart, shown
from orderops.board.marks import ChangeMark
from orderops.board.series import DaySeries, Values

END = datetime(2026, 11, 29, 3, 0, tzinfo=UTC)
DAY = DaySeries(END)
LATENCY = ChartKind("latency", "Latency", "s", "no requests were measured")
TASKS = ChartKind("running", "Running tasks", "", "", "wanted")
NOTHING: Values = (None,) * 288


def made(values: Values, kind: ChartKind = LATENCY, limit: Values | None = None, *marks: ChangeMark) -> ChartView:
    return chart(kind, "orders", values, limit, DAY, marks)


def test_a_gap_interrupts_the_line_and_a_single_value_is_a_dot() -> None:
    values = (0.5, 0.25, None, 0.5, *NOTHING[:284])

    # 288 periods on 1000 units, and the highest value at the top of 100.
    [line] = made(values).lines
    assert (line.path, line.dots) == ("M1.7 0.00 L5.2 50.00", "M12.2 0.00 h0.01")


def test_a_chart_says_its_last_and_highest_value_and_its_gaps() -> None:
    values = (*NOTHING[:200], 0.25, *(0.1,) * 87)

    view = made(values)

    # 200 periods of 5 minutes after 03:00 it is 19:40.
    assert view.summary == "Last value 0.1 s, highest 0.25 s at 19:40 UTC. No data in 1000 of 1440 minutes."
    assert (view.now, view.highest) == ("0.1 s", "0.25 s")


def test_a_chart_without_data_says_why_and_has_no_line() -> None:
    view = made(NOTHING)

    assert (view.has_data, view.now, view.lines[0].path) == (False, "no data", "")
    assert view.summary == "No data in the last 24 hours: no requests were measured."
    assert {row.values for row in view.rows} == {("no data",) * 3}


def test_the_table_has_the_hours_of_the_chart() -> None:
    rows = made((*(1.0, 2.0, 3.0) * 4, *NOTHING[:276])).rows

    assert (len(rows), rows[0].hour, rows[0].values) == (24, "03:00", ("1 s", "2 s", "3 s"))
    assert rows[1].values == ("no data",) * 3


def test_the_number_of_tasks_that_is_wanted_is_a_line_of_its_own() -> None:
    view = made((2.0,) * 288, TASKS, (3.0,) * 288)

    assert [line.style for line in view.lines] == ["limit", "value"]
    assert view.highest == "4"


def test_a_mark_stands_where_it_was() -> None:
    noon_before = ChangeMark(datetime(2026, 11, 28, 15, 0, tzinfo=UTC), "release", "orders", "ana", "done", "up")
    outside = ChangeMark(datetime(2026, 11, 29, 3, 1, tzinfo=UTC), "migration", "V7", "ana", "done", "migrate apply")

    [mark] = made(NOTHING, LATENCY, None, noon_before, outside).marks

    assert (mark.x, mark.title) == ("50.00%", "15:00 release: orders")


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (1234.5, "1,234"), (56.78, "56.8"), (3.0, "3"), (1.234, "1.23"), (0.0891, "0.089")]
)
def test_numbers_have_as_many_digits_as_they_need(value: float, text: str) -> None:
    assert shown(value) == text

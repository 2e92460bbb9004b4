"""A time outside the restore window is an error before anything is created."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from orderops.errors import OrderopsError
from orderops.restore.timestamps import utc
from orderops.restore.window import RestoreWindow, check_in_window, window_of
from support.command_line import Orderops
from support.recorded_history import DATABASE, DAYS, Dev

pytest_plugins = ["support.recorded_history_fixtures"]

NOW = datetime.now(UTC).replace(microsecond=0)
WINDOW = RestoreWindow(NOW - timedelta(days=7), NOW - timedelta(minutes=5))
OUTSIDE = {
    "too old": (WINDOW.earliest - timedelta(seconds=1), "is before the oldest backup", "the earliest"),
    "too recent": (
        WINDOW.latest + timedelta(seconds=1),
        "is too recent: backups are some minutes behind",
        "the latest",
    ),
    "future": (NOW + timedelta(hours=1), "is in the future", "restore the latest possible time: --at latest"),
}


@pytest.fixture
def in_sydney(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The operator's time zone."""
    with monkeypatch.context() as context:
        context.setenv("TZ", "Australia/Sydney")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize("moment", [WINDOW.earliest, WINDOW.latest, NOW - timedelta(days=3)])
def test_a_time_inside_the_window_is_accepted(moment: datetime) -> None:
    check_in_window(moment, WINDOW, "db")


@pytest.mark.parametrize("case", OUTSIDE)
def test_a_time_outside_the_window_is_an_error_with_the_window(case: str) -> None:
    moment, problem, hint = OUTSIDE[case]

    with pytest.raises(OrderopsError) as refused:
        check_in_window(moment, WINDOW, "db")

    assert refused.value.message.startswith(utc(moment))
    for text in (problem, utc(WINDOW.earliest), utc(WINDOW.latest), "nothing was changed"):
        assert text in refused.value.message
    assert hint in refused.value.hint


@pytest.mark.parametrize("case", ["too old", "too recent"])
def test_another_instance_with_that_time_is_named(case: str) -> None:
    moment, *_ = OUTSIDE[case]

    with pytest.raises(OrderopsError) as refused:
        check_in_window(moment, WINDOW, "db", lambda: "old-db")

    assert refused.value.hint == f"restore it from old-db: --at {utc(moment)} --from old-db"


def test_no_other_instance_is_named_for_the_future() -> None:
    with pytest.raises(OrderopsError, match="is in the future"):
        check_in_window(NOW + timedelta(hours=1), WINDOW, "db", lambda: "old-db")


@pytest.mark.parametrize("ago", [timedelta(days=DAYS + 1), -timedelta(hours=2)], ids=["too old", "future"])
@pytest.mark.usefixtures("in_sydney")
def test_the_command_shows_the_error_in_utc_and_local_time_and_changes_nothing(
    dev: Dev, orderops: Orderops, ago: timedelta
) -> None:
    moment = NOW - ago

    refused = orderops("restore", "--at", utc(moment), "--yes")

    assert (refused.code, refused.out) == (1, "")
    lines = refused.err.splitlines()
    window = window_of(dev.workspace.aws, dev.instances().require_primary().observed)
    assert lines[0].startswith(f"error: {utc(moment)} (")
    assert utc(window.earliest) in lines[1]
    assert all("AEDT)" in line or "AEST)" in line for line in lines[:3])
    assert lines[2].endswith("nothing was changed")
    assert dev.proxy.changing == []


def test_the_window_is_rounded_inwards_to_whole_seconds(dev: Dev) -> None:
    window = window_of(dev.workspace.aws, dev.instances().require_primary().observed)

    assert window.earliest.microsecond == window.latest.microsecond == 0
    assert window.to_dict() == {"earliest": utc(window.earliest), "latest": utc(window.latest)}
    with dev.proxy.held():
        since = dev.record(DATABASE).backed_up_since
    assert since <= window.earliest.timestamp() < since + 1

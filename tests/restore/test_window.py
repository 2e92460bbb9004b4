"""A moment that a database cannot be brought back to is refused, before anything is made."""

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
    "too old": (WINDOW.earliest - timedelta(seconds=1), "is before the first backup that is kept", "the earliest"),
    "too recent": (WINDOW.latest + timedelta(seconds=1), "is too recent: backups trail the clock", "the latest"),
    "to come": (NOW + timedelta(hours=1), "is in the future", "the latest there is: --at latest"),
}


@pytest.fixture
def in_sydney(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The operator's clock."""
    with monkeypatch.context() as there:
        there.setenv("TZ", "Australia/Sydney")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize("moment", [WINDOW.earliest, WINDOW.latest, NOW - timedelta(days=3)])
def test_a_moment_within_is_fine(moment: datetime) -> None:
    check_in_window(moment, WINDOW, "db")


@pytest.mark.parametrize("case", OUTSIDE)
def test_a_moment_outside_is_refused_with_the_window(case: str) -> None:
    moment, why, hint = OUTSIDE[case]

    with pytest.raises(OrderopsError) as refused:
        check_in_window(moment, WINDOW, "db")

    assert refused.value.message.startswith(utc(moment))
    for told in (why, utc(WINDOW.earliest), utc(WINDOW.latest), "nothing was done"):
        assert told in refused.value.message
    assert hint in refused.value.hint


@pytest.mark.parametrize("case", ["too old", "too recent"])
def test_another_instance_that_has_it_is_named(case: str) -> None:
    moment, *_ = OUTSIDE[case]

    with pytest.raises(OrderopsError) as refused:
        check_in_window(moment, WINDOW, "db", lambda: "old-db")

    assert refused.value.hint == f"old-db can: --at {utc(moment)} --from old-db"


def test_the_future_is_nobody_s() -> None:
    with pytest.raises(OrderopsError, match="is in the future"):
        check_in_window(NOW + timedelta(hours=1), WINDOW, "db", lambda: "old-db")


@pytest.mark.parametrize("ago", [timedelta(days=DAYS + 1), -timedelta(hours=2)], ids=["too old", "to come"])
@pytest.mark.usefixtures("in_sydney")
def test_the_command_ends_with_one_refusal_in_both_clocks_and_nothing_is_made(
    dev: Dev, orderops: Orderops, ago: timedelta
) -> None:
    moment = NOW - ago

    refused = orderops("restore", "--at", utc(moment), "--yes")

    assert (refused.code, refused.out) == (1, "")
    told = refused.err.splitlines()
    window = window_of(dev.workspace.aws, dev.look().require_primary().observed)
    assert told[0].startswith(f"error: {utc(moment)} (")
    assert utc(window.earliest) in told[1]
    assert all("AEDT)" in line or "AEST)" in line for line in told[:3])
    assert told[2].endswith("nothing was done")
    assert dev.proxy.changing == []


def test_the_window_is_in_whole_seconds_that_lie_within(dev: Dev) -> None:
    window = window_of(dev.workspace.aws, dev.look().require_primary().observed)

    assert window.earliest.microsecond == window.latest.microsecond == 0
    assert window.to_dict() == {"earliest": utc(window.earliest), "latest": utc(window.latest)}
    with dev.proxy.held():
        since = dev.instance(DATABASE).backed_up_since
    assert since <= window.earliest.timestamp() < since + 1

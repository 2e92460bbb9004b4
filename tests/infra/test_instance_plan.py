"""What an operator reads before the database is changed, and the states in which RDS takes no change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from orderops.engine.resource import Observed
from orderops.errors import OrderopsError
from orderops.infra.instance_plan import check_state, outage_fact, storage_fact
from orderops.infra.measured_changes import ChangeKind, MeasuredChange

MEASURED = MeasuredChange(
    "class", "2026-11-03T10:00:00+00:00", "orders", "db.t3.micro", "db.t3.small", False, 190.4, 41.26, "/ready"
)


def fact(before: MeasuredChange | None = None, **about: Any) -> str:
    return outage_fact(ChangeKind.CLASS, before, **{"multi_az": False, "emulated": False, **about}).text


def test_a_measured_outage_is_named_with_its_day() -> None:
    assert fact(MEASURED) == (
        "all connections end; db.t3.micro -> db.t3.small took 3 min 10 s on 2026-11-03, and the database was away for "
        "41.3 s (/ready)"
    )
    assert fact(replace(MEASURED, away_seconds=None)).endswith("took 3 min 10 s on 2026-11-03")


# "Modifying a DB instance" in the RDS user guide: without a standby minutes, with one the time of a failover.
@pytest.mark.parametrize(("multi_az", "usual"), [(False, "5 to 10 min"), (True, "1 to 2 min")])
def test_without_a_measurement_the_usual_figure_is_named_as_that(multi_az: bool, usual: str) -> None:
    assert f"not measured here yet, AWS's usual figure is {usual}" in fact(multi_az=multi_az)


def test_the_laptop_has_no_figure_of_aws() -> None:
    assert "AWS" not in fact(emulated=True)


def test_storage_that_grows_by_itself_is_told_from_storage_that_does_not() -> None:
    sizes = {"AllocatedStorageNow": 20, "MaxAllocatedStorage": 100}

    assert storage_fact(Observed("orders", sizes)).text == "20 GB, grows by itself up to 100 GB; stays as it is"
    assert "does not grow by itself" in storage_fact(Observed("orders", {**sizes, "MaxAllocatedStorage": None})).text


@pytest.mark.parametrize("status", ["available", "storage-optimization"])
def test_a_usable_instance_is_changed(status: str) -> None:
    check_state(Observed("orders", {"DBInstanceStatus": status}), "dev", busy=False)


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        ("modifying", "once it is available"),
        ("stopped", "orderops infra apply --env dev"),
        ("storage-full", "raise storage_gb"),
    ],
)
def test_an_instance_in_another_state_is_refused_unless_it_is_at_just_this_change(status: str, hint: str) -> None:
    observed = Observed("orders", {"DBInstanceStatus": status})

    with pytest.raises(OrderopsError, match=f"orders is {status}, so RDS takes no change of it") as refused:
        check_state(observed, "dev", busy=False)
    assert hint in refused.value.hint
    check_state(observed, "dev", busy=True)

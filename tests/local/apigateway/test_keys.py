"""API keys: who is admitted, how fast, and how often in a period."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orderops.local.apigateway.keys import KeyHolder, KeyUse, PlanLimits

OPEN = PlanLimits(None, None, None, "MONTH")


def holders(limits: PlanLimits = OPEN) -> dict[str, KeyHolder]:
    return {value: KeyHolder(id, "plan", limits) for value, id in (("v1", "k1"), ("v2", "k2"))}


@pytest.mark.parametrize("value", ["", "v3", "V1"])
def test_a_value_that_is_no_key_is_refused(value: str) -> None:
    assert KeyUse().refusal(holders(), value) == (403, "Forbidden")


def test_each_key_has_the_limit_of_the_plan_for_itself() -> None:
    use, known = KeyUse(), holders(PlanLimits(0.001, 2, None, "MONTH"))

    assert [use.refusal(known, "v1") for _ in range(3)] == [None, None, (429, "Too Many Requests")]
    assert use.refusal(known, "v2") is None


@pytest.mark.parametrize(
    ("period", "same", "other"),
    [
        ("DAY", datetime(2026, 3, 4, 23, 59, tzinfo=UTC), datetime(2026, 3, 5, tzinfo=UTC)),
        ("WEEK", datetime(2026, 3, 8, 23, 59, tzinfo=UTC), datetime(2026, 3, 9, tzinfo=UTC)),
        ("MONTH", datetime(2026, 3, 31, 23, 59, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)),
    ],
)
def test_a_quota_begins_anew_with_its_period(period: str, same: datetime, other: datetime) -> None:
    # A Wednesday.
    now = [datetime(2026, 3, 4, 12, tzinfo=UTC)]
    use, known = KeyUse(lambda: now[0]), holders(PlanLimits(None, None, 2, period))

    assert [use.refusal(known, "v1") for _ in range(3)] == [None, None, (429, "Limit Exceeded")]
    assert use.refusal(known, "v2") is None
    now[0] = same
    assert use.refusal(known, "v1") == (429, "Limit Exceeded")
    now[0] = other
    assert use.refusal(known, "v1") is None

"""Database Insights, by "Considerations for Database Insights" in the RDS user guide."""

from __future__ import annotations

from typing import Any

import pytest

from support.emulated_databases import SMALL, available, settled
from support.strict_clients import Client, Refused

WANTED = {"EnablePerformanceInsights": True, "PerformanceInsightsRetentionPeriod": 465}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"EnablePerformanceInsights": True},
        {"EnablePerformanceInsights": True, "PerformanceInsightsRetentionPeriod": 434},
        {"PerformanceInsightsRetentionPeriod": 465},
    ],
)
def test_the_advanced_mode_needs_465_days_of_performance_insights(
    moto: Client, strict: Client, refused: Refused, given: dict[str, Any]
) -> None:
    with refused("InvalidParameterCombination"):
        strict("rds").create_db_instance(DBInstanceIdentifier="db", **SMALL, DatabaseInsightsMode="advanced", **given)
    moto("rds").create_db_instance(DBInstanceIdentifier="db", **SMALL, DatabaseInsightsMode="advanced", **given)


def test_a_change_to_advanced_repeats_what_the_instance_has_already(strict: Client, refused: Refused) -> None:
    """As reported in hashicorp/terraform-provider-aws#41952."""
    available(strict, "db", **WANTED)

    with refused("InvalidParameterCombination"):
        strict("rds").modify_db_instance(DBInstanceIdentifier="db", DatabaseInsightsMode="advanced")
    strict("rds").modify_db_instance(DBInstanceIdentifier="db", DatabaseInsightsMode="advanced", **WANTED)

    assert settled(strict, "db")["DatabaseInsightsMode"] == "advanced"
    for lowered in ({"PerformanceInsightsRetentionPeriod": 7}, {"EnablePerformanceInsights": False}):
        with refused("InvalidParameterCombination"):
            strict("rds").modify_db_instance(DBInstanceIdentifier="db", **lowered)


@pytest.mark.parametrize("days", [8, 94, 800])
def test_a_retention_that_rds_does_not_offer_is_refused(strict: Client, refused: Refused, days: int) -> None:
    with refused("InvalidParameterValue"):
        strict("rds").create_db_instance(
            DBInstanceIdentifier="db", **SMALL, EnablePerformanceInsights=True, PerformanceInsightsRetentionPeriod=days
        )


def test_the_standard_mode_is_the_default(strict: Client) -> None:
    found = available(strict, "db", EnablePerformanceInsights=True)

    assert (found["DatabaseInsightsMode"], found["PerformanceInsightsRetentionPeriod"]) == ("standard", 7)

"""RDS: Performance Insights, its retention, and the mode of Database Insights, all of which moto lacks.

"Considerations for Database Insights" in the RDS user guide; the message is that of
hashicorp/terraform-provider-aws#41952.
"""

from __future__ import annotations

from typing import Any

from orderops.local.emulator.protocol import ApiError, Request
from orderops.local.rds.parameters import has_parameter, is_true

ENABLE, MODE, RETENTION = "EnablePerformanceInsights", "DatabaseInsightsMode", "PerformanceInsightsRetentionPeriod"
MODES = ("standard", "advanced")
LEAST_ADVANCED = 465
# PerformanceInsightsRetentionPeriod in the API reference: 7, 731, or up to 23 months of 31 days.
RETENTIONS = frozenset({7, 731, *(31 * months for months in range(1, 24))})


def check_insights(request: Request, instance: Any = None) -> None:
    """Check the settings of a request; `instance` is the one that it changes. Raises ApiError."""
    mode = request.form.get(MODE)
    days = int(request.form[RETENTION]) if has_parameter(request, RETENTION) else None
    if mode is not None and mode not in MODES:
        raise ApiError("InvalidParameterValue", f"Invalid {MODE}: {mode}")
    if days is not None and days not in RETENTIONS:
        raise ApiError("InvalidParameterValue", f"Invalid Performance Insights retention period: {days}")
    # RDS looks at the request alone: what the instance has already does not count.
    refused = mode == "advanced" and not (is_true(request, ENABLE) and (days or 0) >= LEAST_ADVANCED)
    lowered = (days is not None and days < LEAST_ADVANCED) or request.form.get(ENABLE, "").lower() == "false"
    if refused or (mode is None and lowered and _mode_of(instance) == "advanced"):
        raise ApiError(
            "InvalidParameterCombination",
            "To enable the Advanced mode of Database Insights, modify your instance to enable Performance Insights "
            f"and set the retention period for Performance Insights to at least {LEAST_ADVANCED} days.",
        )


def store_insights(request: Request, instance: Any) -> None:
    """Store the settings of a request on the instance, with RDS's defaults."""
    if has_parameter(request, ENABLE):
        instance.performance_insights_enabled = is_true(request, ENABLE)
    instance.database_insights_mode = request.form.get(MODE) or _mode_of(instance)
    enabled = getattr(instance, "performance_insights_enabled", False)
    kept = getattr(instance, "performance_insights_retention_period", None) or 7
    instance.performance_insights_retention_period = int(request.form.get(RETENTION, kept)) if enabled else None


def _mode_of(instance: Any) -> str:
    return getattr(instance, "database_insights_mode", None) or "standard"

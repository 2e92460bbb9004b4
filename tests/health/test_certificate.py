"""What status says of the certificate."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orderops.engine.resource import Observed, State
from orderops.health.certificate import certificate_status
from orderops.health.component import ComponentState
from orderops.infra.alert_rule import Priority

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def certificate(status: str = "ISSUED", state: State = State.READY, **left: int) -> Observed:
    end = NOW + timedelta(**left) if left else None
    return Observed("arn", {"NotAfter": end}, status=status, state=state)


@pytest.mark.parametrize(
    ("observed", "state", "priority", "detail"),
    [
        (None, ComponentState.ABSENT, Priority.P0, "no certificate"),
        (certificate(days=30), ComponentState.OK, None, "30 days left"),
        (certificate(days=29, hours=23), ComponentState.DEGRADED, Priority.P2, "29 days left: ACM does not renew it"),
        (certificate(days=7), ComponentState.DEGRADED, Priority.P2, "7 days left"),
        (certificate(days=6, hours=23), ComponentState.DEGRADED, Priority.P1, "6 days left"),
        (certificate("PENDING_VALIDATION"), ComponentState.STARTING, None, "waits for its records"),
        (certificate("FAILED: CAA_ERROR", State.FAILED), ComponentState.DOWN, Priority.P0, "FAILED: CAA_ERROR"),
        (certificate("EXPIRED", State.FAILED, days=-2), ComponentState.DOWN, Priority.P0, "EXPIRED"),
        (certificate(), ComponentState.UNKNOWN, None, "does not say"),
    ],
)
def test_a_certificate_is_judged_by_its_status_and_the_days_left(
    observed: Any, state: ComponentState, priority: Priority | None, detail: str
) -> None:
    component = certificate_status(observed, NOW)

    assert (component.state, component.urgency) == (state, priority)
    assert component.detail.startswith(detail) or detail in component.detail

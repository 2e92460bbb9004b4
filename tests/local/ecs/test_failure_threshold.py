"""The number of failed tasks that fails a deployment, by ThresholdConfiguration in the ECS API reference."""

from __future__ import annotations

import pytest

from orderops.local.ecs.records import EcsServiceRecord


@pytest.mark.parametrize(
    ("kind", "value", "desired", "expected"),
    [
        (None, 0, 1, 3),
        (None, 0, 25, 13),
        (None, 0, 800, 200),
        ("BOUNDED_PERCENT", 50, 25, 13),
        ("BOUNDED_PERCENT", 10, 10, 3),
        ("COUNT", 1, 800, 1),
        ("UNBOUNDED_PERCENT", 10, 10, 1),
        ("UNBOUNDED_PERCENT", 50, 800, 400),
    ],
)
def test_the_threshold_follows_the_breakers_configuration(
    kind: str | None, value: int, desired: int, expected: int
) -> None:
    breaker = {"enable": True, "rollback": True}
    configured = {"thresholdConfiguration": {"type": kind, "value": value}} if kind else {}
    settings = {"deploymentConfiguration": {"deploymentCircuitBreaker": {**breaker, **configured}}}
    service = EcsServiceRecord("ap-southeast-2", "cluster", "service", settings, desired, [])

    assert service.failure_threshold == expected

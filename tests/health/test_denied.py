"""status with credentials that may not read everything: it says what it could not see, and still names the cause."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from orderops.errors import AwsError
from orderops.health.component import ComponentState
from orderops.health.examination import examine
from orderops.health.verdict import Health
from orderops.infra.page import PageAnswer
from orderops.infra.readiness import ReadyAnswer, ReadyState
from orderops.local.emulator.protocol import ApiError
from support.faulty_proxy import FaultRule, SeenRequest
from support.laptop import until
from support.recorded_history import Dev

pytest_plugins = ["support.recorded_history_fixtures"]

ALARM = "orderops-dev-order-processor-database-away"
# Without the load balancer's address nobody can be asked, and then only the alarms know.
EVIDENCE = {"elasticloadbalancing.DescribeLoadBalancers", "monitoring.DescribeAlarms"}


def examined(dev: Dev) -> Health:
    """Examined while the database answers nobody."""
    return examine(
        dev.workspace,
        ask=lambda url: ReadyAnswer(
            ReadyState.NOT_READY, "database: gone", f"{url}/ready", {"database": "no answer within 2 s"}
        ),
        page=lambda url, path: PageAnswer(url + path, 9, 503, "Service Unavailable"),
    )


def raised(dev: Dev) -> list[str]:
    found = dev.workspace.aws.cloudwatch.describe_alarms(StateValue="ALARM")
    return [alarm["AlarmName"] for alarm in found["MetricAlarms"]]


def denying(denied: Callable[[SeenRequest], bool]) -> FaultRule:
    def decide(request: SeenRequest) -> ApiError | None:
        if not denied(request):
            return None
        return ApiError("AccessDenied", f"User is not authorized to perform: {request}", 403)

    return decide


@pytest.fixture
def calls(dev: Dev) -> list[str]:
    """What an examination reads, while the database is away; but for who the caller is, which nobody is denied."""
    cloudwatch, now = dev.workspace.aws.cloudwatch, datetime.now(UTC)
    dimensions = [{"Name": "Environment", "Value": "dev"}, {"Name": "Service", "Value": "order-processor"}]
    data = [
        {
            "MetricName": "BreakerOpen",
            "Dimensions": dimensions,
            "Timestamp": now - timedelta(minutes=minutes),
            "Value": 1.0,
        }
        for minutes in range(6)
    ]
    cloudwatch.put_metric_data(Namespace="orderops", MetricData=data)
    until(lambda: [alarm for alarm in raised(dev) if alarm == ALARM])
    dev.proxy.forget()
    examined(dev)
    return sorted({str(request) for request in dev.proxy.requests} - {"sts.GetCallerIdentity"})


def test_with_half_of_the_calls_denied_the_cause_is_still_named(dev: Dev, calls: list[str]) -> None:
    chance = random.Random(7)
    halves = [set(chance.sample(calls, len(calls) // 2)) for _ in range(12)]

    for half in (half for half in halves if not half >= EVIDENCE):
        dev.proxy.rule = denying(lambda request, half=half: str(request) in half)  # type: ignore[misc]
        health = examined(dev)

        assert (health.component, health.priority) == ("database", "P0"), f"{health.cause}, without {sorted(half)}"
        assert health.denied, f"without {sorted(half)}"


def test_each_denied_call_is_named_and_its_component_is_unknown(dev: Dev) -> None:
    dev.proxy.rule = denying(lambda request: str(request) == "ecs.DescribeServices")

    health = examined(dev)

    states = {component.name: component.state for component in health.components}
    assert states["service order-processor"] is ComponentState.UNKNOWN
    assert health.denied == ("ecs.describe_services",)
    assert (
        "ecs.describe_services"
        in {component.name: component.detail for component in health.components}["service order-processor"]
    )


def test_credentials_that_may_read_nothing_are_an_error(dev: Dev) -> None:
    dev.proxy.rule = denying(lambda request: str(request) != "sts.GetCallerIdentity")

    with pytest.raises(AwsError, match="AccessDenied"):
        examined(dev)

"""What a web ACL judged becomes metrics of AWS WAF, and raises the rule that watches them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from ipaddress import ip_network
from types import SimpleNamespace
from typing import Any, cast

import pytest
from moto.moto_api._internal import moto_api_backend

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.config.environment import Environment
from orderops.engine.resource import Outputs
from orderops.infra.stack import stack
from orderops.local.elb.firewall import Firewall, WebAcl, WebRequest
from orderops.local.emulator.server import Emulator
from orderops.local.strict import make_strict
from orderops.local.strict.cloudwatch.metrics import record_firewalls
from orderops.local.strict.delays import Delays
from orderops.resources.cloudwatch_alarm import CloudwatchAlarm
from support.strict_clients import served

REGION = "ap-southeast-2"
RULES = (
    {"Name": "strangers", "Statement": {"IPSetReferenceStatement": {"ARN": "strangers"}}, "Action": {"Block": {}}},
    {"Name": "suspects", "Statement": {"IPSetReferenceStatement": {"ARN": "suspects"}}, "Action": {"Count": {}}},
)
ACL = WebAcl(
    f"arn:aws:wafv2:{REGION}:123456789012:regional/webacl/front/1",
    "app/front/1",
    RULES,
    {"strangers": (ip_network("203.0.113.0/24"),), "suspects": (ip_network("198.51.100.0/24"),)},
    metric="orderops-dev-firewall",
    metrics={"strangers": "bad-ranges"},
)
STRANGER, SUSPECT, CUSTOMER = (
    WebRequest(address, "GET", "/") for address in ("203.0.113.7", "198.51.100.7", "192.0.2.7")
)


@pytest.fixture
def firewall() -> Firewall:
    return Firewall()


@pytest.fixture
def cloudwatch(firewall: Firewall) -> Iterator[Any]:
    moto_api_backend.reset()
    emulator = Emulator()
    # Before the alarms are evaluated, as the laptop does it.
    for action in ("DescribeAlarms", "GetMetricStatistics"):
        emulator.on_before("monitoring", action, lambda request: record_firewalls(request.region, firewall.counts))
    make_strict(emulator, Delays(alarm=0))
    with served(emulator) as client:
        yield client("cloudwatch")


def total(cloudwatch: Any, metric: str, rule: str) -> float:
    dimensions = {"Region": REGION, "Rule": rule, "WebACL": "orderops-dev-firewall"}
    answer = cloudwatch.get_metric_statistics(
        Namespace="AWS/WAFV2",
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=time.time() - 3600,
        EndTime=time.time() + 60,
        Period=7200,
        Statistics=["Sum"],
    )
    return float(sum(point["Sum"] for point in answer["Datapoints"]))


def test_requests_are_counted_for_all_rules_and_for_the_one_that_judged_them(
    firewall: Firewall, cloudwatch: Any
) -> None:
    for request, times in ((STRANGER, 3), (SUSPECT, 2), (CUSTOMER, 4)):
        for _ in range(times):
            firewall.lets_in(ACL, request, time.time())

    assert total(cloudwatch, "BlockedRequests", "ALL") == 3
    assert total(cloudwatch, "BlockedRequests", "bad-ranges") == 3
    assert total(cloudwatch, "AllowedRequests", "ALL") == 6
    assert total(cloudwatch, "AllowedRequests", "Default_Action") == 6
    assert total(cloudwatch, "CountedRequests", "ALL") == 2
    assert total(cloudwatch, "CountedRequests", "suspects") == 2
    # Read twice, and counted once.
    assert total(cloudwatch, "CountedRequests", "suspects") == 2


@pytest.mark.parametrize(("blocked", "state"), [(21, "ALARM"), (20, "OK")])
def test_more_than_a_fifth_of_blocked_requests_raises_the_alarm(
    firewall: Firewall, cloudwatch: Any, blocked: int, state: str
) -> None:
    table = {"name": "dev", "database": {}, "services": {"shop": {}}, "waf": {"enabled": True}}
    found = {alarm.name: alarm for alarm in stack(Environment.model_validate(table), "1" * 12).alarms}
    alarm = found["orderops-dev-firewall-blocks"]
    assert isinstance(alarm, CloudwatchAlarm)
    aws = cast(Aws, SimpleNamespace(cloudwatch=cloudwatch))
    now = time.time()
    for age in (150, 450, 750):
        for request, times in ((STRANGER, blocked), (CUSTOMER, 101 - blocked)):
            for _ in range(times):
                firewall.lets_in(ACL, request, now - age)

    alarm.create(aws, alarm.desired(Outputs()), Ownership("dev"))

    [described] = cloudwatch.describe_alarms(AlarmNames=[alarm.name])["MetricAlarms"]
    assert described["StateValue"] == state

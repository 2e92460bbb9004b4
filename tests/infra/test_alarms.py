"""The rules of the policy: data that raises each alarm, and data beside it that must not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import pytest
from moto.moto_api._internal import moto_api_backend

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.config.environment import Environment
from orderops.engine.resource import Observed, Outputs
from orderops.errors import OrderopsError
from orderops.infra.alarms import check_pages, limit_of, rules_in
from orderops.infra.alert_rule import Priority
from orderops.infra.alert_rules import RULES
from orderops.infra.stack import Stack, stack
from orderops.local.emulator.server import Emulator
from orderops.local.strict import make_strict
from orderops.local.strict.delays import Delays
from orderops.resources.cloudwatch_alarm import CloudwatchAlarm
from orderops.resources.cloudwatch_anomaly_detector import CloudwatchAnomalyDetector
from orderops.resources.cloudwatch_composite_alarm import CloudwatchCompositeAlarm
from support.alarm_data import (
    AGE,
    BALANCER,
    CERTIFICATE,
    DATABASE,
    DEAD,
    DEPTH,
    ECS,
    FAILED,
    FIRST,
    LOGS,
    QUEUE,
    RDS,
    SCHEDULES,
    SECOND,
    SQS,
    TASKS,
    Points,
    answers,
    hosts,
    judged,
    lag,
    points,
    put,
    requests,
    seconds,
    wanted,
    writes,
)
from support.strict_clients import served

# A mean of 0.15 seconds, and a band up to 0.3.
USUAL_SECONDS = [0.1, 0.2] * 6
UNWRITTEN = "InvocationsFailedToBeSentToDeadLetterCount"
# Alarm, data that must raise it, data that must not.
CASES: dict[str, tuple[str, list[Points], list[Points]]] = {
    "every task is unhealthy": (
        "shop-no-healthy-task",
        [wanted(2, 2, 2), hosts(0, 0, 0)],
        [wanted(2, 2, 2), hosts(0, 0, 1)],
    ),
    "the target groups are empty": ("shop-no-healthy-task", [wanted(2, 2, 2)], [wanted(0, 0, 0)]),
    "the counts of tasks are missing": ("shop-no-healthy-task", [hosts(0, 0, 0)], [hosts(1, 1, 1)]),
    "a first release starts": ("shop-no-healthy-task", [wanted(2, 2, 2), hosts(0)], [wanted(2, 2), hosts(0, 0)]),
    "the idle group is empty": (
        "shop-no-healthy-task",
        [wanted(2, 2, 2), hosts(0, 0, 0), hosts(0, 0, 0, group=SECOND)],
        [wanted(2, 2, 2), hosts(0, 0, 0), hosts(2, 2, 2, group=SECOND)],
    ),
    "the circuit breaker is open": (
        "shop-database-away",
        points("orderops", "BreakerOpen", LOGS, 1, 1),
        points("orderops", "BreakerOpen", LOGS, 1, 0),
    ),
    "six of a hundred": (
        "shop-5xx",
        [requests(100), answers("Target_5XX", 6, 6, 6)],
        [requests(100), answers("Target_5XX", 5, 5, 5, 5, 5)],
    ),
    "errors in two minutes of five": (
        "shop-5xx",
        [requests(100), answers("Target_5XX", 9, None, 9, None, 9)],
        [requests(100), answers("Target_5XX", 9, None, 9)],
    ),
    "one failed request at night": (
        "shop-5xx",
        [requests(21), answers("Target_5XX", 2, 2, 2)],
        [requests(20), answers("Target_5XX", 20, 20, 20)],
    ),
    "errors of both groups": (
        "shop-5xx",
        [
            requests(50),
            requests(50, SECOND),
            answers("Target_5XX", 3, 3, 3),
            answers("Target_5XX", 3, 3, 3, group=SECOND),
        ],
        [requests(50), requests(50, SECOND), answers("Target_5XX", 3, 3, 3)],
    ),
    "an outage without any target": (
        "balancer-5xx-rate",
        [answers("ELB_5XX", 21, 21, 21, group=BALANCER)],
        [answers("ELB_5XX", 20, 20, 20, group=BALANCER)],
    ),
    "some answers of the balancer": (
        "balancer-5xx-rate",
        [requests(100, BALANCER), answers("ELB_5XX", 6, 6, 6, group=BALANCER)],
        [requests(100, BALANCER), answers("ELB_5XX", 5, 5, 5, group=BALANCER)],
    ),
    "slow answers of the group that serves": (
        "shop-slow",
        [requests(50, SECOND), seconds(10.1, 10.1, 10.1, group=SECOND)],
        [requests(50, SECOND), seconds(10, 10, 10, 10, 10, group=SECOND)],
    ),
    "a slow answer at night": ("shop-slow", [requests(21), seconds(60, 60, 60)], [requests(20), seconds(60, 60, 60)]),
    "as many tasks as allowed": ("shop-max-capacity", [wanted(*[4] * 6)], [wanted(4, 4, 4, 4, 4, 3)]),
    "a busy database": (
        "database-cpu-high",
        points(RDS, "CPUUtilization", DATABASE, *[80.1] * 10),
        points(RDS, "CPUUtilization", DATABASE, *[80.1] * 9, 80),
    ),
    "nearly full storage": (
        "database-storage-low",
        points(RDS, "FreeStorageSpace", DATABASE, *[2**31 - 1] * 5),
        points(RDS, "FreeStorageSpace", DATABASE, *[2**31 - 1] * 4, 2**31),
    ),
    "too many connections": (
        "database-connections-high",
        points(RDS, "DatabaseConnections", DATABASE, *[73] * 5),
        points(RDS, "DatabaseConnections", DATABASE, *[73] * 4, 72),
    ),
    "a replica that does not fetch the log": (
        "database-log-kept",
        points(RDS, "OldestReplicationSlotLag", DATABASE, *[2**31 + 2**20] * 5),
        points(RDS, "OldestReplicationSlotLag", DATABASE, *[2**31 + 2**20] * 4, 2**31),
    ),
    "a late replica of a busy database": (
        "database-replica-1-lag",
        [writes(6), lag(*[61] * 5)],
        [writes(6), lag(*[61] * 4, 60)],
    ),
    "the clock of a replica of an idle database": (
        "database-replica-1-lag",
        [writes(6), lag(*[300] * 5)],
        [writes(5), lag(*[300] * 5)],
    ),
    "a replica that stands still beside an idle database": (
        "database-replica-1-lag",
        [lag(*[361] * 5)],
        [lag(*[361] * 4, 360)],
    ),
    "a replica that says that it does not replicate": (
        "database-replica-1-lag",
        [lag(*[-1] * 5)],
        [lag(*[-1] * 4, 0)],
    ),
    "a replica without data": ("database-replica-1-lag", [], [lag(0, 0)]),
    "a long queue": (
        "shop-queue-depth",
        points(SQS, DEPTH, QUEUE, *[1001] * 5),
        points(SQS, DEPTH, QUEUE, *[1000] * 5),
    ),
    "refused requests": (
        "shop-4xx",
        [requests(200), answers("Target_4XX", 51, 51, 51)],
        [requests(200), answers("Target_4XX", 50, 50, 50)],
    ),
    "refused requests without many others": (
        "shop-4xx",
        [requests(101), answers("Target_4XX", 101, 101, 101)],
        [requests(100), answers("Target_4XX", 100, 100, 100)],
    ),
    "more sessions than CPUs": (
        "database-load-high",
        points(RDS, "DBLoadRelativeToNumVCPUs", DATABASE, 1.1, 1.1, 1.1),
        points(RDS, "DBLoadRelativeToNumVCPUs", DATABASE, 1.1, 1.1, 1),
    ),
    "busy tasks": (
        "shop-cpu",
        points(ECS, "CPUUtilization", TASKS, *[91] * 5),
        points(ECS, "CPUUtilization", TASKS, *[91] * 4, 90),
    ),
    "full tasks": (
        "shop-memory",
        points(ECS, "MemoryUtilization", TASKS, *[91] * 5),
        points(ECS, "MemoryUtilization", TASKS, *[90] * 5),
    ),
    "slow answers after hours of usual ones": (
        "balancer-latency-unusual",
        [seconds(0.31, 0.31, 0.31, *USUAL_SECONDS, group=BALANCER)],
        [seconds(0.31, 0.31, 0.29, *USUAL_SECONDS, group=BALANCER)],
    ),
    "slow answers of a group that idled": (
        "balancer-latency-unusual",
        [seconds(0.31, 0.31, 0.31, *USUAL_SECONDS, group=BALANCER)],
        [seconds(0.31, 0.31, 0.31, *USUAL_SECONDS, group=SECOND), seconds(*[0.2] * 3, *USUAL_SECONDS, group=BALANCER)],
    ),
    "slow answers that are usual": (
        "balancer-latency-unusual",
        [seconds(0.9, 0.9, 0.9, *[0.1, 0.3] * 6, group=BALANCER)],
        [seconds(0.45, 0.45, 0.45, *[0.1, 0.3] * 6, group=BALANCER)],
    ),
    "messages that wait after hours of usual ones": (
        "shop-queue-age-unusual",
        points(SQS, AGE, QUEUE, 60, 60, 60, *[1, 3] * 6),
        points(SQS, AGE, QUEUE, 5, 5, 5, *[1, 3] * 6),
    ),
    "messages that wait in two periods of three": (
        "shop-queue-age-unusual",
        points(SQS, AGE, QUEUE, 60, 60, 60, *[1, 3] * 6),
        points(SQS, AGE, QUEUE, 60, None, 60, *[1, 3] * 6),
    ),
    "values without anything to compare them with": (
        "shop-queue-age-unusual",
        points(SQS, AGE, QUEUE, 60, 60, 60, *[1, 3] * 6),
        points(SQS, AGE, QUEUE, 60, 60, 60, *[1] * 11),
    ),
    "a certificate of a week": (
        "certificate-expires",
        points("AWS/CertificateManager", "DaysToExpiry", CERTIFICATE, 6),
        points("AWS/CertificateManager", "DaysToExpiry", CERTIFICATE, 7),
    ),
    "a certificate that was not renewed": (
        "certificate-not-renewed",
        points("AWS/CertificateManager", "DaysToExpiry", CERTIFICATE, 29),
        points("AWS/CertificateManager", "DaysToExpiry", CERTIFICATE, 30, 29),
    ),
    "a firewall that blocks a fifth": (
        "firewall-blocks",
        judged([21] * 3, [80] * 3),
        judged([21, 21, 20], [80] * 3),
    ),
    "a firewall that blocks everything": (
        "firewall-blocks",
        judged([101] * 3, []),
        judged([101, 101, None], []),
    ),
    "scanners at night": (
        "firewall-blocks",
        judged([101] * 3, [0] * 3),
        judged([100] * 3, [0] * 3),
    ),
    "a schedule that did not start": (
        "schedules-failed",
        points(SQS, DEPTH, FAILED, 1),
        points(SQS, DEPTH, FAILED, 0, 1),
    ),
    "a failed start that could not be written into the queue": (
        "schedules-failed",
        points("AWS/Scheduler", UNWRITTEN, SCHEDULES, 1),
        points("AWS/Scheduler", UNWRITTEN, {"ScheduleGroup": "orderops-prod"}, 1),
    ),
    "a dead letter": ("shop-dead-letters", points(SQS, DEPTH, DEAD, 1), points(SQS, DEPTH, DEAD, 0)),
}
# A first release may take three minutes: the newer case of the two has to wait as well.
NEVER = {"a first release starts"}
# Without data, these are raised.
BREACHING = {"database-replica-1-lag"}


@pytest.fixture(scope="module")
def cloudwatch() -> Iterator[Any]:
    emulator = Emulator()
    # An alarm follows its data at its first read.
    make_strict(emulator, Delays(alarm=0))
    with served(emulator) as client:
        yield client("cloudwatch")


@pytest.fixture
def aws(cloudwatch: Any) -> Aws:
    moto_api_backend.reset()
    return cast(Aws, SimpleNamespace(cloudwatch=cloudwatch))


@pytest.mark.parametrize("case", [case for case in CASES if case not in NEVER])
def test_data_beyond_the_limit_raises_the_alarm(aws: Aws, case: str) -> None:
    name, beyond, _ = CASES[case]

    assert state(aws, name, beyond) == "ALARM"


@pytest.mark.parametrize("case", CASES)
def test_data_at_the_limit_raises_no_alarm(aws: Aws, case: str) -> None:
    name, _, beside = CASES[case]

    assert state(aws, name, beside) != "ALARM"


@pytest.mark.parametrize("name", sorted({name for name, *_ in CASES.values()} - BREACHING))
def test_an_alarm_without_data_is_not_raised(aws: Aws, name: str) -> None:
    assert state(aws, name, []) != "ALARM"


def test_a_service_without_targets_is_noticed_without_container_insights(aws: Aws) -> None:
    blind = {"cluster": {"container_insights": False}}

    assert state(aws, "shop-no-healthy-task", [], **blind) == "ALARM"
    assert state(aws, "shop-no-healthy-task", [hosts(1, 1, 1)], **blind) == "OK"


def test_every_rule_has_a_case() -> None:
    assert {rule.key for rule in RULES} == {
        re.sub("^shop-|^database-replica-1-", "", name) for name, *_ in CASES.values()
    }


def test_every_rule_decides_on_missing_data_and_says_why() -> None:
    assert [rule.key for rule in RULES if rule.missing == "missing" or not rule.missing_because] == []


def test_an_alarm_says_how_urgent_it_is_and_what_to_type() -> None:
    assert alarms()["shop-dead-letters"].description == (
        "P2: more than 0 messages are in the dead-letter queue of orderops-dev-shop; "
        "next: orderops queue dlq list --service shop --env dev"
    )


def test_connections_of_a_class_of_unknown_memory_have_no_limit_and_no_alarm() -> None:
    environment = Environment.model_validate(
        {"name": "dev", "database": {"instance_class": "db.x2g.large"}, "services": {"shop": {}}}
    )
    alarms = {alarm.name for alarm in stack(environment, "123456789012").alarms}

    assert "orderops-dev-database-storage-low" in alarms
    assert "orderops-dev-database-connections-high" not in alarms
    [(part, rule)] = [(part, rule) for name, part, rule in rules_in(environment) if name.endswith("connections-high")]
    assert limit_of(part, rule) == 0


def test_a_service_that_cannot_scale_is_not_at_its_maximum() -> None:
    assert "shop-max-capacity" not in alarms(services={"shop": {"min_tasks": 2, "max_tasks": 2}})


@pytest.mark.parametrize("name", ["balancer-latency-unusual", "shop-queue-age-unusual"])
def test_a_band_that_is_not_learned_yet_is_no_data(aws: Aws, name: str) -> None:
    assert state(aws, name, []) == "INSUFFICIENT_DATA"


@pytest.mark.parametrize(
    ("declared", "is_protected", "number"), [(None, False, 0), (None, True, 2), (True, False, 2), (False, True, 0)]
)
def test_a_protected_environment_watches_for_what_is_unusual_unless_the_file_says_otherwise(
    declared: bool | None, is_protected: bool, number: int
) -> None:
    environment = protected({} if declared is None else {"anomaly_detection": declared}, is_protected=is_protected)

    found = stack(environment, "1" * 12).infra

    assert sum(isinstance(resource, CloudwatchAnomalyDetector) for resource in found) == number
    assert sum("unusual" in resource.name for resource in found if isinstance(resource, CloudwatchAlarm)) == number


def test_the_hours_of_a_band_are_those_of_the_time_zone() -> None:
    found = alarms(alerts={"anomaly_detection": True, "time_zone": "Australia/Sydney"})

    alarm = found["shop-queue-age-unusual"]
    assert isinstance(alarm, CloudwatchAlarm)
    assert alarm.band
    assert alarm.band.time_zone == "Australia/Sydney"


def test_a_rule_with_a_band_pages_nobody() -> None:
    assert {rule.priority for rule in RULES if rule.band} == {Priority.P2}


def test_a_priority_without_receivers_uses_the_topic_of_the_environment() -> None:
    found = alarms(alerts={"emails": ["a@example.com"], "p0": {"https": ["https://pager.example.com/key"]}})

    topics = {name: found[name].topic for name in ("p0-outage", "p0-errors", "shop-queue-depth", "shop-memory")}
    assert {name: topic.name for name, topic in topics.items() if topic} == {
        "p0-outage": "orderops-dev-alarms-p0",
        "p0-errors": "orderops-dev-alarms-p0",
        "shop-queue-depth": "orderops-dev-alarms",
        "shop-memory": "orderops-dev-alarms",
    }
    paged, mailed = topics["p0-outage"], topics["shop-memory"]
    assert paged
    assert paged.https == ("https://pager.example.com/key",)
    assert mailed
    assert mailed.emails == ("a@example.com",)


def test_a_protected_environment_needs_a_receiver_of_pages_or_a_reason() -> None:
    with pytest.raises(OrderopsError, match="no operator is paged"):
        check_pages(protected({"emails": ["a@example.com"]}))
    check_pages(protected({"p0": {"sms": ["+61412345678"]}}))
    check_pages(protected({"no_pages_because": "a trial without customers"}))


def protected(alerts: Mapping[str, Any], *, is_protected: bool = True) -> Environment:
    return Environment.model_validate(
        {
            "name": "live",
            "protected": is_protected,
            "alerts": alerts,
            "balancer": {"deletion_protection": True},
            "database": {"deletion_protection": True},
            "services": {"shop": {"image": "shop:1"}},
        }
    )


@cache
def _default() -> Stack:
    return _stack({})


def _stack(more: Mapping[str, Any]) -> Stack:
    shop = {"min_tasks": 1, "max_tasks": 4, "strategy": "blue-green"}
    database = {"master": "own", "replicas": 1, "rotate_days": 30}
    bands = {"anomaly_detection": True}
    edge = {"domain": {"name": "orders.example.com", "zone": "example.com"}, "waf": {"enabled": True}}
    table = {"name": "dev", "database": database, "services": {"shop": shop}, "alerts": bands, **edge, **more}
    return stack(Environment.model_validate(table), "1" * 12)


def alarms(**more: Any) -> dict[str, CloudwatchAlarm | CloudwatchCompositeAlarm]:
    return dict(_named(_stack(more) if more else _default()))


def _named(found: Stack) -> Iterator[tuple[str, CloudwatchAlarm | CloudwatchCompositeAlarm]]:
    for resource in found.infra:
        if isinstance(resource, (CloudwatchAlarm, CloudwatchCompositeAlarm)):
            yield resource.name.removeprefix("orderops-dev-"), resource


def state(aws: Aws, name: str, data: Sequence[Points], **more: Any) -> str:
    """The state of an alarm after this data."""
    found = _stack(more) if more else _default()
    alarm, outputs = dict(_named(found))[name], Outputs()
    assert isinstance(alarm, CloudwatchAlarm)
    outputs[found.balancer] = Observed("", {"ArnSuffix": BALANCER["LoadBalancer"]})
    routing = found.services["shop"].routing
    assert routing
    for group, dimensions in zip(routing.target_groups, (FIRST, SECOND), strict=False):
        outputs[group] = Observed("", {"ArnSuffix": dimensions["TargetGroup"]})
    certificate = found.listeners.certificate
    assert certificate
    outputs[certificate] = Observed("", arn=CERTIFICATE["CertificateArn"])
    for replica in found.replicas:
        outputs[replica] = Observed(replica.name)
    put(aws.cloudwatch, data, alarm.period)
    alarm.create(aws, alarm.desired(outputs), Ownership("dev"))
    described = aws.cloudwatch.describe_alarms(AlarmNames=[alarm.name])
    return str(described["MetricAlarms"][0]["StateValue"])

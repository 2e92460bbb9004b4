"""orderops alerts check: each fault of alarms and routes is found with its next step, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import boto3
import pytest
import typer
from moto.moto_api._internal import moto_api_backend

from orderops.alerts.finding import AlertFinding
from orderops.alerts.findings import findings
from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.cli import commands
from orderops.cli.alerts import exists
from orderops.config.environment import Environment
from orderops.engine.resource import Observed, Outputs
from orderops.infra.alert_rules import RULES
from orderops.infra.stack import Stack, stack
from orderops.local.emulator.server import Emulator
from orderops.local.strict import make_strict
from orderops.local.strict.delays import Delays
from orderops.resources.cloudwatch_alarm import CloudwatchAlarm
from support.strict_clients import served

DEPTH, CPU = "orderops-dev-shop-queue-depth", "orderops-dev-shop-cpu"
NOW = datetime.now(UTC).replace(second=0, microsecond=0)


@cache
def declared(**cluster: bool) -> Stack:
    table = {"name": "dev", "database": {}, "services": {"shop": {}}, "cluster": cluster}
    return stack(Environment.model_validate(table), "1" * 12)


@pytest.fixture(scope="module")
def server() -> Iterator[Aws]:
    emulator = Emulator()
    make_strict(emulator, Delays(alarm=0))
    with served(emulator) as client:
        session = boto3.Session("testing", "testing", region_name="ap-southeast-2")
        yield Aws("ap-southeast-2", endpoint_url=client("sns").meta.endpoint_url, session=session)


@pytest.fixture
def aws(server: Aws) -> Aws:
    """An account with every alarm, and a topic with a number that needs no confirmation."""
    moto_api_backend.reset()
    topic = server.sns.create_topic(Name="orderops-dev-alarms")["TopicArn"]
    server.sns.subscribe(TopicArn=topic, Protocol="sms", Endpoint="+61412345678")
    outputs = Outputs("ap-southeast-2", "123456789012")
    outputs[declared().topic] = Observed(topic, arn=topic)
    alarms = [resource for resource in declared().infra if isinstance(resource, CloudwatchAlarm)]
    for alarm in (*alarms, *declared().pages):
        alarm.create(server, alarm.desired(outputs), Ownership("dev"))
    return server


def check(aws: Aws, found: Stack | None = None, known: Callable[[str], bool] = lambda _: True) -> list[AlertFinding]:
    return list(findings(aws, found or declared(), known, NOW))


def put_again(aws: Aws, name: str, **changes: Any) -> None:
    raw = aws.cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]
    keys = ("AlarmName", "Namespace", "MetricName", "Statistic", "Dimensions", "Period", "EvaluationPeriods")
    kept = {key: raw[key] for key in (*keys, "Threshold", "ComparisonOperator", "AlarmActions", "TreatMissingData")}
    aws.cloudwatch.put_metric_alarm(**{**kept, **changes})


def test_alarms_as_declared_have_no_finding(aws: Aws) -> None:
    assert check(aws) == []


def test_a_rule_without_an_alarm_is_found(aws: Aws) -> None:
    aws.cloudwatch.delete_alarms(AlarmNames=[DEPTH])

    assert check(aws) == [AlertFinding(DEPTH, "the rule has no alarm", "orderops infra apply --env dev")]


def test_a_rule_whose_metric_is_not_recorded_is_found(aws: Aws) -> None:
    found = {finding.name: finding for finding in check(aws, declared(container_insights=False))}

    assert found["orderops-dev-shop-max-capacity"].next == "set [cluster] container_insights = true in dev.toml"


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"AlarmActions": []}, "the alarm has no route"),
        ({"ActionsEnabled": False}, "its actions are disabled"),
        ({"Threshold": 5000.0}, "Threshold was set by hand to 5000.0; declared is 1000.0"),
        ({"EvaluationPeriods": 9}, "EvaluationPeriods was set by hand to 9; declared is 5"),
    ],
)
def test_an_alarm_changed_by_hand_is_found(aws: Aws, changes: dict[str, Any], what: str) -> None:
    put_again(aws, DEPTH, **changes)

    assert check(aws) == [AlertFinding(DEPTH, what, "orderops infra apply --env dev")]


def test_missing_data_left_at_the_default_is_found_in_any_alarm_of_the_environment(aws: Aws) -> None:
    put_again(aws, DEPTH, AlarmName="orderops-dev-by-hand", TreatMissingData="missing")
    put_again(aws, DEPTH, AlarmName="orderops-other-by-hand", TreatMissingData="missing")

    assert [(finding.name, finding.what) for finding in check(aws)] == [
        ("orderops-dev-by-hand", "missing data is left at the default")
    ]


def test_a_topic_without_a_receiver_is_found(aws: Aws) -> None:
    (subscription,) = aws.sns.list_subscriptions()["Subscriptions"]
    aws.sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])

    assert [(finding.name, finding.what) for finding in check(aws)] == [
        ("orderops-dev-alarms", "the topic of alarms has no receiver")
    ]


def test_a_receiver_that_has_not_confirmed_is_found(aws: Aws) -> None:
    topic = aws.sns.list_topics()["Topics"][0]["TopicArn"]
    aws.sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="a@example.com")

    assert [(finding.name, finding.what) for finding in check(aws)] == [
        ("orderops-dev-alarms", "email a@example.com has not confirmed its subscription")
    ]


@pytest.mark.parametrize(("minutes", "found"), [(5, [DEPTH]), (4, [])])
def test_data_of_the_last_day_that_raises_an_alarm_is_found(aws: Aws, minutes: int, found: list[str]) -> None:
    dimensions = [{"Name": "QueueName", "Value": "orderops-dev-shop-queue"}]
    data = [
        {
            "MetricName": "ApproximateNumberOfMessagesVisible",
            "Dimensions": dimensions,
            "Value": 1001,
            "Timestamp": NOW - timedelta(hours=2, minutes=minute),
        }
        for minute in range(minutes)
    ]
    aws.cloudwatch.put_metric_data(Namespace="AWS/SQS", MetricData=data)

    assert [finding.name for finding in check(aws) if "24 hours" in finding.what] == found


def test_a_runbook_command_that_does_not_exist_is_found(aws: Aws) -> None:
    found = check(aws, known=lambda text: "queue status" not in text)

    assert [(finding.name, finding.next) for finding in found] == [(DEPTH, "correct the rule's runbook")]


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("orderops status --env dev", True),
        ("orderops queue dlq list --service shop --env dev", True),
        ("orderops queue dlq", False),
        ("orderops queue drain --env dev", False),
        ("orderops status --service shop", False),
        ("kubectl status", False),
    ],
)
def test_a_command_exists_with_all_its_options(text: str, known: bool) -> None:
    assert exists(typer.main.get_command(commands), text) is known


def test_the_next_command_of_every_rule_exists() -> None:
    root = typer.main.get_command(commands)

    assert [rule.key for rule in RULES if not exists(root, rule.runbook.format(service="shop", env="dev"))] == []

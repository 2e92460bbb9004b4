from __future__ import annotations

import json
import time
from typing import Any

import pytest

from support.emulated_service import System
from support.laptop import until
from support.strict_clients import Client

ALARM: dict[str, Any] = {
    "AlarmName": "errors",
    "Namespace": "orderops",
    "MetricName": "Errors",
    "Statistic": "Sum",
    "Period": 60,
    "EvaluationPeriods": 1,
    "Threshold": 2.0,
    "ComparisonOperator": "GreaterThanThreshold",
}


def test_a_new_alarm_has_insufficient_data(moto: Client, strict: Client) -> None:
    moto("cloudwatch").put_metric_alarm(**{**ALARM, "AlarmName": "loose"})
    strict("cloudwatch").put_metric_alarm(**ALARM)

    assert _state(strict) == "INSUFFICIENT_DATA"
    assert _state(moto, "loose") == "OK"


def test_an_alarm_follows_its_data(moto: Client, strict: Client) -> None:
    strict("cloudwatch").put_metric_alarm(**ALARM)
    _measure(strict, 1)
    until(lambda: _state(strict) == "OK")

    _measure(strict, 2)

    assert _state(moto) == "OK"
    until(lambda: _state(strict) == "ALARM")


@pytest.mark.parametrize(
    ("missing", "state"), [("missing", "INSUFFICIENT_DATA"), ("notBreaching", "OK"), ("breaching", "ALARM")]
)
def test_an_alarm_treats_missing_data_as_configured(strict: Client, missing: str, state: str) -> None:
    strict("cloudwatch").put_metric_alarm(**ALARM, TreatMissingData=missing)

    until(lambda: _state(strict) == state)


def test_an_alarm_needs_as_many_periods_as_configured(strict: Client) -> None:
    strict("cloudwatch").put_metric_alarm(**{**ALARM, "EvaluationPeriods": 3, "DatapointsToAlarm": 2})
    _measure(strict, 5)
    _measure(strict, 1, ago=90)
    until(lambda: _state(strict) == "OK")

    _measure(strict, 5, ago=150)

    until(lambda: _state(strict) == "ALARM")


def test_an_alarm_publishes_to_its_topic(strict: Client) -> None:
    url = strict("sqs").create_queue(QueueName="pager")["QueueUrl"]
    queue = strict("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = strict("sns").create_topic(Name="alerts")["TopicArn"]
    strict("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
    strict("cloudwatch").put_metric_alarm(**ALARM, AlarmActions=[topic])

    strict("cloudwatch").set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="a drill")

    body = json.loads(strict("sqs").receive_message(QueueUrl=url)["Messages"][0]["Body"])
    message = json.loads(body["Message"])
    assert (message["AlarmName"], message["OldStateValue"], message["NewStateValue"]) == (
        "errors",
        "INSUFFICIENT_DATA",
        "ALARM",
    )
    assert message["NewStateReason"] == "a drill"


def test_an_alarm_put_again_keeps_its_state_and_tags(moto: Client, strict: Client) -> None:
    cloudwatch = strict("cloudwatch")
    cloudwatch.put_metric_alarm(**ALARM, Tags=[{"Key": "a", "Value": "1"}])
    arn = cloudwatch.describe_alarms()["MetricAlarms"][0]["AlarmArn"]
    cloudwatch.set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="a drill")

    cloudwatch.put_metric_alarm(**{**ALARM, "Threshold": 5.0}, Tags=[{"Key": "a", "Value": "2"}])

    assert _state(strict) == "ALARM"
    assert cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "a", "Value": "1"}]
    moto("cloudwatch").put_metric_alarm(**ALARM, Tags=[{"Key": "a", "Value": "2"}])
    assert _state(moto) == "OK"
    assert cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "a", "Value": "2"}]


def test_the_tags_of_an_alarm_are_deleted_with_it(moto: Client, strict: Client) -> None:
    for client in (moto, strict):
        strict("cloudwatch").put_metric_alarm(**ALARM, Tags=[{"Key": "a", "Value": "1"}])
        arn = moto("cloudwatch").describe_alarms()["MetricAlarms"][0]["AlarmArn"]
        client("cloudwatch").delete_alarms(AlarmNames=["errors"])
        strict("cloudwatch").put_metric_alarm(**ALARM)
        left = strict("cloudwatch").list_tags_for_resource(ResourceARN=arn)["Tags"]
        assert bool(left) == (client is moto)


def test_the_depth_of_a_queue_is_recorded_as_a_metric(moto: Client, strict: Client) -> None:
    url = strict("sqs").create_queue(QueueName="orders")["QueueUrl"]
    for _ in range(3):
        strict("sqs").send_message(QueueUrl=url, MessageBody="an order")
    depth: dict[str, Any] = {
        "Namespace": "AWS/SQS",
        "MetricName": "ApproximateNumberOfMessagesVisible",
        "Dimensions": [{"Name": "QueueName", "Value": "orders"}],
    }

    strict("cloudwatch").put_metric_alarm(**{**ALARM, **depth, "Statistic": "Maximum"})

    window = {"StartTime": time.time() - 600, "EndTime": time.time() + 60, "Period": 3600, "Statistics": ["Maximum"]}
    assert moto("cloudwatch").get_metric_statistics(**depth, **window)["Datapoints"] == []
    points = strict("cloudwatch").get_metric_statistics(**depth, **window)["Datapoints"]
    assert [point["Maximum"] for point in points] == [3.0]
    until(lambda: _state(strict) == "ALARM")


def _measure(client: Client, value: float, ago: float = 0) -> None:
    datum = {"MetricName": "Errors", "Value": value, "Timestamp": time.time() - ago}
    client("cloudwatch").put_metric_data(Namespace="orderops", MetricData=[datum])


def _state(client: Client, name: str = "errors") -> str:
    return str(client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateValue"])


def test_target_health_and_task_counts_are_recorded_as_metrics(moto: Client, strict: Client) -> None:
    system = System(strict)
    system.listen()
    system.create(system.define())
    until(system.steady)
    group = [
        {"Name": "TargetGroup", "Value": system.arn.rpartition(":")[2]},
        {"Name": "LoadBalancer", "Value": system.balancer.rpartition(":loadbalancer/")[2]},
    ]
    service = [{"Name": "ClusterName", "Value": "dev"}, {"Name": "ServiceName", "Value": "app"}]

    def latest(client: Client, namespace: str, metric: str, dimensions: Any) -> list[float]:
        window = {"StartTime": time.time() - 600, "EndTime": time.time() + 60, "Period": 3600}
        response = client("cloudwatch").get_metric_statistics(
            Namespace=namespace, MetricName=metric, Dimensions=dimensions, Statistics=["Maximum"], **window
        )
        return [point["Maximum"] for point in response["Datapoints"]]

    assert latest(moto, "AWS/ApplicationELB", "HealthyHostCount", group) == []
    assert latest(strict, "AWS/ApplicationELB", "HealthyHostCount", group) == [2.0]
    assert latest(strict, "AWS/ApplicationELB", "UnHealthyHostCount", group) == [0.0]
    assert latest(strict, "ECS/ContainerInsights", "RunningTaskCount", service) == [2.0]
    assert latest(strict, "ECS/ContainerInsights", "DesiredTaskCount", service) == [2.0]

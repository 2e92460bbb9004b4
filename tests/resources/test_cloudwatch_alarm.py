"""CloudWatch alarms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.engine.inventory import Inventory
from orderops.engine.reconcile import reconcile
from orderops.engine.resource import Output
from orderops.engine.step import Action
from orderops.errors import Unfinished
from orderops.resources.cloudwatch_alarm import CloudwatchAlarm, Metric
from orderops.resources.sns_topic import SnsTopic
from orderops.resources.sqs_queue import SqsQueue
from support.contract import Up, keeps_its_promises
from support.emulated_account import QUICK, with_needs
from support.faults import Fault, Faults, PowerCut
from support.tag_keys import ENVIRONMENT

ALERTS = SnsTopic("orderops-dev-alerts")
DEPTH = CloudwatchAlarm(
    "orderops-dev-orders-depth",
    "more than 1000 orders wait",
    namespace="AWS/SQS",
    metric="ApproximateNumberOfMessagesVisible",
    statistic="Maximum",
    threshold=1000,
    dimensions={"QueueName": "orderops-dev-orders"},
    topic=ALERTS,
)


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(DEPTH, aws, up, threshold=500, periods=3, missing="notBreaching")


def test_drift_is_repaired(aws: Aws, up: Up) -> None:
    up(DEPTH)
    aws.cloudwatch.disable_alarm_actions(AlarmNames=[DEPTH.name])

    assert up(DEPTH)[DEPTH.address].changes == {"ActionsEnabled": (False, True)}
    assert up(DEPTH)[DEPTH.address].action is Action.NO_OP


@pytest.mark.parametrize("state", ["ALARM", "INSUFFICIENT_DATA", "OK"])
def test_the_state_of_an_alarm_is_no_drift(aws: Aws, up: Up, state: str) -> None:
    up(DEPTH)
    aws.cloudwatch.set_alarm_state(AlarmName=DEPTH.name, StateValue=state, StateReason="test")

    assert up(DEPTH)[DEPTH.address].action is Action.NO_OP


def test_the_topic_is_notified_of_an_alarm_and_of_its_recovery(aws: Aws, up: Up) -> None:
    up(DEPTH)

    topic = aws.sns.list_topics()["Topics"][0]["TopicArn"]
    alarm = _alarm(aws, DEPTH.name)
    assert (alarm["AlarmActions"], alarm["OKActions"]) == ([topic], [topic])


def test_a_percentile_is_a_statistic_too(aws: Aws, up: Up) -> None:
    slow = CloudwatchAlarm(
        "orderops-dev-slow",
        "slow",
        namespace="AWS/ApplicationELB",
        metric="Time",
        statistic="p99",
        threshold=1.5,
        topic=ALERTS,
    )

    up(slow)

    assert _alarm(aws, slow.name)["ExtendedStatistic"] == "p99"
    assert up(slow)[slow.address].action is Action.NO_OP


def test_an_alarm_on_an_expression_fulfils_the_contract(aws: Aws, up: Up) -> None:
    queue = SqsQueue("orderops-dev-orders")
    dimensions = {"QueueName": Output(queue, "arn", "{}-x")}
    rate = CloudwatchAlarm(
        "orderops-dev-rate",
        "too many errors",
        threshold=5,
        periods=5,
        datapoints=3,
        missing="notBreaching",
        expression="IF(r > 20, 100 * FILL(e, 0) / r, 0)",
        metrics={"e": Metric("shop", "Errors", "Sum", dimensions), "r": Metric("shop", "Requests", "Sum", dimensions)},
        topic=ALERTS,
    )

    keeps_its_promises(rate, aws, up, threshold=10, expression="FILL(e, 0) + r")

    queries = _alarm(aws, rate.name)["Metrics"]
    assert [(query["Id"], query["ReturnData"]) for query in queries] == [("result", True), ("e", False), ("r", False)]
    pairs = queries[1]["MetricStat"]["Metric"]["Dimensions"]
    assert pairs == [{"Name": "QueueName", "Value": "arn:aws:sqs:ap-southeast-2:123456789012:orderops-dev-orders-x"}]


def test_a_dimension_can_be_an_output_of_another_resource(aws: Aws, up: Up) -> None:
    queue = SqsQueue("orderops-dev-orders")
    alarm = CloudwatchAlarm(
        "orderops-dev-x",
        "x",
        namespace="AWS/SQS",
        metric="x",
        statistic="Sum",
        threshold=1,
        dimensions={"Queue": Output(queue, "arn")},
        topic=ALERTS,
    )

    up(alarm)

    dimension = _alarm(aws, alarm.name)["Dimensions"]
    assert dimension == [{"Name": "Queue", "Value": "arn:aws:sqs:ap-southeast-2:123456789012:orderops-dev-orders"}]


def test_the_alarm_email_names_its_subject_and_owner(aws: Aws, up: Up) -> None:
    up(DEPTH)

    assert _alarm(aws, DEPTH.name)["AlarmDescription"] == (
        "more than 1000 orders wait "
        "[orderops:environment=dev orderops:address=cloudwatch-alarm/orderops-dev-orders-depth]"
    )


def test_many_alarms_cost_no_more_calls_than_one(aws: Aws, up: Up, the_faults: Faults) -> None:
    alarms = [
        CloudwatchAlarm(
            f"orderops-dev-{number}", "x", namespace="AWS/SQS", metric="x", statistic="Sum", threshold=1, topic=ALERTS
        )
        for number in range(5)
    ]
    up(*alarms)
    the_faults.calls.clear()

    up(*alarms)

    assert [call for call in the_faults.calls if call.startswith("cloudwatch.")] == ["cloudwatch.DescribeAlarms"]


def test_extra_tags_are_set_and_found_again(aws: Aws, survey_of: Callable[..., Inventory]) -> None:
    def run(tags: dict[str, str]) -> Action:
        inventory = Inventory(aws, "dev", [SnsTopic, CloudwatchAlarm], tags)
        steps = {step.address: step for step in reconcile(with_needs([DEPTH]), inventory, limits=QUICK)}
        return steps[DEPTH.address].action

    assert run({"cost centre": "shop = 4"}) is Action.CREATE
    assert run({"cost centre": "shop = 4"}) is Action.NO_OP
    assert run({"cost centre": "shop = 5"}) is Action.UPDATE
    assert run({"cost centre": "shop = 5"}) is Action.NO_OP

    arn = _alarm(aws, DEPTH.name)["AlarmArn"]
    assert {"Key": "cost centre", "Value": "shop = 5"} in aws.cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"]


def test_an_alarm_without_room_for_its_mark_is_known_by_its_tags(aws: Aws, up: Up) -> None:
    long = CloudwatchAlarm(
        "orderops-dev-long", "x" * 1000, namespace="AWS/SQS", metric="x", statistic="Sum", threshold=1, topic=ALERTS
    )

    up(long)

    assert _alarm(aws, long.name)["AlarmDescription"] == "x" * 1000
    assert up(long)[long.address].action is Action.NO_OP


def test_a_copy_of_an_alarm_does_not_inherit_its_owner(aws: Aws, up: Up) -> None:
    up(DEPTH)
    copied = _alarm(aws, DEPTH.name)["AlarmDescription"]
    _by_hand(aws, "orderops-dev-copy", AlarmDescription=copied)
    copy = CloudwatchAlarm(
        "orderops-dev-copy", "x", namespace="AWS/SQS", metric="x", statistic="Sum", threshold=1, topic=ALERTS
    )

    with pytest.raises(Unfinished, match="has no owner"):
        up(copy)


def test_an_alarm_without_an_owner_is_adopted_only_on_request(aws: Aws, up: Up) -> None:
    _by_hand(aws, DEPTH.name)

    with pytest.raises(Unfinished, match="has no owner"):
        up(DEPTH)
    up(DEPTH, adopt=[DEPTH.address])

    assert up(DEPTH)[DEPTH.address].action is Action.NO_OP


def test_an_alarm_of_another_environment_is_not_changed(aws: Aws, up: Up) -> None:
    _by_hand(aws, DEPTH.name, Tags=[{"Key": ENVIRONMENT, "Value": "prod"}])

    with pytest.raises(Unfinished, match="belongs to prod"):
        up(DEPTH)


@pytest.mark.parametrize("call", range(4))
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    other = CloudwatchAlarm(
        "orderops-dev-x", "x", namespace="AWS/SQS", metric="x", statistic="Sum", threshold=1, topic=ALERTS
    )
    with power_cut("cloudwatch", after=call), pytest.raises(PowerCut):
        up(DEPTH, other)

    up(DEPTH, other)

    assert {step.action for step in up(DEPTH, other).values()} == {Action.NO_OP}


def test_the_resource_is_read_again_after_a_lost_answer(aws: Aws, up: Up, lose_answer: Fault) -> None:
    with lose_answer("cloudwatch", "PutMetricAlarm"):
        assert up(DEPTH)[DEPTH.address].action is Action.CREATE


def _alarm(aws: Aws, name: str) -> Any:
    return aws.cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]


def _by_hand(aws: Aws, name: str, **more: Any) -> None:
    aws.cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="AWS/SQS",
        MetricName="x",
        Statistic="Sum",
        Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold",
        Period=60,
        EvaluationPeriods=1,
        **more,
    )

"""Composite alarms of the strict emulator, as the CloudWatch API reference describes them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.laptop import until
from support.strict_clients import Client, Refused

METRIC: dict[str, Any] = {
    "Namespace": "orderops",
    "MetricName": "Errors",
    "Statistic": "Sum",
    "Period": 60,
    "EvaluationPeriods": 1,
    "Threshold": 2.0,
    "ComparisonOperator": "GreaterThanThreshold",
    "TreatMissingData": "notBreaching",
}
SUPPRESSED = {
    "ActionsSuppressor": "b",
    "ActionsSuppressorWaitPeriod": 60,
    "ActionsSuppressorExtensionPeriod": 60,
}


@pytest.fixture
def cloudwatch(strict: Client) -> Any:
    """A client of an account with two metric alarms, a and b."""
    client = strict("cloudwatch")
    for name in "ab":
        client.put_metric_alarm(AlarmName=name, **METRIC)
    return client


@pytest.mark.parametrize(
    ("rule", "state"),
    [
        ('ALARM("a")', "ALARM"),
        ("ALARM(a) AND ALARM(b)", "OK"),
        ("ALARM(b) OR ALARM(a) AND TRUE", "ALARM"),
        ("NOT ALARM(b) AND ALARM(a)", "ALARM"),
        ("NOT (ALARM(b) OR ALARM(a))", "OK"),
        ("FALSE", "OK"),
        ("ALARM(arn:aws:cloudwatch:ap-southeast-2:123456789012:alarm:a)", "ALARM"),
    ],
)
def test_a_rule_decides_the_state(cloudwatch: Any, rule: str, state: str) -> None:
    raise_(cloudwatch, "a")

    cloudwatch.put_composite_alarm(AlarmName="c", AlarmRule=rule)

    assert composite(cloudwatch)["StateValue"] == state


@pytest.mark.parametrize(
    "given",
    [
        {"AlarmRule": "ALARM(missing)"},
        {"AlarmRule": "ALARM(a) ALARM(b)"},
        {"AlarmRule": "(ALARM(a)"},
        {"AlarmRule": "ALARM(a) OR"},
        {"AlarmRule": " OR ".join(["ALARM(a)"] * 501)},
        {"AlarmRule": "ALARM(a)", "ActionsSuppressor": "b"},
        {"AlarmRule": "ALARM(a)", "ActionsSuppressor": "b", "ActionsSuppressorWaitPeriod": 60},
        {"AlarmRule": "ALARM(a)", "ActionsSuppressorWaitPeriod": 60, "ActionsSuppressorExtensionPeriod": 60},
        {"AlarmRule": "ALARM(a)", **SUPPRESSED, "ActionsSuppressor": "missing"},
    ],
    ids=lambda given: str(given)[:60],
)
def test_a_wrong_composite_alarm_is_refused(cloudwatch: Any, refused: Refused, given: dict[str, Any]) -> None:
    with refused("ValidationError"):
        cloudwatch.put_composite_alarm(AlarmName="c", **given)


def test_a_set_state_stays_on_a_composite_alarm_until_a_child_changes(cloudwatch: Any) -> None:
    cloudwatch.put_composite_alarm(AlarmName="c", AlarmRule="ALARM(a) OR ALARM(b)")
    raise_(cloudwatch, "c")
    raise_(cloudwatch, "a")
    until(lambda: states(cloudwatch)["a"] == "OK", what="the metric alarm returns by itself")
    assert composite(cloudwatch)["StateValue"] == "OK"

    raise_(cloudwatch, "c")
    states(cloudwatch)

    assert composite(cloudwatch)["StateValue"] == "ALARM"


def test_a_composite_alarm_put_again_returns_to_its_true_state(cloudwatch: Any) -> None:
    given = {"AlarmName": "c", "AlarmRule": "ALARM(a)"}
    cloudwatch.put_composite_alarm(**given)
    raise_(cloudwatch, "c")

    cloudwatch.put_composite_alarm(**given)

    assert composite(cloudwatch)["StateValue"] == "OK"


def test_only_metric_alarms_are_described_without_a_type(cloudwatch: Any) -> None:
    cloudwatch.put_composite_alarm(AlarmName="c", AlarmRule="ALARM(a)")

    answer = cloudwatch.describe_alarms()
    assert [raw["AlarmName"] for raw in answer["MetricAlarms"]] == ["a", "b"]
    assert answer["CompositeAlarms"] == []
    assert cloudwatch.describe_alarms(AlarmTypes=["CompositeAlarm"])["MetricAlarms"] == []


def test_a_name_belongs_to_one_type_of_alarm(cloudwatch: Any, refused: Refused) -> None:
    cloudwatch.put_composite_alarm(AlarmName="c", AlarmRule="ALARM(a)")

    with refused("ValidationError"):
        cloudwatch.put_composite_alarm(AlarmName="a", AlarmRule="ALARM(b)")
    with refused("ValidationError"):
        cloudwatch.put_metric_alarm(AlarmName="c", **METRIC)


def test_a_child_and_two_composite_alarms_at_once_cannot_be_deleted(cloudwatch: Any, refused: Refused) -> None:
    for name in "cd":
        cloudwatch.put_composite_alarm(AlarmName=name, AlarmRule="ALARM(a)", **SUPPRESSED)

    for names in (["a"], ["b"], ["c", "d"]):
        with refused("ValidationError"):
            cloudwatch.delete_alarms(AlarmNames=names)
    cloudwatch.delete_alarms(AlarmNames=["c", "absent"])
    cloudwatch.delete_alarms(AlarmNames=["d"])
    cloudwatch.delete_alarms(AlarmNames=["a", "b"])
    assert states(cloudwatch) == {}


def test_the_history_tells_states_and_actions(strict: Client, cloudwatch: Any) -> None:
    topic = strict("sns").create_topic(Name="alerts")["TopicArn"]
    gone = f"{topic}-gone"
    cloudwatch.put_composite_alarm(AlarmName="c", AlarmRule="ALARM(a)", AlarmActions=[topic, gone])
    raise_(cloudwatch, "c")

    def history(**more: Any) -> list[tuple[str, str]]:
        items = cloudwatch.describe_alarm_history(AlarmName="c", AlarmTypes=["CompositeAlarm"], **more)
        return [(item["HistoryItemType"], item["HistorySummary"]) for item in items["AlarmHistoryItems"]]

    assert history(ScanBy="TimestampAscending") == [
        ("ConfigurationUpdate", 'Alarm "c" created'),
        ("StateUpdate", "Alarm updated from INSUFFICIENT_DATA to OK"),
        ("StateUpdate", "Alarm updated from OK to ALARM"),
        ("Action", f"Successfully executed action {topic}"),
        ("Action", f"Failed to execute action {gone}"),
    ]
    assert [kind for kind, _ in history(HistoryItemType="Action")] == ["Action", "Action"]
    assert cloudwatch.describe_alarm_history(AlarmName="c")["AlarmHistoryItems"] == []


def test_the_message_of_a_composite_alarm_names_its_rule_and_children(strict: Client, cloudwatch: Any) -> None:
    url = strict("sqs").create_queue(QueueName="pager")["QueueUrl"]
    queue = strict("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = strict("sns").create_topic(Name="alerts")["TopicArn"]
    strict("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
    cloudwatch.put_composite_alarm(AlarmName="c", AlarmRule="ALARM(a)", AlarmActions=[topic])

    raise_(cloudwatch, "a")

    body = json.loads(json.loads(strict("sqs").receive_message(QueueUrl=url)["Messages"][0]["Body"])["Message"])
    assert (body["AlarmName"], body["NewStateValue"], body["AlarmRule"]) == ("c", "ALARM", "ALARM(a)")
    assert [child["Arn"].rpartition(":")[2] for child in body["TriggeringChildren"]] == ["a"]
    assert "Trigger" not in body


def test_a_suppressor_holds_actions_back(strict: Client, cloudwatch: Any) -> None:
    topic = strict("sns").create_topic(Name="alerts")["TopicArn"]
    cloudwatch.put_composite_alarm(AlarmName="c", AlarmRule="ALARM(a)", AlarmActions=[topic], **SUPPRESSED)

    raise_(cloudwatch, "a")
    assert composite(cloudwatch)["ActionsSuppressedBy"] == "WaitPeriod"
    raise_(cloudwatch, "b")

    assert composite(cloudwatch)["ActionsSuppressedBy"] == "Alarm"
    history = cloudwatch.describe_alarm_history(AlarmTypes=["CompositeAlarm"], HistoryItemType="Action")
    assert history["AlarmHistoryItems"] == []


def raise_(cloudwatch: Any, name: str) -> None:
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="test")


def composite(cloudwatch: Any) -> Any:
    return cloudwatch.describe_alarms(AlarmNames=["c"], AlarmTypes=["CompositeAlarm"])["CompositeAlarms"][0]


def states(cloudwatch: Any) -> dict[str, str]:
    return {raw["AlarmName"]: raw["StateValue"] for raw in cloudwatch.describe_alarms()["MetricAlarms"]}

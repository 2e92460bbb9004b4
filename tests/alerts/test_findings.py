"""orderops alerts check: each fault of alarms and routes is found with its next step, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import boto3
import pytest

from orderops.alerts.finding import AlertFinding
from orderops.alerts.findings import findings
from orderops.alerts.fire_drill_record import begun, fire_drills, save
from orderops.aws.client import Aws
from orderops.aws.documents import Bucket
from orderops.cli.alerts import exists
from orderops.cli.tree import whole_command
from orderops.config.environment import load_environment
from orderops.infra.alert_rules import RULES
from orderops.infra.stack import Stack, stack
from support.banded_account import add_bands
from support.faulty_proxy import Proxy
from support.laptop import until
from support.paging_account import ACCOUNT
from support.repository import ENVIRONMENTS

pytest_plugins = ["support.dev_accounts"]

SHOP = "orderops-dev-order-processor"
DEPTH, OUTAGE, ERRORS = f"{SHOP}-queue-depth", "orderops-dev-p0-outage", "orderops-dev-p0-errors"
APPLY, SET_BACK = "orderops infra apply --env dev", "orderops alerts fire-drill --set-back --env dev"
CHILDREN = [f"{SHOP}-no-healthy-task", f"{SHOP}-database-away"]
NOW = datetime.now(UTC).replace(second=0, microsecond=0)


@cache
def declared(container_insights: bool = True) -> Stack:
    environment = load_environment("dev", ENVIRONMENTS)
    cluster = environment.cluster.model_copy(update={"container_insights": container_insights})
    return stack(environment.model_copy(update={"cluster": cluster}), ACCOUNT)


@pytest.fixture
def aws(account: Proxy, dev_infra: bytes) -> Aws:
    """An account with the infrastructure of dev, and a topic with a number that needs no confirmation."""
    account.bring_back(dev_infra)
    session = boto3.Session("testing", "testing", region_name="ap-southeast-2")
    found = Aws("ap-southeast-2", endpoint_url=account.url, session=session)
    found.sns.subscribe(TopicArn=topic(found), Protocol="sms", Endpoint="+61412345678")
    return found


def topic(aws: Aws) -> str:
    return str(aws.sns.list_topics()["Topics"][0]["TopicArn"])


def check(aws: Aws, found: Stack | None = None, known: Callable[[str], bool] = lambda _: True) -> list[AlertFinding]:
    return list(findings(aws, found or declared(), known, NOW, fire_drills(Bucket(aws), "dev")))


def put_again(aws: Aws, name: str, **changes: Any) -> None:
    raw = aws.cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]
    keys = ("AlarmName", "Namespace", "MetricName", "Statistic", "Dimensions", "Period", "EvaluationPeriods")
    kept = {key: raw[key] for key in (*keys, "Threshold", "ComparisonOperator", "AlarmActions", "TreatMissingData")}
    aws.cloudwatch.put_metric_alarm(**{**kept, **changes})


def test_alarms_as_declared_have_no_finding(aws: Aws) -> None:
    assert check(aws) == []


def test_a_rule_whose_metric_is_not_recorded_is_found(aws: Aws) -> None:
    found = {finding.name: finding for finding in check(aws, declared(False))}

    assert found[f"{SHOP}-max-capacity"].next == "set [cluster] container_insights = true in dev.toml"


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


def test_bands_that_are_not_learned_yet_have_no_finding(aws: Aws) -> None:
    assert check(aws, add_bands(aws)) == []


def test_an_alarm_whose_anomaly_detector_is_gone_is_found(aws: Aws) -> None:
    found = add_bands(aws)
    for detector in aws.cloudwatch.describe_anomaly_detectors()["AnomalyDetectors"]:
        aws.cloudwatch.delete_anomaly_detector(SingleMetricAnomalyDetector=detector["SingleMetricAnomalyDetector"])

    what = "its anomaly detector does not exist, so the alarm never has data"
    names = ["orderops-dev-balancer-latency-unusual", f"{SHOP}-queue-age-unusual"]
    assert check(aws, found) == [AlertFinding(name, what, APPLY) for name in names]


def test_a_band_widened_by_hand_is_found(aws: Aws) -> None:
    found, name = add_bands(aws), f"{SHOP}-queue-age-unusual"
    raw = aws.cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]
    keys = ("AlarmName", "ComparisonOperator", "EvaluationPeriods", "ThresholdMetricId", "AlarmActions")
    kept = {key: raw[key] for key in (*keys, "TreatMissingData")}
    measured, band = raw["Metrics"]
    wider = {**band, "Expression": "ANOMALY_DETECTION_BAND(measured, 9)"}
    aws.cloudwatch.put_metric_alarm(**kept, Metrics=[measured, wider])

    what = "the width of its band was set by hand to 9.0; declared is 3"
    assert check(aws, found) == [AlertFinding(name, what, APPLY)]


def test_a_topic_without_a_receiver_is_found(aws: Aws) -> None:
    (subscription,) = aws.sns.list_subscriptions()["Subscriptions"]
    aws.sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])

    assert [(finding.name, finding.what) for finding in check(aws)] == [
        ("orderops-dev-alarms", "the topic of alarms has no receiver")
    ]


def test_a_limit_that_the_data_of_the_last_day_crosses_too_briefly_is_no_finding(aws: Aws) -> None:
    dimensions = [{"Name": "QueueName", "Value": f"{SHOP}-queue"}]
    metric = {"MetricName": "ApproximateNumberOfMessagesVisible", "Dimensions": dimensions, "Value": 1001}
    data = [{**metric, "Timestamp": NOW - timedelta(hours=2, minutes=minute)} for minute in range(4)]
    aws.cloudwatch.put_metric_data(Namespace="AWS/SQS", MetricData=data)

    assert check(aws) == []


def delete_rule(aws: Aws) -> None:
    aws.cloudwatch.delete_alarms(AlarmNames=[DEPTH])


def take_route(aws: Aws) -> None:
    put_again(aws, DEPTH, AlarmActions=[])


def add_unconfirmed(aws: Aws) -> None:
    aws.sns.subscribe(TopicArn=topic(aws), Protocol="email", Endpoint="a@example.com")


def fill_queue(aws: Aws) -> None:
    dimensions = [{"Name": "QueueName", "Value": f"{SHOP}-queue"}]
    metric = {"MetricName": "ApproximateNumberOfMessagesVisible", "Dimensions": dimensions, "Value": 1001}
    data = [{**metric, "Timestamp": NOW - timedelta(hours=2, minutes=minute)} for minute in range(5)]
    aws.cloudwatch.put_metric_data(Namespace="AWS/SQS", MetricData=data)


def delete_queue(aws: Aws) -> None:
    aws.sqs.delete_queue(QueueUrl=aws.sqs.get_queue_url(QueueName=f"{SHOP}-dlq")["QueueUrl"])
    # The listing is late.
    until(lambda: "-dlq" not in str(aws.sqs.list_queues()))


def set_page(aws: Aws) -> None:
    # A set state stays until a child changes: from its first state, too.
    until(
        lambda: (
            {alarm["StateValue"] for alarm in aws.cloudwatch.describe_alarms(AlarmNames=CHILDREN)["MetricAlarms"]}
            == {"OK"}
        )
    )
    aws.cloudwatch.set_alarm_state(AlarmName=OUTAGE, StateValue="ALARM", StateReason="by hand")


def leave_drill(aws: Aws) -> None:
    save(Bucket(aws), "dev", begun("abc", "P0", OUTAGE, "mira", NOW, composite=True))


def forget_command(_: Aws) -> Callable[[str], bool]:
    return lambda text: "queue status" not in text


def mute_page(aws: Aws) -> None:
    aws.cloudwatch.disable_alarm_actions(AlarmNames=[ERRORS])


# What was done, where it is found, as what, and the next step.
PLANTED: dict[str, tuple[Callable[[Aws], Callable[[str], bool] | None], str, str, str]] = {
    "a rule without an alarm": (delete_rule, DEPTH, "the rule has no alarm", APPLY),
    "an alarm without a route": (take_route, DEPTH, "the alarm has no route", APPLY),
    "a route without a confirmed end": (
        add_unconfirmed,
        "orderops-dev-alarms",
        "email a@example.com has not confirmed its subscription",
        "follow the link that AWS sent there; it is valid for 48 hours",
    ),
    "a runbook command that does not exist": (
        forget_command,
        DEPTH,
        "its next command does not exist: orderops queue status --service order-processor --env dev",
        "correct the rule's runbook",
    ),
    "a threshold that today's data crosses": (
        fill_queue,
        DEPTH,
        "the data of the last 24 hours is beyond 1000 in 5 periods, enough to raise it",
        "find the cause: orderops status --env dev; if this load is normal, raise the limit",
    ),
    "dimensions of a resource that is gone": (
        delete_queue,
        f"{SHOP}-dead-letters",
        f"QueueName {SHOP}-dlq does not exist any more, so the alarm never has data",
        APPLY,
    ),
    "a composite alarm in ALARM for no reason": (
        set_page,
        OUTAGE,
        "it is in ALARM and none of its alarms is, so the next outage would not page",
        SET_BACK,
    ),
    "an unfinished drill": (
        leave_drill,
        OUTAGE,
        f"a fire drill of mira, begun {NOW:%Y-%m-%dT%H:%M:%S}.000Z, did not end, and may have left the alarm set",
        SET_BACK,
    ),
    "muted actions": (mute_page, ERRORS, "its actions are disabled", APPLY),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_mistake_is_found_alone_with_its_next_step(aws: Aws, planted: str) -> None:
    plant, *found = PLANTED[planted]
    known = plant(aws) or (lambda _: True)

    assert check(aws, known=known) == [AlertFinding(*found)]


def test_a_drill_that_is_under_way_is_no_finding(aws: Aws) -> None:
    leave_drill(aws)
    set_page(aws)
    drills = fire_drills(Bucket(aws), "dev", runs=["abc"])

    assert list(findings(aws, declared(), lambda _: True, NOW, drills)) == []


def test_a_drill_that_cannot_be_read_is_found(aws: Aws) -> None:
    Bucket(aws).put("dev/fire-drills/2026.json", {"priority": 0})

    (found,) = check(aws)
    assert "dev/fire-drills/2026.json" in found.what


def test_a_rule_of_a_page_that_was_changed_by_hand_is_found(aws: Aws) -> None:
    aws.cloudwatch.put_composite_alarm(AlarmName=OUTAGE, AlarmRule=f'ALARM("{SHOP}-cpu")', AlarmActions=[topic(aws)])

    found = [finding for finding in check(aws) if finding.name == OUTAGE]
    assert found == [AlertFinding(OUTAGE, f'its rule was set by hand to ALARM("{SHOP}-cpu")', APPLY)]


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
    assert exists(whole_command(), text) is known


def test_the_next_command_of_every_rule_exists() -> None:
    root = whole_command()

    assert [rule.key for rule in RULES if not exists(root, rule.runbook.format(service="shop", env="dev"))] == []

"""SNS topics and their subscriptions."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.step import Action
from orderops.errors import Unfinished
from orderops.resources.sns_topic import SnsTopic
from support.contract import Up, keeps_its_promises
from support.faults import Fault, PowerCut

ALERTS = SnsTopic("orderops-dev-alerts", ("oncall@example.com",), ("https://pager.example.com/in",))
OK = SimpleNamespace(status_code=200)


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(SnsTopic(ALERTS.name), aws, up)


def test_each_endpoint_is_subscribed_once(aws: Aws, up: Up) -> None:
    up(ALERTS)
    up(ALERTS)

    ends = [
        (subscription["Protocol"], subscription["Endpoint"])
        for subscription in aws.sns.list_subscriptions()["Subscriptions"]
    ]
    assert sorted(ends) == [("email", "oncall@example.com"), ("https", "https://pager.example.com/in")]


def test_an_endpoint_added_later_is_subscribed(aws: Aws, up: Up) -> None:
    up(SnsTopic(ALERTS.name))

    assert list(up(ALERTS)[ALERTS.address].changes) == ["Subscriptions"]
    assert up(ALERTS)[ALERTS.address].action is Action.NO_OP


def test_a_subscription_waiting_for_confirmation_counts_as_existing(aws: Aws, up: Up, session: boto3.Session) -> None:
    topic = SnsTopic(ALERTS.name, ALERTS.emails)
    arn = f"arn:aws:sns:ap-southeast-2:123456789012:{topic.name}"
    waiting = {
        "SubscriptionArn": "PendingConfirmation",
        "TopicArn": arn,
        "Protocol": "email",
        "Endpoint": "oncall@example.com",
        "Owner": "123456789012",
    }
    session.events.register("before-call.sns.ListSubscriptions", lambda **_: (OK, {"Subscriptions": [waiting]}))
    up(topic)

    assert up(topic)[topic.address].action is Action.NO_OP
    assert _look(topic, aws)["PendingConfirmation"] == ["email oncall@example.com"]


def test_a_subscription_added_by_hand_is_kept_and_is_no_drift(aws: Aws, up: Up) -> None:
    up(ALERTS)
    arn = aws.sns.list_topics()["Topics"][0]["TopicArn"]
    aws.sns.subscribe(TopicArn=arn, Protocol="email", Endpoint="somebody@example.com")

    assert up(ALERTS)[ALERTS.address].action is Action.NO_OP
    assert len(aws.sns.list_subscriptions()["Subscriptions"]) == 3


def test_only_alarms_and_database_events_of_this_account_may_publish(aws: Aws, up: Up) -> None:
    up(ALERTS)
    arn = aws.sns.list_topics()["Topics"][0]["TopicArn"]

    policy = json.loads(aws.sns.get_topic_attributes(TopicArn=arn)["Attributes"]["Policy"])

    (statement,) = policy["Statement"]
    assert statement["Principal"] == {"Service": ["cloudwatch.amazonaws.com", "events.rds.amazonaws.com"]}
    assert statement["Resource"] == arn
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


def test_a_policy_that_lets_another_account_in_is_repaired(aws: Aws, up: Up) -> None:
    up(ALERTS)
    arn = aws.sns.list_topics()["Topics"][0]["TopicArn"]
    policy = aws.sns.get_topic_attributes(TopicArn=arn)["Attributes"]["Policy"]
    opened = policy.replace('SourceAccount":"123456789012"', 'SourceAccount":"999999999999"')
    aws.sns.set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=opened)

    assert list(up(ALERTS)[ALERTS.address].changes) == ["Policy"]
    assert up(ALERTS)[ALERTS.address].action is Action.NO_OP


def test_the_secret_part_of_a_paging_url_is_not_shown(up: Up) -> None:
    topic = SnsTopic(ALERTS.name, https=("https://pager.example.com/key/1f2e3d",))

    (asked,) = up(topic)[topic.address].changes["Subscriptions"][1]

    assert asked.startswith("https pager.example.com (")
    assert "1f2e3d" not in asked


@pytest.mark.parametrize("call", range(9))
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    with power_cut("sns", after=call), pytest.raises(PowerCut):
        up(ALERTS)

    up(ALERTS)

    assert up(ALERTS)[ALERTS.address].action is Action.NO_OP
    assert len(aws.sns.list_topics()["Topics"]) == 1
    assert len(aws.sns.list_subscriptions()["Subscriptions"]) == 2


@pytest.mark.parametrize("call", ["CreateTopic", "Subscribe"])
def test_a_lost_answer_makes_nothing_twice(aws: Aws, up: Up, lose_answer: Fault, call: str) -> None:
    with lose_answer("sns", call):
        up(ALERTS)

    assert len(aws.sns.list_topics()["Topics"]) == 1
    assert len(aws.sns.list_subscriptions()["Subscriptions"]) == 2


def test_a_topic_without_an_owner_is_adopted_only_on_request(aws: Aws, up: Up) -> None:
    aws.sns.create_topic(Name=ALERTS.name)

    with pytest.raises(Unfinished, match="has no owner"):
        up(ALERTS)
    up(ALERTS, adopt=[ALERTS.address])

    assert up(ALERTS)[ALERTS.address].action is Action.NO_OP


def _look(topic: SnsTopic, aws: Aws) -> Any:
    (observed,) = topic.listing(aws, Ownership("dev"))
    return topic.detail(aws, observed).properties

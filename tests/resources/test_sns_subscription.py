"""Subscriptions of addresses that were taken out of the file: named, and ended on request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.engine.inventory import Inventory, Owned
from orderops.engine.reconcile import reconcile
from orderops.engine.resource import Outputs
from orderops.engine.step import Action
from orderops.infra.plan import prune_steps
from orderops.resources.sns_subscription import former_subscriptions
from orderops.resources.sns_topic import SnsTopic
from support.emulated_account import QUICK
from support.faulty_proxy import Proxy

NAME = "orderops-dev-alarms"
A, B = "a@example.com", "b@example.com"
URL = "https://pager.example.com/key/1f2e3d"


def reconciled(aws: Aws, topic: SnsTopic) -> tuple[list[Owned], Inventory]:
    """Apply a topic; return the subscriptions that it no longer declares."""
    inventory, outputs = Inventory(aws, "dev", [SnsTopic]), Outputs()
    list(reconcile([topic], inventory, outputs=outputs, limits=QUICK))
    return list(former_subscriptions("dev", outputs[topic])), inventory


def ends(aws: Aws) -> set[str]:
    return {raw["Endpoint"] for raw in aws.sns.list_subscriptions()["Subscriptions"]}


def test_an_address_taken_out_of_the_file_is_named_until_it_is_pruned(aws: Aws) -> None:
    assert reconciled(aws, SnsTopic(NAME, (A, B), (URL,)))[0] == []

    former, inventory = reconciled(aws, SnsTopic(NAME, (A,)))

    assert [owned.address.partition(" ")[0] for owned in former] == ["sns-subscription/email", "sns-subscription/https"]
    assert former[0].address == f"sns-subscription/email {B}"
    assert "1f2e3d" not in former[1].address  # the path of a paging URL is a key
    assert ends(aws) == {A, B, URL}
    assert {step.action for step in prune_steps(former, inventory)} == {Action.DELETE}
    assert ends(aws) == {A}
    assert reconciled(aws, SnsTopic(NAME, (A,)))[0] == []


def test_a_subscription_added_by_hand_is_never_named(aws: Aws) -> None:
    reconciled(aws, SnsTopic(NAME, (A,)))
    topic = aws.sns.list_topics()["Topics"][0]["TopicArn"]
    aws.sns.subscribe(TopicArn=topic, Protocol="email", Endpoint=B)

    assert reconciled(aws, SnsTopic(NAME, (A,)))[0] == []


def test_an_address_subscribed_by_hand_and_declared_later_is_ours(aws: Aws) -> None:
    reconciled(aws, SnsTopic(NAME, (A,)))
    topic = aws.sns.list_topics()["Topics"][0]["TopicArn"]
    aws.sns.subscribe(TopicArn=topic, Protocol="email", Endpoint=B)
    reconciled(aws, SnsTopic(NAME, (A, B)))

    former, _ = reconciled(aws, SnsTopic(NAME, (A,)))

    assert [owned.address for owned in former] == [f"sns-subscription/email {B}"]


def test_subscriptions_of_an_earlier_version_are_marked_without_subscribing_again(
    aws: Aws, session: boto3.Session
) -> None:
    reconciled(aws, SnsTopic(NAME, (A,)))
    topic = aws.sns.list_topics()["Topics"][0]["TopicArn"]
    aws.sns.untag_resource(ResourceArn=topic, TagKeys=["orderops:subscriptions"])
    sent: list[Any] = []
    # SNS mails its request for a confirmation again to an address that is subscribed again.
    session.events.register("provide-client-params.sns.Subscribe", lambda params, **_: sent.append(params))

    reconciled(aws, SnsTopic(NAME, (A,)))

    assert sent == []
    tags = {tag["Key"]: tag["Value"] for tag in aws.sns.list_tags_for_resource(ResourceArn=topic)["Tags"]}
    assert len(tags["orderops:subscriptions"]) == 4


def test_the_marks_of_all_addresses_fit_in_a_tag(aws: Aws) -> None:
    emails = tuple(f"{number}@example.com" for number in range(32))
    urls = tuple(f"https://{number}.example.com/" for number in range(32))
    reconciled(aws, SnsTopic(NAME, emails[:20], urls))

    reconciled(aws, SnsTopic(NAME, tuple(f"new-{email}" for email in emails), urls))

    topic = aws.sns.list_topics()["Topics"][0]["TopicArn"]
    tags = {tag["Key"]: tag["Value"] for tag in aws.sns.list_tags_for_resource(ResourceArn=topic)["Tags"]}
    assert len(tags["orderops:subscriptions"]) == 256


@pytest.fixture
def strict_aws(proxy: Proxy) -> Iterator[Aws]:
    yield Aws("ap-southeast-2", endpoint_url=proxy.url)


def test_a_pending_subscription_is_kept_with_the_reason(strict_aws: Aws, client: Callable[[str], Any]) -> None:
    reconciled(strict_aws, SnsTopic(NAME, (A, B)))

    former, inventory = reconciled(strict_aws, SnsTopic(NAME, (A,)))
    (step,) = prune_steps(former, inventory)

    assert (step.action, step.address) == (Action.KEEP, f"sns-subscription/email {B}")
    assert "a confirmation that is pending, so AWS cannot end it; without one it ends by itself after 48" in step.note
    assert len(client("sns").list_subscriptions()["Subscriptions"]) == 2

"""The engine creates and deletes the network of an environment in an order that AWS accepts."""

from __future__ import annotations

from collections import Counter
from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.config.environment import load_environment
from orderops.engine.destroy import destroy
from orderops.engine.inventory import Inventory
from orderops.engine.reconcile import reconcile
from orderops.engine.resource import Resource
from orderops.engine.step import Action
from orderops.infra.network import balancer_of, entrance_group_of, network_of
from support.emulated_account import with_needs
from support.repository import ENVIRONMENTS
from support.strict_clients import Client

# End to end.
pytestmark = pytest.mark.slow


@pytest.fixture
def refusals() -> Counter[str]:
    return Counter()


@pytest.fixture
def aws(strict: Client, refusals: Counter[str]) -> Aws:
    session = boto3.Session("testing", "testing", region_name="ap-southeast-2")

    def note(parsed: dict[str, Any], model: Any, **_: Any) -> None:
        for error in [parsed["Error"]] if "Error" in parsed else []:
            refusals[f"{model.name} {error['Code']}"] += 1

    session.events.register("after-call", note)
    return Aws("ap-southeast-2", endpoint_url=strict("sts").meta.endpoint_url, session=session)


@pytest.fixture
def declared() -> list[Resource]:
    environment = load_environment("dev", ENVIRONMENTS)
    network = network_of(environment, ("ap-southeast-2a", "ap-southeast-2b"))
    balancer, bucket = balancer_of(environment, network, entrance_group_of(environment, network), "123456789012")
    return with_needs([balancer, bucket, *network.rest])


def inventory(aws: Aws, declared: list[Resource]) -> Inventory:
    return Inventory(aws, "dev", tuple(dict.fromkeys(type(item) for item in declared)))


def test_a_network_with_a_balancer_is_created_unchanged_and_deleted(
    aws: Aws, declared: list[Resource], refusals: Counter[str]
) -> None:
    assert {step.action for step in reconcile(declared, inventory(aws, declared))} == {Action.CREATE}
    assert {step.action for step in reconcile(declared, inventory(aws, declared))} == {Action.NO_OP}
    assert refusals.keys() <= MADE

    refusals.clear()
    look = inventory(aws, declared)
    assert {step.action for step in destroy(look.owned(), look)} == {Action.DELETE}

    look = inventory(aws, declared)
    assert list(look.owned()) == []
    assert refusals.keys() <= GONE


MADE = {
    "GetRole NoSuchEntity",
    "GetBucketTagging NoSuchTagSet",
    "GetPublicAccessBlock NoSuchPublicAccessBlockConfiguration",
    "GetBucketEncryption ServerSideEncryptionConfigurationNotFoundError",
    "GetBucketLifecycleConfiguration NoSuchLifecycleConfiguration",
    "GetBucketPolicy NoSuchBucketPolicy",
}
"""What is said of a role that the listing lacks, and of a bucket before its settings are there."""
GONE = {
    "DeleteSecurityGroup DependencyViolation",
    "DeleteSubnet DependencyViolation",
    "DetachInternetGateway DependencyViolation",
    "GetRole NoSuchEntity",
}
"""What no order spares: the interfaces of a balancer outlive it."""

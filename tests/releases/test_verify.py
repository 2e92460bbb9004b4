"""What a release needs, in AWS's shapes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import boto3

from orderops.aws.client import Aws
from orderops.releases.verify import free_addresses, secrets_without_value

OK = SimpleNamespace(status_code=200)


def answer(session: boto3.Session, operation: str, document: dict[str, Any]) -> None:
    session.events.register(f"before-call.{operation}", lambda **_: (OK, document))


def test_a_secret_needs_a_current_value(session: boto3.Session, aws: Aws) -> None:
    answer(session, "secrets-manager.DescribeSecret", {"VersionIdsToStages": {"1": ["AWSPREVIOUS"]}})

    assert list(secrets_without_value(aws, {"orderops/dev/shop/TOKEN": "arn:1"})) == ["orderops/dev/shop/TOKEN"]


def test_a_secret_with_a_current_value_is_fine(session: boto3.Session, aws: Aws) -> None:
    answer(session, "secrets-manager.DescribeSecret", {"VersionIdsToStages": {"1": ["AWSCURRENT"]}})

    assert list(secrets_without_value(aws, {"TOKEN": "arn:1"})) == []


def test_addresses_of_all_subnets_are_summed(session: boto3.Session, aws: Aws) -> None:
    answer(
        session, "ec2.DescribeSubnets", {"Subnets": [{"AvailableIpAddressCount": 3}, {"AvailableIpAddressCount": 1}]}
    )

    assert free_addresses(aws, ["subnet-1", "subnet-2"]) == 4

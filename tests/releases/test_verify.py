"""What a release needs, in AWS's shapes."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.releases.verify import free_addresses, missing_image, secrets_without_value

OK = SimpleNamespace(status_code=200)
INDEX = "application/vnd.oci.image.index.v1+json"


def answer(session: boto3.Session, operation: str, document: dict[str, Any]) -> None:
    session.events.register(f"before-call.{operation}", lambda **_: (OK, document))


def index(*platforms: str) -> dict[str, Any]:
    manifests = [
        {"digest": "sha256:1", "platform": dict(zip(("os", "architecture"), platform.split("/"), strict=True))}
        for platform in platforms
    ]
    return {"imageManifest": json.dumps({"manifests": manifests}), "imageManifestMediaType": INDEX}


@pytest.mark.parametrize(
    ("images", "why"),
    [
        ([], "is not in its repository any more"),
        ([index("linux/amd64", "linux/arm64")], ""),
        ([index("linux/arm64", "unknown/unknown")], "is for linux/arm64 only, and tasks run on linux/amd64"),
        ([{"imageManifest": "{}", "imageManifestMediaType": "application/vnd.oci.image.manifest.v1+json"}], ""),
    ],
    ids=["deleted", "both", "arm", "one image"],
)
def test_an_image_has_to_be_there_and_for_the_platform_of_tasks(
    session: boto3.Session, aws: Aws, images: list[dict[str, Any]], why: str
) -> None:
    answer(session, "ecr.BatchGetImage", {"images": images})

    assert missing_image(aws, "123456789012", "shop", "sha256:1") == why


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

"""Partitions: the region decides how ARNs begin and host names end."""

from __future__ import annotations

from pathlib import Path

import pytest

import orderops
from orderops.aws.partition import dns_suffix_of, partition_of
from orderops.errors import UsageError

SOURCE = Path(orderops.__file__).parent


# AWS General Reference, "Amazon Resource Names"; "AWS service endpoints" of each partition.
@pytest.mark.parametrize(
    ("region", "partition", "suffix"),
    [
        ("ap-southeast-2", "aws", "amazonaws.com"),
        ("us-east-1", "aws", "amazonaws.com"),
        ("mx-central-1", "aws", "amazonaws.com"),
        ("us-gov-west-1", "aws-us-gov", "amazonaws.com"),
        ("us-gov-east-1", "aws-us-gov", "amazonaws.com"),
        ("cn-north-1", "aws-cn", "amazonaws.com.cn"),
        ("cn-northwest-1", "aws-cn", "amazonaws.com.cn"),
        ("us-iso-east-1", "aws-iso", "c2s.ic.gov"),
        ("us-isob-east-1", "aws-iso-b", "sc2s.sgov.gov"),
        ("eusc-de-east-1", "aws-eusc", "amazonaws.eu"),
    ],
)
def test_a_region_has_one_partition_and_one_suffix(region: str, partition: str, suffix: str) -> None:
    assert (partition_of(region), dns_suffix_of(region)) == (partition, suffix)


# The last one is botocore's name for the endpoint of services without regions.
@pytest.mark.parametrize("region", ["ap-south-east", "ap-southeast-2x", "", "aws-global"])
def test_a_region_in_no_partition_is_refused(region: str) -> None:
    with pytest.raises(UsageError, match="is in no partition of AWS"):
        partition_of(region)


def test_a_region_newer_than_botocore_has_the_partition_of_its_form() -> None:
    assert (partition_of("ap-southeast-99"), partition_of("us-gov-north-9")) == ("aws", "aws-us-gov")


def test_no_code_writes_the_arns_of_one_partition() -> None:
    fixed = [
        f"{file.relative_to(SOURCE)}:{number}"
        for file in SOURCE.rglob("*.py")
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1)
        if "arn:aws:" in line
    ]

    assert fixed == []

"""Hosted zones and records: which zone a name is in, and how Route 53 spells names."""

from __future__ import annotations

from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.errors import OrderopsError
from orderops.resources.route53_zones import change_records, record_of, unescaped, zone_id, zones_above


def zone(aws: Aws, name: str, reference: str = "", **more: Any) -> str:
    answer = aws.route53.create_hosted_zone(Name=name, CallerReference=reference or name, **more)
    return str(answer["HostedZone"]["Id"]).rpartition("/")[2]


def test_a_zone_is_found_by_exactly_its_name(aws: Aws) -> None:
    zone(aws, "examples.com")
    ours = zone(aws, "example.com")

    assert zone_id(aws, "example.com") == ours


def test_an_account_without_the_zone_is_told_how_to_get_it(aws: Aws) -> None:
    with pytest.raises(OrderopsError) as caught:
        zone_id(aws, "example.com")

    assert caught.value.message == "this account has no public hosted zone example.com"
    assert 'zone = "elsewhere"' in caught.value.hint


def test_two_zones_of_one_name_are_refused(aws: Aws) -> None:
    both = {zone(aws, "example.com", reference) for reference in ("first", "second")}

    with pytest.raises(OrderopsError, match=r"2 public hosted zones are named example\.com") as caught:
        zone_id(aws, "example.com")

    assert all(found in caught.value.message for found in both)


def test_a_private_zone_does_not_count(aws: Aws) -> None:
    ours = zone(aws, "example.com")
    vpc = aws.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    private = {"HostedZoneConfig": {"PrivateZone": True}, "VPC": {"VPCRegion": aws.region, "VPCId": vpc}}
    zone(aws, "example.com", "private", **private)

    assert zone_id(aws, "example.com") == ours


def test_the_zones_above_a_name_begin_with_the_closest(aws: Aws) -> None:
    far, near = zone(aws, "example.com"), zone(aws, "shop.example.com")
    zone(aws, "other.com")

    assert list(zones_above(aws, "eu.shop.example.com")) == [near, far]


def test_a_record_is_found_by_name_and_type_alone(aws: Aws) -> None:
    ours = zone(aws, "example.com")
    record = {"Name": "b.example.com.", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.7"}]}
    change_records(aws, ours, ("CREATE", record))

    found = record_of(aws, ours, "b.example.com", "A")

    assert found
    assert found["ResourceRecords"] == record["ResourceRecords"]
    # Route 53 answers with the next record, where there is none of that name.
    assert record_of(aws, ours, "a.example.com", "A") is None
    assert record_of(aws, ours, "b.example.com", "TXT") is None
    assert record_of(aws, "Z0000000000000", "b.example.com", "A") is None


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        (r"\052.example.com.", "*.example.com."),
        ("Example.COM", "example.com."),
        (r"a\055b.example.com.", "a-b.example.com."),
    ],
)
def test_octal_escapes_are_read(name: str, plain: str) -> None:
    assert unescaped(name) == plain

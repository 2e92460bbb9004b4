"""Availability zones of an account, and those in which an environment has subnets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3

from orderops.aws.client import Aws
from orderops.resources.ec2_subnet import Ec2Subnet
from orderops.resources.ec2_vpc import Ec2Vpc
from orderops.resources.ec2_zones import offered_zones, zones_by_cidr
from support.contract import Up
from support.faulty_proxy import Proxy

VPC = Ec2Vpc("orderops-dev-vpc", "10.0.0.0/16")


def test_zones_are_those_of_the_account(session: boto3.Session) -> None:
    zones = offered_zones(Aws("ap-northeast-1", session=session))

    assert zones == ["ap-northeast-1a", "ap-northeast-1c", "ap-northeast-1d"]


def test_a_local_zone_is_not_offered(proxy: Proxy, client: Callable[[str], Any]) -> None:
    listed = [zone["ZoneName"] for zone in client("ec2").describe_availability_zones()["AvailabilityZones"]]
    assert "ap-southeast-2-per-1a" in listed

    zones = offered_zones(Aws("ap-southeast-2", endpoint_url=proxy.url))

    assert zones == ["ap-southeast-2a", "ap-southeast-2b", "ap-southeast-2c"]


def test_existing_zones_are_in_the_order_of_the_addresses(aws: Aws, up: Up) -> None:
    up(
        Ec2Subnet("orderops-dev-public-a", VPC, "10.0.10.0/24", "ap-southeast-2a"),
        Ec2Subnet("orderops-dev-public-c", VPC, "10.0.9.0/24", "ap-southeast-2c"),
    )

    assert list(zones_by_cidr(aws, "dev").items()) == [
        ("10.0.9.0/24", "ap-southeast-2c"),
        ("10.0.10.0/24", "ap-southeast-2a"),
    ]
    assert zones_by_cidr(aws, "prod") == {}

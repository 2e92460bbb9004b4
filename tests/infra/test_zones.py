"""Availability zones: those that AWS offers, those that a file names, and those in which subnets already are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.config.environment import DatabaseConfig, Environment, NetworkConfig, ServiceConfig
from orderops.errors import OrderopsError
from orderops.infra.network import network_of
from orderops.infra.zones import zones_of
from support.contract import Up
from support.faulty_proxy import Proxy

A, B, C = (f"ap-southeast-2{letter}" for letter in "abc")


def declared(region: str = "ap-southeast-2", **network: Any) -> Environment:
    return Environment(
        name="dev",
        region=region,
        database=DatabaseConfig(),
        network=NetworkConfig(**network),
        services={"orders": ServiceConfig()},
    )


@pytest.mark.parametrize(
    ("region", "zones"),
    [
        ("ap-northeast-1", ("ap-northeast-1a", "ap-northeast-1c")),  # openshift/installer#1789
        ("ca-central-1", ("ca-central-1a", "ca-central-1b")),
        ("us-east-1", ("us-east-1a", "us-east-1b")),
    ],
)
def test_a_new_environment_uses_zones_that_the_region_offers(
    session: boto3.Session, region: str, zones: tuple[str, ...]
) -> None:
    assert zones_of(Aws(region, session=session), declared(region)) == zones


def test_the_third_zone_of_tokyo_is_d(session: boto3.Session) -> None:
    zones = zones_of(Aws("ap-northeast-1", session=session), declared("ap-northeast-1", zones=3))

    assert [zone[-1] for zone in zones] == ["a", "c", "d"]


@pytest.mark.parametrize("count", [2, 3])
def test_existing_subnets_keep_their_zones_in_whatever_order_aws_lists_them(aws: Aws, up: Up, count: int) -> None:
    network = network_of(declared(), (C, A))
    up(*network.public, *network.private)

    assert zones_of(aws, declared(zones=count)) == (C, A, B)[:count]


def test_a_single_subnet_of_an_interrupted_run_keeps_its_zone(aws: Aws, up: Up) -> None:
    up(network_of(declared(), (A, C)).private[1])

    assert zones_of(aws, declared()) == (A, C)


def test_fewer_zones_leave_the_first_ones_where_they_are(aws: Aws, up: Up) -> None:
    up(*network_of(declared(zones=3), (B, C, A)).isolated)

    assert zones_of(aws, declared(zones=2)) == (B, C)


def test_zones_named_in_the_file_are_used_in_its_order(aws: Aws) -> None:
    assert zones_of(aws, declared(zones=[C, A])) == (C, A)


def test_a_zone_that_the_account_does_not_have_is_refused_before_anything_is_created(session: boto3.Session) -> None:
    tokyo = declared("ap-northeast-1", zones=["ap-northeast-1a", "ap-northeast-1b"])

    with pytest.raises(OrderopsError) as refused:
        zones_of(Aws("ap-northeast-1", session=session), tokyo)

    assert refused.value.message == (
        "ap-northeast-1b is not offered to this account; "
        "ap-northeast-1 offers it ap-northeast-1a, ap-northeast-1c, ap-northeast-1d"
    )


def test_a_region_with_too_few_zones_is_refused_with_the_number_to_declare(session: boto3.Session) -> None:
    with pytest.raises(OrderopsError) as refused:
        zones_of(Aws("us-west-1", session=session), declared("us-west-1", zones=3))

    assert "us-west-1 offers 2 availability zones to this account" in refused.value.message
    assert refused.value.hint.startswith("set zones = 2 under [network] in dev.toml")


def test_a_local_zone_is_never_used(proxy: Proxy, client: Callable[[str], Any]) -> None:
    listed = [zone["ZoneName"] for zone in client("ec2").describe_availability_zones()["AvailabilityZones"]]
    assert "ap-southeast-2-per-1a" in listed

    assert zones_of(Aws("ap-southeast-2", endpoint_url=proxy.url), declared(zones=3)) == (A, B, C)


def test_names_and_routes_follow_the_zones() -> None:
    tokyo = declared("ap-northeast-1", zones=3, nat_gateways=3)
    network = network_of(tokyo, ("ap-northeast-1a", "ap-northeast-1c", "ap-northeast-1d"))

    assert [subnet.name for subnet in network.public] == [f"orderops-dev-public-{letter}" for letter in "acd"]
    assert [subnet.zone for subnet in network.isolated] == [f"ap-northeast-1{letter}" for letter in "acd"]
    names = {resource.name for resource in network.rest}
    assert {"orderops-dev-nat-a", "orderops-dev-nat-c", "orderops-dev-nat-d", "orderops-dev-private-d"} <= names

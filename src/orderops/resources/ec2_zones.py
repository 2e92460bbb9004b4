"""Availability zones: those that AWS offers to an account, and those in which an environment has its subnets."""

from __future__ import annotations

from ipaddress import IPv4Network

from orderops.aws.client import Aws, every
from orderops.aws.ownership import Ownership
from orderops.resources.ec2_subnet import Ec2Subnet

ORDINARY = "availability-zone"
"""The type of a zone in the region itself, unlike a Local Zone or a Wavelength Zone."""


def offered_zones(aws: Aws) -> list[str]:
    """Return the names of the zones that can be used now, sorted.

    An account does not have every zone of a region: ap-northeast-1 begins with a, c, d for most accounts.
    """
    filters = [{"Name": "state", "Values": ["available"]}, {"Name": "zone-type", "Values": [ORDINARY]}]
    zones = every(aws.ec2.describe_availability_zones, "AvailabilityZones", Filters=filters)
    return sorted(raw["ZoneName"] for raw in zones if raw.get("OptInStatus") != "not-opted-in")


def zones_by_cidr(aws: Aws, environment: str) -> dict[str, str]:
    """Return the zone of each existing subnet of an environment by its CIDR, in the order of the addresses."""
    found = {
        observed.properties["CidrBlock"]: observed.properties["AvailabilityZone"]
        for observed in Ec2Subnet.listing(aws, Ownership(environment))
    }
    return {cidr: found[cidr] for cidr in sorted(found, key=IPv4Network)}


def account_of(aws: Aws, environment: str) -> str:
    """Return the account that owns the subnets of an environment; "" if there are none, or of several accounts.

    It is the account of the credentials: another one, which shares a subnet, does not share its tags.
    """
    subnets = Ec2Subnet.listing(aws, Ownership(environment))
    owners = {str(observed.properties["OwnerId"]) for observed in subnets}
    return owners.pop() if len(owners) == 1 else ""

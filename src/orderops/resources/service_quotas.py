"""Quotas of an account that the first environments reach, and how much of them is in use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from orderops.aws.client import Aws, every, if_found
from orderops.aws.ownership import ENVIRONMENT, from_pairs
from orderops.frozen import Frozen

MISSING = "NoSuchResourceException"


class Use(Frozen):
    """How much of a quota is in use: by everything in the account and region, and by each environment."""

    total: float
    by_environment: Mapping[str, float]


class Quota(Frozen):
    """A quota as Service Quotas names it. `use` is None where only a running environment would show its use."""

    name: str
    service: str
    code: str
    use: Callable[[Aws], Use] | None = None

    def limit(self, aws: Aws) -> float:
        """The limit in this account and region: the applied one, else AWS's default."""
        key = {"ServiceCode": self.service, "QuotaCode": self.code}
        # A quota that was never changed has no applied value.
        response = if_found(aws.service_quotas.get_service_quota, MISSING, **key)
        response = response or aws.service_quotas.get_aws_default_service_quota(**key)
        return float(response["Quota"]["Value"])

    def increase(self, value: float, region: str) -> str:
        """The command that requests a higher limit."""
        return (
            f"aws service-quotas request-service-quota-increase --service-code {self.service}"
            f" --quota-code {self.code} --desired-value {value:g} --region {region}"
        )


def _use(found: Iterable[Mapping[str, Any]], tags: str = "Tags") -> Use:
    owners = [from_pairs(raw.get(tags)).get(ENVIRONMENT, "") for raw in found]
    return Use(len(owners), Counter(filter(None, owners)))


def _addresses(aws: Aws) -> Use:
    return _use(aws.ec2.describe_addresses()["Addresses"])


def _vpcs(aws: Aws) -> Use:
    return _use(every(aws.ec2.describe_vpcs, "Vpcs"))


def _databases(aws: Aws) -> Use:
    return _use(every(aws.rds.describe_db_instances, "DBInstances"), "TagList")


def _gateways(aws: Aws) -> Use:
    """Use in the zone that has most gateways; an environment with any counts as one, since each zone gets one."""
    alive = [{"Name": "state", "Values": ["pending", "available"]}]
    gateways = list(every(aws.ec2.describe_nat_gateways, "NatGateways", Filter=alive))
    zones = {raw["SubnetId"]: raw["AvailabilityZone"] for raw in every(aws.ec2.describe_subnets, "Subnets")}
    in_zones = Counter(zones.get(raw.get("SubnetId", ""), "") for raw in gateways)
    owners = _use(gateways).by_environment
    return Use(max(in_zones.values(), default=0), dict.fromkeys(owners, 1))


# Codes: docs.aws.amazon.com/general, "Service endpoints and quotas" of EC2, VPC, RDS and Fargate.
ADDRESSES = Quota("elastic IP addresses", "ec2", "L-0263D0A3", _addresses)
VPCS = Quota("VPCs", "vpc", "L-F678F1CE", _vpcs)
GATEWAYS = Quota("NAT gateways in a zone", "vpc", "L-FE5A380F", _gateways)
DATABASES = Quota("DB instances", "rds", "L-7B6409FD", _databases)
VCPUS = Quota("Fargate vCPUs", "fargate", "L-3032A538")

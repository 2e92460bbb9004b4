"""What a release needs, looked at before anything changes: values of secrets, addresses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from orderops.aws.client import Aws, every, if_found

CURRENT = "AWSCURRENT"


def secrets_without_value(aws: Aws, arns: Mapping[str, str]) -> Iterator[str]:
    """Yield the names of those secrets that have no value; `arns` by name."""
    for name, arn in arns.items():
        raw = if_found(aws.secretsmanager.describe_secret, "ResourceNotFoundException", SecretId=arn)
        if raw is None or not any(CURRENT in stages for stages in raw.get("VersionIdsToStages", {}).values()):
            yield name


def free_addresses(aws: Aws, subnets: Sequence[str]) -> int:
    """How many addresses are left in these subnets together."""
    described = every(aws.ec2.describe_subnets, "Subnets", SubnetIds=list(subnets))
    return sum(int(subnet.get("AvailableIpAddressCount", 0)) for subnet in described)

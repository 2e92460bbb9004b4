"""How much of each quota is in use: by the whole account, and by each environment."""

from __future__ import annotations

from orderops.aws.client import Aws
from orderops.resources.service_quotas import ADDRESSES, DATABASES, GATEWAYS, VPCS

OWNER = "orderops:environment"


def tagged(kind: str, environment: str) -> list[dict[str, object]]:
    return [{"ResourceType": kind, "Tags": [{"Key": OWNER, "Value": environment}]}]


def test_addresses_and_vpcs_count_for_the_environment_in_their_tags(aws: Aws) -> None:
    aws.ec2.allocate_address(Domain="vpc")
    aws.ec2.allocate_address(Domain="vpc", TagSpecifications=tagged("elastic-ip", "dev"))
    aws.ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=tagged("vpc", "prod"))

    assert ADDRESSES.use and VPCS.use
    addresses, vpcs = ADDRESSES.use(aws), VPCS.use(aws)

    assert (addresses.total, dict(addresses.by_environment)) == (2, {"dev": 1})
    # With the default VPC that every account has.
    assert (vpcs.total, dict(vpcs.by_environment)) == (2, {"prod": 1})


def test_the_zone_with_most_gateways_counts_and_deleted_ones_do_not(aws: Aws) -> None:
    vpc = aws.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    for index, (zone, environments) in enumerate({"a": ["dev", "staging"], "b": ["staging"]}.items()):
        subnet = aws.ec2.create_subnet(
            VpcId=vpc, CidrBlock=f"10.0.{index}.0/24", AvailabilityZone=f"ap-southeast-2{zone}"
        )["Subnet"]["SubnetId"]
        for environment in environments:
            aws.ec2.create_nat_gateway(
                SubnetId=subnet,
                AllocationId=aws.ec2.allocate_address(Domain="vpc")["AllocationId"],
                TagSpecifications=tagged("natgateway", environment),
            )
    gone = aws.ec2.create_nat_gateway(SubnetId=subnet, ConnectivityType="private")["NatGateway"]["NatGatewayId"]
    aws.ec2.delete_nat_gateway(NatGatewayId=gone)

    assert GATEWAYS.use
    use = GATEWAYS.use(aws)

    assert (use.total, dict(use.by_environment)) == (2, {"dev": 1, "staging": 1})


def test_database_instances_count_for_the_environment_in_their_tags(aws: Aws) -> None:
    for name, tags in {"other": [], "orders": [{"Key": OWNER, "Value": "dev"}]}.items():
        aws.rds.create_db_instance(
            DBInstanceIdentifier=name,
            DBInstanceClass="db.t3.micro",
            Engine="postgres",
            AllocatedStorage=20,
            MasterUsername="boss",
            ManageMasterUserPassword=True,
            Tags=tags,
        )

    assert DATABASES.use
    use = DATABASES.use(aws)

    assert (use.total, dict(use.by_environment)) == (2, {"dev": 1})


def test_a_higher_limit_is_requested_with_the_codes_of_service_quotas() -> None:
    assert ADDRESSES.increase(6, "eu-west-1") == (
        "aws service-quotas request-service-quota-increase --service-code ec2 --quota-code L-0263D0A3"
        " --desired-value 6 --region eu-west-1"
    )

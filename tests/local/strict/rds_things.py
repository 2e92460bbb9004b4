"""What the tests of the strict RDS make and wait for."""

from __future__ import annotations

from typing import Any

from local.laptop import until
from local.strict.conftest import Client

SMALL: dict[str, Any] = {
    "DBInstanceClass": "db.t3.micro",
    "Engine": "postgres",
    "EngineVersion": "16.4",
    "MasterUsername": "orders_admin",
    "MasterUserPassword": "chosen-by-hand",
    "AllocatedStorage": 20,
    "StorageType": "gp3",
    "BackupRetentionPeriod": 7,
}


def told(client: Client, name: str) -> dict[str, Any]:
    """What DescribeDBInstances says of it."""
    found: dict[str, Any] = client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    return found


def wait_for(client: Client, name: str, status: str = "available") -> dict[str, Any]:
    until(lambda: told(client, name)["DBInstanceStatus"] == status, what=f"{name} is {status}")
    return told(client, name)


def available(client: Client, name: str, **settings: Any) -> dict[str, Any]:
    """An instance that is made."""
    client("rds").create_db_instance(DBInstanceIdentifier=name, **{**SMALL, **settings})
    return wait_for(client, name)


def restorable(client: Client, name: str) -> dict[str, Any]:
    """The instance, with a first time to which it can be restored."""
    until(lambda: "LatestRestorableTime" in told(client, name), what=f"{name} can be restored")
    return told(client, name)


def subnets(client: Client, zones: str = "ab") -> tuple[str, list[str]]:
    """A VPC, and a subnet of it in each zone."""
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    until(lambda: ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["State"] == "available", what="the VPC")
    made = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{n}.0/24", AvailabilityZone=f"ap-southeast-2{zone}")
        for n, zone in enumerate(zones)
    ]
    return vpc, [each["Subnet"]["SubnetId"] for each in made]


def subnet_group(client: Client, name: str, zones: str = "ab") -> str:
    """A subnet group over these zones, and the VPC that it is in."""
    vpc, ids = subnets(client, zones)
    client("rds").create_db_subnet_group(DBSubnetGroupName=name, DBSubnetGroupDescription="of a test", SubnetIds=ids)
    return vpc

"""Database instances for tests of the strict RDS."""

from __future__ import annotations

import time
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from support.laptop import until
from support.strict_clients import Client

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


def describe(client: Client, name: str) -> dict[str, Any]:
    """Return the instance from DescribeDBInstances."""
    instance: dict[str, Any] = client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    return instance


def proceed(client: Client, name: str) -> dict[str, Any]:
    """Move the instance to its next state and describe it."""
    instance = backend().databases[name]
    instance.stages[0] = (time.time(), instance.stages[0][1])
    return describe(client, name)


def settled(client: Client, name: str, status: str = "available") -> dict[str, Any]:
    """Move the instance through all its states and check the last one."""
    while backend().databases[name].stages:
        proceed(client, name)
    instance = describe(client, name)
    assert instance["DBInstanceStatus"] == status
    return instance


def gone(client: Client, name: str) -> None:
    """Complete a deletion."""
    instance = backend().databases[name]
    instance.stages[0] = (time.time(), instance.stages[0][1])
    assert not client("rds").describe_db_instances()["DBInstances"]


def taken(client: Client, name: str) -> None:
    """Complete a snapshot."""
    backend().database_snapshots[name].available_from = time.time()
    assert client("rds").describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"][0]["Status"] == "available"


def available(client: Client, name: str, **settings: Any) -> dict[str, Any]:
    """Create an instance and make it available."""
    client("rds").create_db_instance(DBInstanceIdentifier=name, **{**SMALL, **settings})
    return settled(client, name)


def backend() -> Any:
    """Return moto's RDS backend."""
    return get_backend("rds")[DEFAULT_ACCOUNT_ID]["ap-southeast-2"]


def restorable(client: Client, name: str) -> dict[str, Any]:
    """Wait until the instance has a restorable time, and describe it."""
    until(lambda: "LatestRestorableTime" in describe(client, name), what=f"{name} can be restored")
    return describe(client, name)


def subnets(client: Client, zones: str = "ab") -> tuple[str, list[str]]:
    """Create a VPC with a subnet in each zone, and return their ids."""
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    until(lambda: ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["State"] == "available", what="the VPC")
    subnets_made = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{n}.0/24", AvailabilityZone=f"ap-southeast-2{zone}")
        for n, zone in enumerate(zones)
    ]
    return vpc, [subnet["Subnet"]["SubnetId"] for subnet in subnets_made]


def subnet_group(client: Client, name: str, zones: str = "ab") -> str:
    """Create a subnet group over these zones, and return the id of its VPC."""
    vpc, ids = subnets(client, zones)
    client("rds").create_db_subnet_group(DBSubnetGroupName=name, DBSubnetGroupDescription="of a test", SubnetIds=ids)
    return vpc

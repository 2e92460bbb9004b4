"""A network for tests of the strict emulator."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from support.strict_clients import Client

ANYWHERE = "0.0.0.0/0"


def until(condition: Callable[[], Any], timeout: float = 10) -> Any:
    """Call a function until it returns a true value, and return that. Fails after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {timeout} s"
        time.sleep(0.02)
    return result


class Network:
    """VPC with a public subnet in each of two zones, and an internet gateway, attached by default."""

    def __init__(self, client: Client, *, attached: bool = True) -> None:
        self.ec2 = ec2 = client("ec2")
        self.vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        self.subnets = [
            ec2.create_subnet(VpcId=self.vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=f"ap-southeast-2{zone}")[
                "Subnet"
            ]["SubnetId"]
            for n, zone in enumerate("ab")
        ]
        self.gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        if attached:
            ec2.attach_internet_gateway(InternetGatewayId=self.gateway, VpcId=self.vpc)

    def group(self, name: str) -> str:
        response = self.ec2.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)
        return str(response["GroupId"])

    def table(self) -> str:
        return str(self.ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"])


def rule(group: str, description: str = "") -> dict[str, Any]:
    """Return a rule that opens port 80 to a group."""
    extra = {"Description": description} if description else {}
    return {
        "IpProtocol": "tcp",
        "FromPort": 80,
        "ToPort": 80,
        "UserIdGroupPairs": [{"GroupId": group, **extra}],
    }

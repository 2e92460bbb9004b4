"""A network as tests of the strict emulator want it, made with plain moto."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from support.strict_clients import Client

ANYWHERE = "0.0.0.0/0"


def until(found: Callable[[], Any], timeout: float = 10) -> Any:
    """Ask again until the answer is true."""
    deadline = time.monotonic() + timeout
    while not (answer := found()):
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)
    return answer


class Network:
    """A VPC with a public subnet in each of two zones; an internet gateway is attached unless it is said otherwise."""

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
        made = self.ec2.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)
        return str(made["GroupId"])

    def table(self) -> str:
        return str(self.ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"])


def rule(group: str, words: str = "") -> dict[str, Any]:
    """Port 80 open for a group."""
    described = {"Description": words} if words else {}
    return {
        "IpProtocol": "tcp",
        "FromPort": 80,
        "ToPort": 80,
        "UserIdGroupPairs": [{"GroupId": group, **described}],
    }

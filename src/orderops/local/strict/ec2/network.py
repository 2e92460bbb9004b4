"""VPCs that are pending at first, and gateways, subnets and VPCs that are kept while something needs them."""

from __future__ import annotations

import re
import time
from dataclasses import replace

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.interfaces import backend, interfaces

IDENTIFIER = re.compile(rb"<vpcId>(vpc-\w+)<")


def take_part(emulator: Emulator, pace: Delays) -> None:
    """Let a VPC take its time, and refuse to take away what is in use."""

    def created(call: Request, answer: Response) -> Response:
        return _created(call, answer, time.time() + pace.network)

    emulator.on_after("ec2", "CreateVpc", created)
    emulator.on_before("ec2", "DescribeVpcs", _settle)
    emulator.on_before("ec2", "DeleteVpc", _vpc_is_free)
    emulator.on_before("ec2", "DeleteSubnet", _subnet_is_free)
    emulator.on_before("ec2", "AttachInternetGateway", _has_no_gateway)
    emulator.on_before("ec2", "DetachInternetGateway", _maps_no_address)


def _created(call: Request, answer: Response, until: float) -> Response:
    found = IDENTIFIER.search(answer.body)
    if not found:
        return answer
    vpc = backend("ec2", call.region).vpcs[found.group(1).decode()]
    vpc.state, vpc.until = "pending", until
    return replace(answer, body=answer.body.replace(b"<state>available</state>", b"<state>pending</state>"))


def _settle(call: Request) -> None:
    for vpc in backend("ec2", call.region).vpcs.values():
        if vpc.state == "pending" and vpc.until <= time.time():
            vpc.state = "available"


def _vpc_is_free(call: Request) -> None:
    name, ec2 = call.form.get("VpcId", ""), backend("ec2", call.region)
    attached = any(one.vpc and one.vpc.id == name for one in ec2.internet_gateways.values())
    groups = any(not one.is_default for one in ec2.groups.get(name, {}).values())
    endpoints = any(one.vpc_id == name and one.state != "deleted" for one in ec2.vpc_end_points.values())
    if attached or groups or endpoints:
        raise ApiError("DependencyViolation", f"The vpc '{name}' has dependencies and cannot be deleted.")


def _subnet_is_free(call: Request) -> None:
    name = call.form.get("SubnetId", "")
    if any(one.subnet == name for one in interfaces(call.region)):
        raise ApiError("DependencyViolation", f"The subnet '{name}' has dependencies and cannot be deleted.")


def _has_no_gateway(call: Request) -> None:
    name, wanted = call.form.get("VpcId", ""), call.form.get("InternetGatewayId", "")
    for one in backend("ec2", call.region).internet_gateways.values():
        if one.id != wanted and one.vpc and one.vpc.id == name:
            raise ApiError("InvalidParameterValue", f"Network {name} already has an internet gateway attached")


def _maps_no_address(call: Request) -> None:
    name, ec2 = call.form.get("VpcId", ""), backend("ec2", call.region)
    gateway = ec2.internet_gateways.get(call.form.get("InternetGatewayId", ""))
    attached = gateway and gateway.vpc and gateway.vpc.id == name
    if attached and any(one.public and one.vpc == name for one in interfaces(call.region)):
        raise ApiError(
            "DependencyViolation",
            f"Network {name} has some mapped public address(es). "
            "Please unmap those public address(es) before detaching the gateway.",
        )

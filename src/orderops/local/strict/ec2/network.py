"""VPCs that are pending at first; gateways, subnets and VPCs that are not deleted while in use."""

from __future__ import annotations

import re
import time
from dataclasses import replace

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.interfaces import backend, interfaces

IDENTIFIER = re.compile(rb"<vpcId>(vpc-\w+)<")


def register(emulator: Emulator, delays: Delays) -> None:
    """Let a VPC be pending, and refuse to delete what is in use."""

    def created(request: Request, response: Response) -> Response:
        return _created(request, response, time.time() + delays.network)

    # moto reports a VPC as available at once.
    emulator.on_after("ec2", "CreateVpc", created)
    emulator.on_before("ec2", "DescribeVpcs", _advance)
    emulator.on_before("ec2", "DeleteVpc", _check_vpc_unused)
    emulator.on_before("ec2", "DeleteSubnet", _check_subnet_unused)
    emulator.on_before("ec2", "AttachInternetGateway", _check_no_gateway)
    # AWS refuses while an interface in the VPC has a public address, such as a NAT gateway or a public balancer.
    emulator.on_before("ec2", "DetachInternetGateway", _check_no_public_address)


def _created(request: Request, response: Response, until: float) -> Response:
    found = IDENTIFIER.search(response.body)
    if not found:
        return response
    vpc = backend("ec2", request.region).vpcs[found.group(1).decode()]
    vpc.state, vpc.until = "pending", until
    return replace(response, body=response.body.replace(b"<state>available</state>", b"<state>pending</state>"))


def _advance(request: Request) -> None:
    for vpc in backend("ec2", request.region).vpcs.values():
        if vpc.state == "pending" and vpc.until <= time.time():
            vpc.state = "available"


def _check_vpc_unused(request: Request) -> None:
    name, ec2 = request.form.get("VpcId", ""), backend("ec2", request.region)
    attached = any(item.vpc and item.vpc.id == name for item in ec2.internet_gateways.values())
    groups = any(not item.is_default for item in ec2.groups.get(name, {}).values())
    endpoints = any(item.vpc_id == name and item.state != "deleted" for item in ec2.vpc_end_points.values())
    if attached or groups or endpoints:
        raise ApiError("DependencyViolation", f"The vpc '{name}' has dependencies and cannot be deleted.")


def _check_subnet_unused(request: Request) -> None:
    name = request.form.get("SubnetId", "")
    if any(interface.subnet == name for interface in interfaces(request.region)):
        raise ApiError("DependencyViolation", f"The subnet '{name}' has dependencies and cannot be deleted.")


def _check_no_gateway(request: Request) -> None:
    name, gateway_id = request.form.get("VpcId", ""), request.form.get("InternetGatewayId", "")
    for gateway in backend("ec2", request.region).internet_gateways.values():
        if gateway.id != gateway_id and gateway.vpc and gateway.vpc.id == name:
            raise ApiError("InvalidParameterValue", f"Network {name} already has an internet gateway attached")


def _check_no_public_address(request: Request) -> None:
    name, ec2 = request.form.get("VpcId", ""), backend("ec2", request.region)
    gateway = ec2.internet_gateways.get(request.form.get("InternetGatewayId", ""))
    attached = gateway and gateway.vpc and gateway.vpc.id == name
    if attached and any(interface.public and interface.vpc == name for interface in interfaces(request.region)):
        raise ApiError(
            "DependencyViolation",
            f"Network {name} has some mapped public address(es). "
            "Please unmap those public address(es) before detaching the gateway.",
        )

"""NAT gateways that come and go, and the addresses they hold."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import Any

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.interfaces import backend

IDENTIFIER = re.compile(rb"<natGatewayId>(nat-\w+)<")
SHOWN_WHEN_OVER = 3600.0
LOOKS = (
    "CreateNatGateway",
    "DescribeNatGateways",
    "DeleteNatGateway",
    "DescribeAddresses",
    "ReleaseAddress",
    "DescribeNetworkInterfaces",
    "DetachInternetGateway",
    "DeleteSubnet",
    "DeleteSecurityGroup",
    "DeleteVpc",
    "DescribeRouteTables",
    "CreateRoute",
    "ReplaceRoute",
)


def take_part(emulator: Emulator, pace: Delays) -> None:
    """Every call that could tell whether a gateway is ready, or gone, looks at the clock first."""

    def created(call: Request, answer: Response) -> Response:
        return _created(call, answer, time.time() + pace.network)

    def deleted(call: Request, _answer: Response) -> None:
        _deleted(call, time.time() + pace.network)

    for action in LOOKS:
        emulator.on_before("ec2", action, lambda call: _settle(backend("ec2", call.region), time.time()))
    emulator.on_after("ec2", "CreateNatGateway", created)
    emulator.on_before("ec2", "DeleteNatGateway", _there)
    emulator.on_after("ec2", "DeleteNatGateway", deleted)
    emulator.on_before("ec2", "ReleaseAddress", _released)


def _created(call: Request, answer: Response, until: float) -> Response:
    found = IDENTIFIER.search(answer.body)
    if not found:
        return answer
    ec2 = backend("ec2", call.region)
    gateway = ec2.nat_gateways[found.group(1).decode()]
    gateway.state, gateway.until = "pending", until
    attached = any(one.vpc and one.vpc.id == gateway.vpc_id for one in ec2.internet_gateways.values())
    gateway.lacks_internet = gateway.connectivity_type != "private" and not attached
    return replace(answer, body=answer.body.replace(b"<state>available</state>", b"<state>pending</state>"))


def _there(call: Request) -> None:
    name = call.form.get("NatGatewayId", "")
    gateway = backend("ec2", call.region).nat_gateways.get(name)
    if gateway is None or gateway.state == "deleted":
        raise ApiError("NatGatewayNotFound", f"NAT gateway {name} was not found")


def _deleted(call: Request, until: float) -> None:
    gateway = backend("ec2", call.region).nat_gateways[call.form["NatGatewayId"]]
    gateway.state = "deleting"
    gateway.until = gateway.gone_at = getattr(gateway, "gone_at", until)


def _released(call: Request) -> None:
    for address in backend("ec2", call.region).addresses:
        asked = address.allocation_id == call.form.get("AllocationId") or address.public_ip == call.form.get("PublicIp")
        if asked and address.association_id:
            raise ApiError("InvalidIPAddress.InUse", f"Address {address.public_ip} is in use.")


def _settle(ec2: Any, now: float) -> None:
    """What was pending or going and had its time is there, has failed, or is gone."""
    for gateway in list(ec2.nat_gateways.values()):
        until = getattr(gateway, "until", None)
        if until is None or until > now:
            continue
        if gateway.state == "pending" and not gateway.lacks_internet:
            gateway.state, gateway.until = "available", None
        elif gateway.state == "pending":
            gateway.state, gateway.until = "failed", now + SHOWN_WHEN_OVER
            gateway.failure_code = "Gateway.NotAttached"
            gateway.failure_message = f"Network {gateway.vpc_id} has no Internet gateway attached"
            _free(ec2, gateway)
        elif gateway.state == "deleting":
            gateway.state, gateway.until = "deleted", now + SHOWN_WHEN_OVER
            _free(ec2, gateway)
        else:
            del ec2.nat_gateways[gateway.id]


def _free(ec2: Any, gateway: Any) -> None:
    """Give back its address and its interface."""
    for address in ec2.addresses:
        if address.eni is gateway._eni or (address.eni and address.eni.id == gateway._eni.id):
            ec2.disassociate_address(address=address.public_ip)
    ec2.enis.pop(gateway._eni.id, None)

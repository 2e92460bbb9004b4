"""NAT gateways: pending, available, failed and deleted, and the addresses they hold."""

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
# Deleted and failed gateways stay visible for about an hour.
SHOWN_SECONDS = 3600.0
ADVANCING_ACTIONS = (
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


def register(emulator: Emulator, delays: Delays) -> None:
    """Advance gateway states before every request that depends on them."""

    def created(request: Request, response: Response) -> Response:
        return _created(request, response, time.time() + delays.network)

    def deleted(request: Request, _answer: Response) -> None:
        _deleted(request, time.time() + delays.network)

    for action in ADVANCING_ACTIONS:
        emulator.on_before("ec2", action, lambda request: _advance(backend("ec2", request.region), time.time()))
    emulator.on_after("ec2", "CreateNatGateway", created)
    emulator.on_before("ec2", "DeleteNatGateway", _check_exists)
    emulator.on_after("ec2", "DeleteNatGateway", deleted)
    emulator.on_before("ec2", "ReleaseAddress", _check_address_free)


def _created(request: Request, response: Response, until: float) -> Response:
    found = IDENTIFIER.search(response.body)
    if not found:
        return response
    ec2 = backend("ec2", request.region)
    gateway = ec2.nat_gateways[found.group(1).decode()]
    gateway.state, gateway.until = "pending", until
    attached = any(
        internet_gateway.vpc and internet_gateway.vpc.id == gateway.vpc_id
        for internet_gateway in ec2.internet_gateways.values()
    )
    # Decided at creation: AWS does not retry when an internet gateway is attached later.
    gateway.lacks_internet = gateway.connectivity_type != "private" and not attached
    return replace(response, body=response.body.replace(b"<state>available</state>", b"<state>pending</state>"))


def _check_exists(request: Request) -> None:
    name = request.form.get("NatGatewayId", "")
    gateway = backend("ec2", request.region).nat_gateways.get(name)
    if gateway is None or gateway.state == "deleted":
        raise ApiError("NatGatewayNotFound", f"NAT gateway {name} was not found")


def _deleted(request: Request, until: float) -> None:
    gateway = backend("ec2", request.region).nat_gateways[request.form["NatGatewayId"]]
    gateway.state = "deleting"
    gateway.until = gateway.gone_at = getattr(gateway, "gone_at", until)


def _check_address_free(request: Request) -> None:
    for address in backend("ec2", request.region).addresses:
        matches = address.allocation_id == request.form.get("AllocationId") or address.public_ip == request.form.get(
            "PublicIp"
        )
        # moto releases an address that a gateway still uses.
        if matches and address.association_id:
            raise ApiError("InvalidIPAddress.InUse", f"Address {address.public_ip} is in use.")


def _advance(ec2: Any, now: float) -> None:
    """Move gateways to their next state once its time has come."""
    for gateway in list(ec2.nat_gateways.values()):
        until = getattr(gateway, "until", None)
        if until is None or until > now:
            continue
        if gateway.state == "pending" and not gateway.lacks_internet:
            gateway.state, gateway.until = "available", None
        elif gateway.state == "pending":
            gateway.state, gateway.until = "failed", now + SHOWN_SECONDS
            gateway.failure_code = "Gateway.NotAttached"
            gateway.failure_message = f"Network {gateway.vpc_id} has no Internet gateway attached"
            _release(ec2, gateway)
        elif gateway.state == "deleting":
            gateway.state, gateway.until = "deleted", now + SHOWN_SECONDS
            _release(ec2, gateway)
        else:
            del ec2.nat_gateways[gateway.id]


def _release(ec2: Any, gateway: Any) -> None:
    """Release the gateway's address and interface."""
    for address in ec2.addresses:
        if address.eni is gateway._eni or (address.eni and address.eni.id == gateway._eni.id):
            ec2.disassociate_address(address=address.public_ip)
    ec2.enis.pop(gateway._eni.id, None)

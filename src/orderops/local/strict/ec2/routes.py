"""Routes: only to existing targets, and `blackhole` after the target is deleted."""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.interfaces import backend
from orderops.local.strict.xml import edited, parents_with, set_child

GONE_STATES = ("deleted", "failed")


def register(emulator: Emulator, _delays: Delays) -> None:
    """Reject routes to missing targets, and mark black holes."""
    for action in ("CreateRoute", "ReplaceRoute"):
        emulator.on_before("ec2", action, _check_target)
    # A subnet has one route table on AWS; moto adds the second.
    emulator.on_before("ec2", "AssociateRouteTable", _check_association)
    emulator.on_after("ec2", "DescribeRouteTables", _mark_black_holes)


def _check_target(request: Request) -> None:
    ec2, form = backend("ec2", request.region), request.form
    if (nat := form.get("NatGatewayId")) and _gone(ec2, nat):
        raise ApiError("InvalidNatGatewayID.NotFound", f"The natGateway ID '{nat}' does not exist")
    gateway, table = ec2.internet_gateways.get(form.get("GatewayId")), ec2.route_tables.get(form.get("RouteTableId"))
    if gateway and table and not (gateway.vpc and gateway.vpc.id == table.vpc_id):
        raise ApiError(
            "InvalidParameterValue",
            f"route table {table.id} and network gateway {gateway.id} belong to different networks",
        )


def _check_association(request: Request) -> None:
    subnet, table_id = request.form.get("SubnetId"), request.form.get("RouteTableId")
    for table in backend("ec2", request.region).route_tables.values():
        if subnet and table.id != table_id and subnet in table._associations.values():
            raise ApiError(
                "Resource.AlreadyAssociated",
                f"the specified association for route table {table_id} conflicts with an existing association",
            )


def _mark_black_holes(request: Request, response: Response) -> Response | None:
    ec2 = backend("ec2", request.region)
    routes = [route for table in ec2.route_tables.values() for route in table.routes]
    gone = {route.nat_gateway.id for route in routes if route.nat_gateway and _gone(ec2, route.nat_gateway.id)}
    gone |= {route.gateway.id for route in routes if route.gateway and _detached(ec2, route.gateway)}
    if not gone:
        return None

    def mark(root: Element) -> None:
        for name in ("natGatewayId", "gatewayId"):
            for route in parents_with(root, name):
                if route.findtext(name) in gone and route.find("state") is not None:
                    set_child(route, "state", "blackhole")

    return edited(response, mark)


def _gone(ec2: Any, nat: str) -> bool:
    return nat not in ec2.nat_gateways or ec2.nat_gateways[nat].state in GONE_STATES


def _detached(ec2: Any, gateway: Any) -> bool:
    if not gateway.id.startswith("igw-"):
        return False
    return gateway.id not in ec2.internet_gateways or not gateway.vpc

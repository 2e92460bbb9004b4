"""Routes: only to what is there, and a black hole when it goes."""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.interfaces import backend
from orderops.local.strict.xml import edited, having, put

OVER = ("deleted", "failed")


def take_part(emulator: Emulator, _pace: Delays) -> None:
    """Refuse routes to nowhere, and show those that lead nowhere now."""
    for action in ("CreateRoute", "ReplaceRoute"):
        emulator.on_before("ec2", action, _leads_somewhere)
    emulator.on_before("ec2", "AssociateRouteTable", _of_no_other_table)
    emulator.on_after("ec2", "DescribeRouteTables", _black_holes)


def _leads_somewhere(call: Request) -> None:
    ec2, asked = backend("ec2", call.region), call.form
    if (nat := asked.get("NatGatewayId")) and _gone(ec2, nat):
        raise ApiError("InvalidNatGatewayID.NotFound", f"The natGateway ID '{nat}' does not exist")
    gateway, table = ec2.internet_gateways.get(asked.get("GatewayId")), ec2.route_tables.get(asked.get("RouteTableId"))
    if gateway and table and not (gateway.vpc and gateway.vpc.id == table.vpc_id):
        raise ApiError(
            "InvalidParameterValue",
            f"route table {table.id} and network gateway {gateway.id} belong to different networks",
        )


def _of_no_other_table(call: Request) -> None:
    subnet, wanted = call.form.get("SubnetId"), call.form.get("RouteTableId")
    for table in backend("ec2", call.region).route_tables.values():
        if subnet and table.id != wanted and subnet in table._associations.values():
            raise ApiError(
                "Resource.AlreadyAssociated",
                f"the specified association for route table {wanted} conflicts with an existing association",
            )


def _black_holes(call: Request, answer: Response) -> Response | None:
    ec2 = backend("ec2", call.region)
    routes = [route for table in ec2.route_tables.values() for route in table.routes]
    gone = {route.nat_gateway.id for route in routes if route.nat_gateway and _gone(ec2, route.nat_gateway.id)}
    gone |= {route.gateway.id for route in routes if route.gateway and _detached(ec2, route.gateway)}
    if not gone:
        return None

    def mark(root: Element) -> None:
        for name in ("natGatewayId", "gatewayId"):
            for route in having(root, name):
                if route.findtext(name) in gone and route.find("state") is not None:
                    put(route, "state", "blackhole")

    return edited(answer, mark)


def _gone(ec2: Any, nat: str) -> bool:
    return nat not in ec2.nat_gateways or ec2.nat_gateways[nat].state in OVER


def _detached(ec2: Any, gateway: Any) -> bool:
    if not gateway.id.startswith("igw-"):
        return False
    return gateway.id not in ec2.internet_gateways or not gateway.vpc

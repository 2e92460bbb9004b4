from __future__ import annotations

from typing import Any

import pytest

from support.emulated_network import ANYWHERE, Network, until
from support.strict_clients import Client, Refused

# End to end.
pytestmark = pytest.mark.slow


def make(client: Client, network: Network, address: str) -> dict[str, Any]:
    created = client("ec2").create_nat_gateway(SubnetId=network.subnets[0], AllocationId=address)
    return dict(created["NatGateway"])


def address_of(client: Client) -> str:
    return str(client("ec2").allocate_address(Domain="vpc")["AllocationId"])


def state(client: Client, gateway: str) -> str:
    return str(client("ec2").describe_nat_gateways(NatGatewayIds=[gateway])["NatGateways"][0]["State"])


def ready(client: Client, network: Network, address: str) -> str:
    gateway = str(make(client, network, address)["NatGatewayId"])
    until(lambda: state(client, gateway) == "available")
    return gateway


def test_a_nat_gateway_is_pending_before_it_is_available(moto: Client, strict: Client) -> None:
    network = Network(moto)
    assert make(moto, network, address_of(moto))["State"] == "available"

    created = make(strict, network, address_of(strict))

    assert created["State"] == "pending"
    assert state(strict, created["NatGatewayId"]) == "pending"
    until(lambda: state(strict, created["NatGatewayId"]) == "available")


def test_a_nat_gateway_fails_in_a_network_without_internet(moto: Client, strict: Client) -> None:
    network = Network(moto, attached=False)
    assert make(moto, network, address_of(moto))["State"] == "available"
    address = address_of(strict)

    created = make(strict, network, address)

    until(lambda: state(strict, created["NatGatewayId"]) == "failed")
    gateway = strict("ec2").describe_nat_gateways(NatGatewayIds=[created["NatGatewayId"]])["NatGateways"][0]
    assert gateway["FailureCode"] == "Gateway.NotAttached"
    assert network.vpc in gateway["FailureMessage"]
    strict("ec2").release_address(AllocationId=address)


def test_a_nat_gateway_keeps_its_address_while_deleting(moto: Client, strict: Client, refused: Refused) -> None:
    network, first_address = Network(moto), address_of(moto)
    plain_gateway = str(make(moto, network, first_address)["NatGatewayId"])
    moto("ec2").release_address(AllocationId=first_address)  # while the gateway uses it
    moto("ec2").delete_nat_gateway(NatGatewayId=plain_gateway)
    assert state(moto, plain_gateway) == "deleted"

    address = address_of(strict)
    gateway = ready(strict, network, address)
    with refused("InvalidIPAddress.InUse"):
        strict("ec2").release_address(AllocationId=address)
    strict("ec2").delete_nat_gateway(NatGatewayId=gateway)

    assert state(strict, gateway) == "deleting"
    with refused("InvalidIPAddress.InUse"):
        strict("ec2").release_address(AllocationId=address)
    until(lambda: state(strict, gateway) == "deleted")
    assert "AssociationId" not in strict("ec2").describe_addresses(AllocationIds=[address])["Addresses"][0]
    strict("ec2").release_address(AllocationId=address)
    with refused("NatGatewayNotFound"):
        strict("ec2").delete_nat_gateway(NatGatewayId=gateway)
    with refused("NatGatewayNotFound"):
        strict("ec2").delete_nat_gateway(NatGatewayId="nat-0123456789abcdef0")


def test_the_network_of_a_nat_gateway_is_not_deleted(moto: Client, strict: Client, refused: Refused) -> None:
    other = Network(moto)
    make(moto, other, address_of(moto))
    moto("ec2").detach_internet_gateway(InternetGatewayId=other.gateway, VpcId=other.vpc)
    moto("ec2").delete_subnet(SubnetId=other.subnets[0])

    network, ec2 = Network(moto), strict("ec2")
    gateway = ready(strict, network, address_of(strict))
    with refused("DependencyViolation"):
        ec2.detach_internet_gateway(InternetGatewayId=network.gateway, VpcId=network.vpc)
    with refused("DependencyViolation"):
        ec2.delete_subnet(SubnetId=network.subnets[0])

    ec2.delete_nat_gateway(NatGatewayId=gateway)
    until(lambda: state(strict, gateway) == "deleted")
    ec2.detach_internet_gateway(InternetGatewayId=network.gateway, VpcId=network.vpc)
    ec2.delete_subnet(SubnetId=network.subnets[0])


def test_a_route_through_a_deleted_gateway_is_a_black_hole(moto: Client, strict: Client, refused: Refused) -> None:
    network, ec2 = Network(moto), strict("ec2")
    table, gateway = network.table(), ready(strict, network, address_of(strict))
    ec2.create_route(RouteTableId=table, DestinationCidrBlock=ANYWHERE, NatGatewayId=gateway)

    ec2.delete_nat_gateway(NatGatewayId=gateway)
    until(lambda: state(strict, gateway) == "deleted")

    def states(client: Client) -> list[str]:
        routes = client("ec2").describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Routes"]
        return [route["State"] for route in routes]

    assert states(moto) == ["active", "active"]
    assert states(strict) == ["active", "blackhole"]
    with refused("InvalidNatGatewayID.NotFound"):
        ec2.replace_route(RouteTableId=table, DestinationCidrBlock=ANYWHERE, NatGatewayId=gateway)

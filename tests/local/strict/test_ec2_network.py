from __future__ import annotations

from support.emulated_network import ANYWHERE, Network, until
from support.strict_clients import Client, Refused


def test_a_new_vpc_is_pending(moto: Client, strict: Client) -> None:
    assert moto("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["State"] == "available"

    vpc = strict("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]

    def state() -> str:
        return str(strict("ec2").describe_vpcs(VpcIds=[vpc["VpcId"]])["Vpcs"][0]["State"])

    assert vpc["State"] == "pending"
    assert state() == "pending"
    until(lambda: state() == "available")


def test_a_vpc_with_a_gateway_or_a_group_is_not_deleted(moto: Client, strict: Client, refused: Refused) -> None:
    def emptied() -> Network:
        network = Network(moto)
        for subnet in network.subnets:
            moto("ec2").delete_subnet(SubnetId=subnet)
        return network

    other = emptied()
    other.group("a")
    moto("ec2").delete_vpc(VpcId=other.vpc)

    network, ec2 = emptied(), strict("ec2")
    with refused("DependencyViolation"):
        ec2.delete_vpc(VpcId=network.vpc)
    ec2.detach_internet_gateway(InternetGatewayId=network.gateway, VpcId=network.vpc)
    group = network.group("a")
    with refused("DependencyViolation"):
        ec2.delete_vpc(VpcId=network.vpc)
    ec2.delete_security_group(GroupId=group)
    ec2.delete_vpc(VpcId=network.vpc)


def test_a_vpc_has_one_internet_gateway(moto: Client, strict: Client, refused: Refused) -> None:
    network = Network(moto)
    second = moto("ec2").create_internet_gateway()["InternetGateway"]["InternetGatewayId"]

    with refused("InvalidParameterValue"):
        strict("ec2").attach_internet_gateway(InternetGatewayId=second, VpcId=network.vpc)
    moto("ec2").attach_internet_gateway(InternetGatewayId=second, VpcId=network.vpc)


def test_a_route_needs_a_gateway_that_is_attached(moto: Client, strict: Client, refused: Refused) -> None:
    network = Network(moto, attached=False)
    where = {"DestinationCidrBlock": ANYWHERE, "GatewayId": network.gateway}
    moto("ec2").create_route(RouteTableId=network.table(), **where)

    table, ec2 = network.table(), strict("ec2")
    with refused("InvalidParameterValue"):
        ec2.create_route(RouteTableId=table, **where)
    ec2.attach_internet_gateway(InternetGatewayId=network.gateway, VpcId=network.vpc)
    ec2.create_route(RouteTableId=table, **where)

    ec2.detach_internet_gateway(InternetGatewayId=network.gateway, VpcId=network.vpc)
    routes = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Routes"]
    assert [route["State"] for route in routes] == ["active", "blackhole"]


def test_a_subnet_has_one_route_table(moto: Client, strict: Client, refused: Refused) -> None:
    network = Network(moto)
    first, second, subnet = network.table(), network.table(), network.subnets[0]
    association = moto("ec2").associate_route_table(RouteTableId=first, SubnetId=subnet)["AssociationId"]
    assert moto("ec2").associate_route_table(RouteTableId=second, SubnetId=subnet)["AssociationId"] == association

    with refused("Resource.AlreadyAssociated"):
        strict("ec2").associate_route_table(RouteTableId=second, SubnetId=subnet)
    assert strict("ec2").associate_route_table(RouteTableId=first, SubnetId=subnet)["AssociationId"] == association


def test_a_flow_log_that_fails_is_listed_in_the_response(moto: Client, strict: Client) -> None:
    vpc = Network(moto).vpc
    trust = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": %s}]}'

    def make(client: Client, role: str, group: str) -> list[str]:
        response = client("ec2").create_flow_logs(
            ResourceType="VPC",
            ResourceIds=[vpc],
            TrafficType="ALL",
            LogGroupName=group,
            DeliverLogsPermissionArn=role,
        )
        return [failure["Error"]["Code"] for failure in response["Unsuccessful"]]

    def role(name: str, service: str) -> str:
        document = trust % f'{{"Service": "{service}"}}'
        return str(moto("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"])

    nobody = "arn:aws:iam::123456789012:role/nobody"
    wrong, right = role("wrong", "ec2.amazonaws.com"), role("right", "vpc-flow-logs.amazonaws.com")

    assert make(moto, nobody, "a") == []
    assert make(strict, nobody, "b") == ["InvalidParameter"]
    assert make(strict, wrong, "b") == ["InvalidParameter"]
    assert make(strict, right, "b") == []
    assert make(strict, right, "b") == ["FlowLogAlreadyExists"]

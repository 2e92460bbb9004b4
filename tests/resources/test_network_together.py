"""The whole network of an environment: two zones, three tiers, a NAT gateway in each zone."""

from __future__ import annotations

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.destroy import destroy
from orderops.engine.inventory import Inventory
from orderops.engine.resource import Resource
from orderops.engine.step import Action
from orderops.engine.waiting import ReconcileLimits
from orderops.resources.ec2_address import Ec2Address
from orderops.resources.ec2_flow_log import Ec2FlowLog
from orderops.resources.ec2_internet_gateway import Ec2InternetGateway
from orderops.resources.ec2_nat_gateway import Ec2NatGateway
from orderops.resources.ec2_route_table import Ec2RouteTable
from orderops.resources.ec2_security_group import Ec2SecurityGroup, IngressRule
from orderops.resources.ec2_subnet import Ec2Subnet
from orderops.resources.ec2_vpc import Ec2Vpc
from orderops.resources.iam_role import Allow, IamRole
from orderops.resources.logs_group import LogsGroup
from support.contract import Up
from support.faults import Faults

ZONES = ("ap-southeast-2a", "ap-southeast-2b")
VPC = Ec2Vpc("orderops-dev-vpc", "10.0.0.0/16")
INTERNET = Ec2InternetGateway("orderops-dev-internet", VPC)


def test_a_network_is_created_once_then_unchanged_and_deleted_in_order(aws: Aws, up: Up, the_faults: Faults) -> None:
    network = _network()
    assert {step.action for step in up(*network, dry_run=True).values()} == {Action.CREATE}
    assert {step.action for step in up(*network).values()} == {Action.CREATE}

    the_faults.calls.clear()
    steps = up(*network, dry_run=True)
    assert {address: step.changes for address, step in steps.items() if step.changes} == {}
    assert {step.action for step in steps.values()} == {Action.NO_OP}
    ec2 = [call for call in the_faults.calls if call.startswith("ec2.")]
    assert len(ec2) <= 10, sorted(ec2)

    kinds = list(dict.fromkeys(type(resource) for resource in network))
    inventory = Inventory(aws, "dev", kinds)
    gone = [step.address for step in destroy(inventory.owned(), inventory, limits=ReconcileLimits())]
    assert sorted(gone) == sorted(resource.address for resource in network)
    assert not list(Inventory(aws, "dev", kinds).owned())
    _assert_in_order(gone)


def test_each_private_subnet_uses_the_gateway_of_its_zone(aws: Aws, up: Up) -> None:
    up(*_network())

    ways = {}
    for table in aws.ec2.describe_route_tables(Filters=Ownership("dev").filters)["RouteTables"]:
        routes = {raw["DestinationCidrBlock"]: raw for raw in table["Routes"]}
        way = routes.get("0.0.0.0/0", {})
        for association in table["Associations"]:
            ways[_name(aws, association["SubnetId"])] = _name(aws, way.get("NatGatewayId") or way.get("GatewayId"))

    assert ways == {
        "orderops-dev-public-a": "orderops-dev-internet",
        "orderops-dev-public-b": "orderops-dev-internet",
        "orderops-dev-private-a": "orderops-dev-nat-a",
        "orderops-dev-private-b": "orderops-dev-nat-b",
        "orderops-dev-isolated-a": "",
        "orderops-dev-isolated-b": "",
    }


def _network() -> list[Resource]:
    public, private, isolated = _tier("public", 0), _tier("private", 4), _tier("isolated", 8)
    nats = [
        Ec2NatGateway(f"orderops-dev-nat-{zone}", subnet, Ec2Address(f"orderops-dev-nat-{zone}"), INTERNET)
        for zone, subnet in zip("ab", public, strict=True)
    ]
    tables = [
        Ec2RouteTable("orderops-dev-public", VPC, public, gateway=INTERNET),
        Ec2RouteTable("orderops-dev-isolated", VPC, isolated),
        *(
            Ec2RouteTable(f"orderops-dev-private-{zone}", VPC, (subnet,), nat=nat)
            for zone, subnet, nat in zip("ab", private, nats, strict=True)
        ),
    ]
    everywhere = (IngressRule(0, "0.0.0.0/0", "everywhere", protocol="-1"),)
    balancer = Ec2SecurityGroup(
        "orderops-dev-balancer", VPC, "the balancer", (IngressRule(80, "0.0.0.0/0", "the world"),), everywhere
    )
    tasks = Ec2SecurityGroup(
        "orderops-dev-tasks", VPC, "the tasks", (IngressRule(8080, balancer, "the balancer"),), everywhere
    )
    database = Ec2SecurityGroup("orderops-dev-db", VPC, "the database", (IngressRule(5432, tasks, "the tasks"),))
    group = LogsGroup("/orderops/dev/vpc", retention_days=7)
    write = Allow(("logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"), (group,), suffix=":*")
    role = IamRole("orderops-dev-flow-log", "vpc-flow-logs.amazonaws.com", (write,))
    flow = Ec2FlowLog("orderops-dev-vpc", VPC, group, role)
    addresses = [nat.elastic_ip for nat in nats]
    return [
        *(VPC, INTERNET, *public, *private, *isolated, *addresses, *nats, *tables),
        *(balancer, tasks, database, group, role, flow),
    ]


def _tier(tier: str, first: int) -> tuple[Ec2Subnet, ...]:
    return tuple(
        Ec2Subnet(f"orderops-dev-{tier}-{zone[-1]}", VPC, f"10.0.{first + place}.0/24", zone, public=tier == "public")
        for place, zone in enumerate(ZONES)
    )


def _assert_in_order(gone: list[str]) -> None:
    """Everything goes before what it stands on; groups among one another, and what a policy names, as they can."""
    for resource in _network():
        for need in resource.needs():
            if type(need) is not type(resource) and not isinstance(resource, IamRole):
                assert gone.index(resource.address) < gone.index(need.address), (resource.address, need.address)


def _name(aws: Aws, thing: str | None) -> str:
    if thing is None:
        return ""
    tags = aws.ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [thing]}])["Tags"]
    return str(next(tag["Value"] for tag in tags if tag["Key"] == "Name"))

"""Route table: how traffic leaves the associated subnets of a VPC."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import ADDRESS, Ownership, Tags, from_pairs, to_pairs
from orderops.engine.resource import Effect, Observed, Outputs, Properties, Resource
from orderops.resources.ec2_internet_gateway import Ec2InternetGateway
from orderops.resources.ec2_nat_gateway import Ec2NatGateway
from orderops.resources.ec2_subnet import Ec2Subnet
from orderops.resources.ec2_vpc import Ec2Vpc

ANYWHERE = "0.0.0.0/0"
DESTINATIONS = ("DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId")
TARGETS = (
    "GatewayId",
    "NatGatewayId",
    "TransitGatewayId",
    "VpcPeeringConnectionId",
    "EgressOnlyInternetGatewayId",
    "LocalGatewayId",
    "CarrierGatewayId",
    "NetworkInterfaceId",
    "CoreNetworkArn",
)
BLACKHOLE = " (blackhole)"


class Ec2RouteTable(Resource):
    """Routes traffic from `subnets` through `gateway` or `nat`; without either, traffic stays in the VPC."""

    vpc: Ec2Vpc
    subnets: tuple[Ec2Subnet, ...]
    gateway: Ec2InternetGateway | None = None
    nat: Ec2NatGateway | None = None

    kind: ClassVar[str] = "ec2-route-table"
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        {
            # Reads of EC2 lag behind writes; the Terraform provider retries these for five minutes.
            "InvalidVpcID.NotFound",
            "InvalidRouteTableID.NotFound",
            "InvalidRouteTableId.NotFound",
            "InvalidSubnetID.NotFound",
            "InvalidSubnetId.NotFound",
            "InvalidGatewayID.NotFound",
            "InvalidInternetGatewayID.NotFound",
            "NatGatewayNotFound",
            "InvalidNatGatewayID.NotFound",
            "RouteAlreadyExists",
            "InvalidRoute.NotFound",
            "InvalidParameterValue: no route defined",
            "Resource.AlreadyAssociated",
            "InvalidAssociationID.NotFound",
            "DependencyViolation",
        }
    )
    immutable: ClassVar[frozenset[str]] = frozenset({"VpcId"})

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for raw in every(aws.ec2.describe_route_tables, "RouteTables", Filters=owner.filters):
            yield _observed(raw)

    def occupant(self, aws: Aws, desired: Properties) -> Observed | None:
        for observed in map(_observed, _tables_of(aws, desired["Associations"])):
            # A table with another address tag is in use: its subnet is about to move to this one.
            if (observed.tags or {}).get(ADDRESS) in (None, self.address):
                return observed
        return None

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.ec2.create_tags(Resources=[observed.id], Tags=to_pairs(tags))

    def desired(self, outputs: Outputs) -> Properties:
        way = self.gateway or self.nat
        return {
            "VpcId": outputs[self.vpc].id,
            "Routes": {ANYWHERE: outputs[way].id} if way else {},
            "Associations": sorted(outputs[subnet].id for subnet in self.subnets),
        }

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.ec2.create_route_table(VpcId=desired["VpcId"], TagSpecifications=owner.specification("route-table"))

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        if "Routes" in changed:
            _set_routes(aws, observed, changed["Routes"])
        if "Associations" in changed:
            _associate(aws, observed, changed["Associations"])

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        for association in observed.properties["AssociationIds"].values():
            aws.ec2.disassociate_route_table(AssociationId=association)
        aws.ec2.delete_route_table(RouteTableId=observed.id)

    def effect(self, key: str, observed: Any, desired: Any) -> Effect:
        if key == "Routes":
            working = {to: target for to, target in (observed or {}).items() if not target.endswith(BLACKHOLE)}
            return Effect.SAFE if working.items() <= desired.items() else Effect.INTERRUPTS
        if key == "Associations":
            return Effect.SAFE if set(observed or ()) <= set(desired) else Effect.INTERRUPTS
        return super().effect(key, observed, desired)


def _set_routes(aws: Aws, observed: Observed, routes: Mapping[str, str]) -> None:
    existing = observed.properties["Routes"]
    for to, target in routes.items():
        if existing.get(to) != target:
            send = aws.ec2.replace_route if to in existing else aws.ec2.create_route
            send(RouteTableId=observed.id, **_destination(to), **_target(target))
    for to in existing.keys() - routes.keys():
        aws.ec2.delete_route(RouteTableId=observed.id, **_destination(to))


def _associate(aws: Aws, observed: Observed, subnets: list[str]) -> None:
    existing = observed.properties["AssociationIds"]
    missing = [subnet for subnet in subnets if subnet not in existing]
    elsewhere = {
        subnet: association
        for raw in _tables_of(aws, missing)
        for subnet, association in _associations(raw).items()
        if raw["RouteTableId"] != observed.id
    }
    for subnet in missing:
        # Moved by one call: between two calls, the subnet would use the main table.
        if subnet in elsewhere:
            aws.ec2.replace_route_table_association(AssociationId=elsewhere[subnet], RouteTableId=observed.id)
        else:
            aws.ec2.associate_route_table(RouteTableId=observed.id, SubnetId=subnet)
    for subnet in existing.keys() - set(subnets):
        aws.ec2.disassociate_route_table(AssociationId=existing[subnet])


def _tables_of(aws: Aws, subnets: list[str]) -> list[dict[str, Any]]:
    if not subnets:
        return []
    filters = [{"Name": "association.subnet-id", "Values": subnets}]
    return list(every(aws.ec2.describe_route_tables, "RouteTables", Filters=filters))


def _observed(raw: dict[str, Any]) -> Observed:
    tags = from_pairs(raw.get("Tags"))
    associations = _associations(raw)
    properties = {
        "VpcId": raw["VpcId"],
        "Routes": dict(_route(route) for route in raw.get("Routes") or () if _by_hand(route)),
        "Associations": sorted(associations),
        "AssociationIds": associations,
    }
    return Observed(raw["RouteTableId"], properties, tags, name=tags.get("Name", ""))


def _associations(raw: Mapping[str, Any]) -> dict[str, str]:
    """The subnets that use the table, with their associations; the one of a main table is left out."""
    return {
        association["SubnetId"]: association["RouteTableAssociationId"]
        for association in raw.get("Associations") or ()
        if association.get("SubnetId")
        and association.get("AssociationState", {}).get("State") in (None, "associating", "associated")
    }


def _by_hand(route: Mapping[str, Any]) -> bool:
    """Whether the route was made by a call. AWS adds the local, propagated and endpoint routes by itself."""
    gateway = route.get("GatewayId", "")
    return route.get("Origin") == "CreateRoute" and gateway != "local" and not gateway.startswith("vpce-")


def _route(raw: Mapping[str, Any]) -> tuple[str, str]:
    to = next(raw[key] for key in DESTINATIONS if raw.get(key))
    target = next((raw[key] for key in TARGETS if raw.get(key)), "?")
    return to, target + (BLACKHOLE if raw.get("State") == "blackhole" else "")


def _destination(to: str) -> dict[str, str]:
    if to.startswith("pl-"):
        return {"DestinationPrefixListId": to}
    return {"DestinationIpv6CidrBlock" if ":" in to else "DestinationCidrBlock": to}


def _target(target: str) -> dict[str, str]:
    return {"NatGatewayId" if target.startswith("nat-") else "GatewayId": target}

"""Network: VPC, subnets, gateways, route tables, security groups, flow log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orderops.export.hcl import blocks
from orderops.export.part import Found, Part, ignoring

TARGETS = {
    "igw": "gateway_id",
    "vgw": "gateway_id",
    "nat": "nat_gateway_id",
    "eni": "network_interface_id",
    "pcx": "vpc_peering_connection_id",
    "tgw": "transit_gateway_id",
    "vpce": "vpc_endpoint_id",
    "eigw": "egress_only_gateway_id",
}


def vpc(found: Found) -> Iterator[Part]:
    """A VPC."""
    properties = found.properties
    body = {
        "cidr_block": properties["CidrBlock"],
        "enable_dns_support": properties["EnableDnsSupport"],
        "enable_dns_hostnames": properties["EnableDnsHostnames"],
        "tags": found.tags,
    }
    yield Part("aws_vpc", found.observed.id, body)


def subnet(found: Found) -> Iterator[Part]:
    """A subnet."""
    properties = found.properties
    body = {
        "vpc_id": found.place(properties["VpcId"]),
        "cidr_block": properties["CidrBlock"],
        "availability_zone": properties["AvailabilityZone"],
        "map_public_ip_on_launch": properties["MapPublicIpOnLaunch"],
        "tags": found.tags,
    }
    yield Part("aws_subnet", found.observed.id, body)


def internet_gateway(found: Found) -> Iterator[Part]:
    """An internet gateway."""
    body = {"vpc_id": found.place(found.properties["VpcId"]), "tags": found.tags}
    yield Part("aws_internet_gateway", found.observed.id, body)


def address(found: Found) -> Iterator[Part]:
    """An Elastic IP address."""
    yield Part("aws_eip", found.observed.id, {"domain": found.properties["Domain"], "tags": found.tags})


def nat_gateway(found: Found) -> Iterator[Part]:
    """A NAT gateway."""
    properties = found.properties
    body = {
        "subnet_id": found.place(properties["SubnetId"]),
        "allocation_id": found.place(properties["AllocationId"]),
        "connectivity_type": properties["ConnectivityType"],
        "tags": found.tags,
    }
    yield Part("aws_nat_gateway", found.observed.id, body)


def route_table(found: Found) -> Iterator[Part]:
    """A route table with its routes, and an association for each subnet."""
    properties, table = found.properties, found.observed.id
    routes = [_route(found, *pair) for pair in properties["Routes"].items()]
    body = {
        "vpc_id": found.place(properties["VpcId"]),
        # Without a route, the argument has to say so: left out, it would mean whatever is there.
        "route": blocks(*routes) if routes else [],
        "tags": found.tags,
    }
    yield Part("aws_route_table", table, body)
    for subnet_id in properties["Associations"]:
        joined = {"subnet_id": found.place(subnet_id), "route_table_id": found.place(table)}
        yield Part("aws_route_table_association", f"{subnet_id}/{table}", joined, suffix=subnet_id)


def _route(found: Found, destination: str, target: str) -> dict[str, Any]:
    if destination.startswith("pl-"):
        key = "destination_prefix_list_id"
    else:
        key = "ipv6_cidr_block" if ":" in destination else "cidr_block"
    return {key: destination, TARGETS.get(target.partition("-")[0], "gateway_id"): found.place(target)}


def security_group(found: Found) -> Iterator[Part]:
    """A security group with its rules. Their peers are ids: two groups may name each other."""
    properties = found.properties
    body = {
        "name": found.name,
        "description": properties["Description"],
        "vpc_id": found.place(properties["VpcId"]),
        "ingress": _rules(properties["Ingress"]),
        "egress": _rules(properties["Egress"]),
        "tags": found.tags,
    }
    yield Part("aws_security_group", found.observed.id, body)


def _rules(lines: list[str]) -> Any:
    return blocks(*map(_rule, lines)) if lines else []


def _rule(line: str) -> Mapping[str, Any]:
    """The rule of a line such as "tcp 80 from 0.0.0.0/0 (clients)"."""
    traffic, _, description = line.partition(" (")
    protocol, *ports = traffic.split(" ")[:-2]
    peer = traffic.rpartition(" ")[2]
    # A protocol without ports, such as all traffic; ICMP of every type is -1.
    none = "-1" if protocol.startswith("icmp") else "0"
    first, _, last = (ports or [none])[0].partition("-") if ports else (none, "", "")
    return {
        "protocol": "-1" if protocol == "everything" else protocol,
        "from_port": int(first),
        "to_port": int(last or first),
        _peer_argument(peer): [peer],
        "description": description[:-1],
    }


def _peer_argument(peer: str) -> str:
    if "sg-" in peer:
        return "security_groups"
    if peer.startswith("pl-"):
        return "prefix_list_ids"
    return "ipv6_cidr_blocks" if ":" in peer else "cidr_blocks"


def flow_log(found: Found) -> Iterator[Part]:
    """The flow log of a VPC, in CloudWatch Logs."""
    properties = found.properties
    body = {
        "vpc_id": found.place(properties["ResourceId"]),
        "traffic_type": properties["TrafficType"],
        "log_destination_type": properties["LogDestinationType"],
        "log_destination": found.references.named("logs-group", properties["LogGroupName"], "arn"),
        "iam_role_arn": found.place(properties["DeliverLogsPermissionArn"]),
        "max_aggregation_interval": properties["MaxAggregationInterval"],
        "tags": found.tags,
        # AWS may answer with the name of the group alone, and another destination would replace the flow log.
        "lifecycle": ignoring("log_destination"),
    }
    yield Part("aws_flow_log", found.observed.id, body)

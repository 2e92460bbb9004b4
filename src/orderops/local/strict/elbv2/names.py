"""What a load balancer is made with: its name, its subnets and its security groups."""

from __future__ import annotations

import re
from typing import Any

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.interfaces import backend

SERVICE = "elasticloadbalancing"
LONGEST = 32


def take_part(emulator: Emulator, _pace: Delays) -> None:
    """Refuse what no balancer can be made with; one that stands there already, with these settings, is the answer."""

    def same(call: Request) -> Response | None:
        _name(call.form.get("Name", ""))
        there = _named(call)
        if there is None:
            return None
        if not _alike(call, there):
            raise ApiError(
                "DuplicateLoadBalancerName",
                f"A load balancer with the same name '{there.name}' exists, but with different settings",
            )
        question = {"Action": "DescribeLoadBalancers", "Version": "2015-12-01", "LoadBalancerArns.member.1": there.arn}
        state = there.state
        answer = emulator.ask_moto(call, call.with_form(question))
        there.state = state
        return Response(
            answer.status, answer.body.replace(b"DescribeLoadBalancers", b"CreateLoadBalancer"), answer.headers
        )

    emulator.instead[SERVICE, "CreateLoadBalancer"] = same
    emulator.on_before(SERVICE, "CreateLoadBalancer", _place)
    emulator.on_before(SERVICE, "SetSubnets", _moved)
    emulator.on_before(SERVICE, "SetSecurityGroups", _groups)


def _name(name: str) -> None:
    rules = (
        (len(name) > LONGEST, f"cannot be longer than '{LONGEST}' characters"),
        (
            re.search("[^A-Za-z0-9-]", name),
            "can only contain characters that are alphanumeric characters or hyphens(-)",
        ),
        (name.startswith("-") or name.endswith("-"), "cannot begin or end with '-'"),
        (name.startswith("internal-"), "cannot begin with 'internal-'"),
    )
    for broken, words in rules:
        if broken:
            raise ApiError("ValidationError", f"Load balancer name '{name}' {words}")


def _named(call: Request) -> Any:
    balancers = backend("elbv2", call.region).load_balancers.values()
    return next((one for one in balancers if one.name == call.form.get("Name")), None)


def _alike(call: Request, there: Any) -> bool:
    asked = call.parameters
    groups = set(asked.get("SecurityGroups", ())) or set(there.security_groups or ())
    return (
        _subnets(call) == {subnet.id for subnet in there.subnets}
        and groups == set(there.security_groups or ())
        and asked.get("Scheme", "internet-facing") == (there.scheme or "internet-facing")
        and asked.get("Type", "application") == there.type
        and asked.get("IpAddressType", "ipv4") == there.ip_address_type
    )


def _subnets(call: Request) -> set[str]:
    asked = call.parameters
    return {*asked.get("Subnets", ()), *(one["SubnetId"] for one in asked.get("SubnetMappings", ()))}


def _place(call: Request) -> None:
    if call.form.get("Type", "application") != "application":
        return
    vpc = _zones(call)
    _groups(call, vpc)
    gateways = backend("ec2", call.region).internet_gateways.values()
    outside = call.form.get("Scheme", "internet-facing") == "internet-facing"
    if outside and not any(one.vpc and one.vpc.id == vpc for one in gateways):
        raise ApiError("InvalidSubnet", f"VPC {vpc} has no internet gateway")


def _zones(call: Request) -> str:
    """The VPC of the subnets, which lie in two zones at least and in no zone twice."""
    there = {name: one for zone in backend("ec2", call.region).subnets.values() for name, one in zone.items()}
    asked = _subnets(call)
    for name in sorted(asked - there.keys()):
        raise ApiError("SubnetNotFound", f"The subnet ID '{name}' does not exist")
    zones = [there[name].availability_zone for name in asked]
    if len(zones) < 2:
        raise ApiError("ValidationError", "At least two subnets in two different Availability Zones must be specified")
    if len(set(zones)) < len(zones):
        raise ApiError(
            "InvalidConfigurationRequest",
            "A load balancer cannot be attached to multiple subnets in the same Availability Zone",
        )
    return str(there[asked.pop()].vpc_id)


def _moved(call: Request) -> None:
    there = backend("elbv2", call.region).load_balancers.get(call.form.get("LoadBalancerArn"))
    if there and there.type == "application":
        _zones(call)


def _groups(call: Request, vpc: str = "") -> None:
    """The groups are there, in the balancer's VPC."""
    balancer = backend("elbv2", call.region).load_balancers.get(call.form.get("LoadBalancerArn"))
    vpc = vpc or (balancer.vpc_id if balancer else "")
    for name in call.parameters.get("SecurityGroups", ()):
        group = backend("ec2", call.region).get_security_group_from_id(name)
        if vpc and (group is None or group.vpc_id != vpc):
            raise ApiError("InvalidConfigurationRequest", "One or more security groups are invalid")

"""Requirements of a load balancer: name, subnets and security groups."""

from __future__ import annotations

import re
from typing import Any

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.interfaces import backend

SERVICE = "elasticloadbalancing"
# From CreateLoadBalancer in the Elastic Load Balancing API reference.
MAX_NAME_LENGTH = 32


def register(emulator: Emulator, _delays: Delays) -> None:
    """Reject invalid balancers; an existing one with the same settings is returned instead."""

    def reuse_existing(request: Request) -> Response | None:
        _check_name(request.form.get("Name", ""))
        existing = _same_name(request)
        if existing is None:
            return None
        if not _is_same(request, existing):
            raise ApiError(
                "DuplicateLoadBalancerName",
                f"A load balancer with the same name '{existing.name}' exists, but with different settings",
            )
        parameters = {
            "Action": "DescribeLoadBalancers",
            "Version": "2015-12-01",
            "LoadBalancerArns.member.1": existing.arn,
        }
        state = existing.state
        response = emulator.call_moto(request, request.with_form(parameters))
        # moto sets a balancer to `active` when it is described.
        existing.state = state
        return Response(
            response.status, response.body.replace(b"DescribeLoadBalancers", b"CreateLoadBalancer"), response.headers
        )

    emulator.instead[SERVICE, "CreateLoadBalancer"] = reuse_existing
    emulator.on_before(SERVICE, "CreateLoadBalancer", _check_placement)
    emulator.on_before(SERVICE, "SetSubnets", _check_subnets)
    emulator.on_before(SERVICE, "SetSecurityGroups", _check_groups)


def _check_name(name: str) -> None:
    rules = (
        (len(name) > MAX_NAME_LENGTH, f"cannot be longer than '{MAX_NAME_LENGTH}' characters"),
        (
            re.search("[^A-Za-z0-9-]", name),
            "can only contain characters that are alphanumeric characters or hyphens(-)",
        ),
        (name.startswith("-") or name.endswith("-"), "cannot begin or end with '-'"),
        (name.startswith("internal-"), "cannot begin with 'internal-'"),
    )
    for broken, message in rules:
        if broken:
            raise ApiError("ValidationError", f"Load balancer name '{name}' {message}")


def _same_name(request: Request) -> Any:
    balancers = backend("elbv2", request.region).load_balancers.values()
    return next((balancer for balancer in balancers if balancer.name == request.form.get("Name")), None)


def _is_same(request: Request, existing: Any) -> bool:
    parameters = request.parameters
    groups = set(parameters.get("SecurityGroups", ())) or set(existing.security_groups or ())
    return (
        _subnets(request) == {subnet.id for subnet in existing.subnets}
        and groups == set(existing.security_groups or ())
        and parameters.get("Scheme", "internet-facing") == (existing.scheme or "internet-facing")
        and parameters.get("Type", "application") == existing.type
        and parameters.get("IpAddressType", "ipv4") == existing.ip_address_type
    )


def _subnets(request: Request) -> set[str]:
    parameters = request.parameters
    return {*parameters.get("Subnets", ()), *(mapping["SubnetId"] for mapping in parameters.get("SubnetMappings", ()))}


def _check_placement(request: Request) -> None:
    if request.form.get("Type", "application") != "application":
        return
    vpc = _check_zones(request)
    _check_groups(request, vpc)
    gateways = backend("ec2", request.region).internet_gateways.values()
    internet_facing = request.form.get("Scheme", "internet-facing") == "internet-facing"
    if internet_facing and not any(gateway.vpc and gateway.vpc.id == vpc for gateway in gateways):
        raise ApiError("InvalidSubnet", f"VPC {vpc} has no internet gateway")


def _check_zones(request: Request) -> str:
    """Return the VPC of the subnets. Raises ApiError unless they are in two different zones or more."""
    subnets = {
        name: subnet for zone in backend("ec2", request.region).subnets.values() for name, subnet in zone.items()
    }
    requested = _subnets(request)
    for name in sorted(requested - subnets.keys()):
        raise ApiError("SubnetNotFound", f"The subnet ID '{name}' does not exist")
    zones = [subnets[name].availability_zone for name in requested]
    if len(zones) < 2:
        raise ApiError("ValidationError", "At least two subnets in two different Availability Zones must be specified")
    if len(set(zones)) < len(zones):
        raise ApiError(
            "InvalidConfigurationRequest",
            "A load balancer cannot be attached to multiple subnets in the same Availability Zone",
        )
    return str(subnets[requested.pop()].vpc_id)


def _check_subnets(request: Request) -> None:
    existing = backend("elbv2", request.region).load_balancers.get(request.form.get("LoadBalancerArn"))
    if existing and existing.type == "application":
        _check_zones(request)


def _check_groups(request: Request, vpc: str = "") -> None:
    """Check that the groups exist in the balancer's VPC."""
    balancer = backend("elbv2", request.region).load_balancers.get(request.form.get("LoadBalancerArn"))
    vpc = vpc or (balancer.vpc_id if balancer else "")
    for name in request.parameters.get("SecurityGroups", ()):
        group = backend("ec2", request.region).get_security_group_from_id(name)
        if vpc and (group is None or group.vpc_id != vpc):
            raise ApiError("InvalidConfigurationRequest", "One or more security groups are invalid")

"""Rules that name a security group: the description is not part of a rule's identity.

moto compares descriptions, too: it cannot change a description, revokes no rule without its description, and
authorizes a rule twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orderops.local.emulator.protocol import ApiError, Request
from orderops.local.emulator.server import Emulator
from orderops.local.strict.interfaces import backend

# Numbers and names are interchangeable in the API; moto compares them as text.
PROTOCOLS = {"6": "tcp", "17": "udp", "1": "icmp", "all": "-1"}
Pair = dict[str, str]


def patch(emulator: Emulator) -> None:
    """Compare rules as AWS does."""
    for direction in ("Ingress", "Egress"):
        emulator.on_before("ec2", f"AuthorizeSecurityGroup{direction}", _check_duplicates)
        emulator.on_before("ec2", f"UpdateSecurityGroupRuleDescriptions{direction}", _set_descriptions)
        emulator.on_before("ec2", f"RevokeSecurityGroup{direction}", _align_descriptions)


def _check_duplicates(request: Request) -> None:
    for rule, pair in _requested_rules(request):
        if rule:
            ports = f", from port: {rule.from_port}, to port: {rule.to_port}" if rule.ip_protocol != "-1" else ""
            peer = (
                f'the specified rule "peer: {pair["GroupId"]}, {rule.ip_protocol.upper()}{ports}, ALLOW" already exists'
            )
            raise ApiError("InvalidPermission.Duplicate", peer)


def _set_descriptions(request: Request) -> None:
    for rule, pair in _existing_rules(request):
        description = {"Description": pair["Description"]} if pair.get("Description") else {}
        rule.source_group = {
            key: value for key, value in rule.source_group.items() if key != "Description"
        } | description


def _align_descriptions(request: Request) -> None:
    """Give the rules to be revoked the request's descriptions, so that moto finds them."""
    for rule, pair in _existing_rules(request):
        rule.source_group = {**pair, "OwnerId": rule.owner_id, "UserId": pair.get("UserId", rule.owner_id)}


def _existing_rules(request: Request) -> list[tuple[Any, Pair]]:
    requested = list(_requested_rules(request))
    if not all(rule for rule, _ in requested):
        raise ApiError("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
    return requested


def _requested_rules(request: Request) -> Iterator[tuple[Any, Pair]]:
    """Yield each rule of the request that names a group by id, after the existing equal rule, if any."""
    name = request.form.get("GroupId") or request.form.get("GroupName", "")
    group = backend("ec2", request.region).get_security_group_by_name_or_id(name)
    rules = (group.egress_rules if request.action.endswith("Egress") else group.ingress_rules) if group else []
    for permission in request.parameters.get("IpPermissions", ()) if group else ():
        for pair in permission.get("Groups", ()):
            if "GroupId" in pair:
                yield next((rule for rule in rules if _same(rule, permission, pair)), None), pair


def _same(rule: Any, permission: dict[str, Any], pair: Pair) -> bool:
    name = str(permission.get("IpProtocol", "")).lower()
    protocol = PROTOCOLS.get(name, name)
    ports = (rule.from_port, rule.to_port)
    return (
        rule.source_group.get("GroupId") == pair["GroupId"]
        and rule.ip_protocol == protocol
        and (protocol == "-1" or ports == (int(permission.get("FromPort", -1)), int(permission.get("ToPort", -1))))
    )

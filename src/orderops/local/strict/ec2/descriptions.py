"""Rules that name a security group: their description is no part of what they are.

moto takes the same rule with other words for another rule: it changes no description, revokes none that is said
without its words, and authorizes it twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orderops.local.emulator.protocol import ApiError, Request
from orderops.local.emulator.server import Emulator
from orderops.local.strict.interfaces import backend

PROTOCOLS = {"6": "tcp", "17": "udp", "1": "icmp", "all": "-1"}
Pair = dict[str, str]


def mend(emulator: Emulator) -> None:
    """Compare such rules as AWS does."""
    for direction in ("Ingress", "Egress"):
        emulator.on_before("ec2", f"AuthorizeSecurityGroup{direction}", _not_twice)
        emulator.on_before("ec2", f"UpdateSecurityGroupRuleDescriptions{direction}", _describe)
        emulator.on_before("ec2", f"RevokeSecurityGroup{direction}", _said_as_it_stands)


def _not_twice(call: Request) -> None:
    for rule, pair in _asked(call):
        if rule:
            ports = f", from port: {rule.from_port}, to port: {rule.to_port}" if rule.ip_protocol != "-1" else ""
            peer = (
                f'the specified rule "peer: {pair["GroupId"]}, {rule.ip_protocol.upper()}{ports}, ALLOW" already exists'
            )
            raise ApiError("InvalidPermission.Duplicate", peer)


def _describe(call: Request) -> None:
    for rule, pair in _found(call):
        words = {"Description": pair["Description"]} if pair.get("Description") else {}
        rule.source_group = {key: value for key, value in rule.source_group.items() if key != "Description"} | words


def _said_as_it_stands(call: Request) -> None:
    """Give the rules that go the words of the call, so that moto knows them again."""
    for rule, pair in _found(call):
        rule.source_group = {**pair, "OwnerId": rule.owner_id, "UserId": pair.get("UserId", rule.owner_id)}


def _found(call: Request) -> list[tuple[Any, Pair]]:
    asked = list(_asked(call))
    if not all(rule for rule, _ in asked):
        raise ApiError("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
    return asked


def _asked(call: Request) -> Iterator[tuple[Any, Pair]]:
    """Each rule of the call that names a group by its id, beside the one that stands there, if any does."""
    name = call.form.get("GroupId") or call.form.get("GroupName", "")
    group = backend("ec2", call.region).get_security_group_by_name_or_id(name)
    rules = (group.egress_rules if call.action.endswith("Egress") else group.ingress_rules) if group else []
    for permission in call.parameters.get("IpPermissions", ()) if group else ():
        for pair in permission.get("Groups", ()):
            if "GroupId" in pair:
                yield next((rule for rule in rules if _same(rule, permission, pair)), None), pair


def _same(rule: Any, permission: dict[str, Any], pair: Pair) -> bool:
    asked = str(permission.get("IpProtocol", "")).lower()
    protocol = PROTOCOLS.get(asked, asked)
    ports = (rule.from_port, rule.to_port)
    return (
        rule.source_group.get("GroupId") == pair["GroupId"]
        and rule.ip_protocol == protocol
        and (protocol == "-1" or ports == (int(permission.get("FromPort", -1)), int(permission.get("ToPort", -1))))
    )

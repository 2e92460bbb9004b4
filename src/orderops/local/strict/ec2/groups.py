"""Security groups: none goes while another names it or an interface is in it."""

from __future__ import annotations

from typing import Any

from orderops.local.emulator.protocol import ApiError, Request
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.interfaces import backend, interfaces


def take_part(emulator: Emulator, _pace: Delays) -> None:
    """Refuse to delete what is in use."""
    emulator.on_before("ec2", "DeleteSecurityGroup", _is_free)


def _is_free(call: Request) -> None:
    ec2 = backend("ec2", call.region)
    wanted = call.form.get("GroupId") or call.form.get("GroupName", "")
    group = ec2.get_security_group_by_name_or_id(wanted)
    if group is None:
        return
    if group.is_default:
        raise ApiError("CannotDelete", f'the specified group: "{group.id}" name: "default" cannot be deleted by a user')
    others = [one for groups in ec2.groups.values() for one in groups.values() if one.id != group.id]
    if any(_names(one, group.id) for one in others) or any(group.id in one.groups for one in interfaces(call.region)):
        raise ApiError("DependencyViolation", f"resource {group.id} has a dependent object")


def _names(other: Any, group: str) -> bool:
    return any(rule.source_group.get("GroupId") == group for rule in (*other.ingress_rules, *other.egress_rules))

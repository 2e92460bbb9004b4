"""Security groups: not deleted while another group or an interface refers to them."""

from __future__ import annotations

from typing import Any

from orderops.local.emulator.protocol import ApiError, Request
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.interfaces import backend, interfaces


def register(emulator: Emulator, _delays: Delays) -> None:
    """Refuse to delete security groups in use."""
    emulator.on_before("ec2", "DeleteSecurityGroup", _check_unused)


def _check_unused(request: Request) -> None:
    ec2 = backend("ec2", request.region)
    name = request.form.get("GroupId") or request.form.get("GroupName", "")
    group = ec2.get_security_group_by_name_or_id(name)
    if group is None:
        return
    # Deleted by AWS together with its VPC only.
    if group.is_default:
        raise ApiError("CannotDelete", f'the specified group: "{group.id}" name: "default" cannot be deleted by a user')
    others = [other for groups in ec2.groups.values() for other in groups.values() if other.id != group.id]
    if any(_refers_to(other, group.id) for other in others) or any(
        group.id in other.groups for other in interfaces(request.region)
    ):
        raise ApiError("DependencyViolation", f"resource {group.id} has a dependent object")


def _refers_to(other: Any, group: str) -> bool:
    return any(rule.source_group.get("GroupId") == group for rule in (*other.ingress_rules, *other.egress_rules))

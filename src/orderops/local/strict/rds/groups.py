"""RDS: subnet groups over two zones, parameter groups with parameters that exist, and neither gone while in use."""

from __future__ import annotations

import subprocess
from functools import cache
from typing import Any

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.rds.binaries import find_bindir
from orderops.local.rds.parameters import answer_with, backend_of, ec2_of, listed, structures, told_true

MOST_PARAMETERS = 20
OTHERS = frozenset({"rds", "auto_explain", "cron", "pg_hint_plan", "pg_stat_statements", "pgaudit"})
"""Whose parameters PostgreSQL itself does not know."""
STATIC_OF_RDS = frozenset({"rds.logical_replication", "rds.custom_dns_resolution", "pg_stat_statements.max"})
LEAST_PAGE, MOST_PAGE = 20, 100


def mend(emulator: Emulator) -> None:
    """Keep the subnet group that moto loses, and do what it does not know."""
    emulator.instead["rds", "ModifyDBSubnetGroup"] = _modify_subnet_group
    emulator.instead["rds", "ResetDBParameterGroup"] = _reset


def take_part(emulator: Emulator) -> None:
    """Refuse what AWS refuses."""
    emulator.on_before("rds", "CreateDBSubnetGroup", _new_subnet_group)
    emulator.on_before("rds", "DeleteDBSubnetGroup", _subnet_group_is_free)
    emulator.on_before("rds", "CreateDBParameterGroup", _new_parameter_group)
    emulator.on_before("rds", "DeleteDBParameterGroup", _parameter_group_is_free)
    emulator.on_before("rds", "ModifyDBParameterGroup", _parameters_exist)
    emulator.on_after("rds", "ModifyDBParameterGroup", _wait_for_reboot)
    emulator.instead["rds", "DescribeDBParameters"] = _describe_parameters


def _new_subnet_group(call: Request) -> None:
    name = call.form.get("DBSubnetGroupName", "")
    if name.lower() in backend_of(call).subnet_groups:
        raise ApiError("DBSubnetGroupAlreadyExists", f"The DB subnet group '{name}' already exists.")
    _subnets(call)


def _modify_subnet_group(call: Request) -> Response:
    """moto takes the group out of its store for the change, and does not put it back."""
    name = call.form.get("DBSubnetGroupName", "")
    group = backend_of(call).subnet_groups.get(name)
    if group is None:
        raise ApiError("DBSubnetGroupNotFoundFault", f"DB subnet group '{name}' does not exist.", 404)
    subnets = _subnets(call)
    if subnets[0].vpc_id != group.vpc_id:
        raise ApiError("InvalidSubnet", "The new subnets are not in the same VPC as the existing subnet group.")
    group.subnets = subnets
    group.description = call.form.get("DBSubnetGroupDescription", group.description)
    return answer_with(call, {"DBSubnetGroup": group})


def _subnets(call: Request) -> list[Any]:
    there = {subnet.id: subnet for zone in ec2_of(call).subnets.values() for subnet in zone.values()}
    asked = listed(call, "SubnetIds")
    if unknown := [each for each in asked if each not in there]:
        raise ApiError("InvalidSubnet", f"Some input subnets in :[{', '.join(unknown)}] are invalid.")
    subnets = [there[each] for each in asked]
    if len({subnet.vpc_id for subnet in subnets}) > 1:
        raise ApiError("InvalidSubnet", "The subnets are not all in a common VPC.")
    zones = sorted({subnet.availability_zone for subnet in subnets})
    if len(zones) < 2:
        raise ApiError(
            "DBSubnetGroupDoesNotCoverEnoughAZs",
            "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. "
            f"Current AZ coverage: {', '.join(zones)}. Add subnets to cover at least 2 AZs.",
        )
    return subnets


def _subnet_group_is_free(call: Request) -> None:
    name = call.form.get("DBSubnetGroupName", "").lower()
    for instance in backend_of(call).databases.values():
        group = getattr(instance, "db_subnet_group", None)
        if group and group.name == name:
            raise ApiError(
                "InvalidDBSubnetGroupStateFault",
                f"Cannot delete the subnet group '{name}' because at least one database instance: "
                f"{instance.db_instance_identifier} is still using it.",
            )


def _new_parameter_group(call: Request) -> None:
    family = call.form.get("DBParameterGroupFamily", "")
    if family.startswith("postgres") and not family.removeprefix("postgres").isdecimal():
        raise ApiError("InvalidParameterValue", f"ParameterGroupFamily {family} is not a valid parameter group family")


def _parameter_group_is_free(call: Request) -> None:
    name = call.form.get("DBParameterGroupName", "").lower()
    if name.startswith("default."):
        raise ApiError("InvalidDBParameterGroupState", f"The default parameter group {name} cannot be deleted.")
    if _users(call, name):
        raise ApiError(
            "InvalidDBParameterGroupState",
            f"One or more database instances are still members of this parameter group {name}, "
            "so the group cannot be deleted",
        )


def _users(call: Request, group: str) -> list[Any]:
    databases = backend_of(call).databases.values()
    return [each for each in databases if (each.db_parameter_group_name or "").lower() == group]


def _parameters_exist(call: Request) -> None:
    asked = structures(call, "Parameters")
    if len(asked) > MOST_PARAMETERS:
        raise ApiError(
            "InvalidParameterValue", f"At most {MOST_PARAMETERS} parameters can be changed in a call; got {len(asked)}."
        )
    for parameter in asked:
        name = parameter.get("ParameterName", "")
        if not _exists(name):
            raise ApiError("InvalidParameterValue", f"Could not find parameter with name: {name}")
        if parameter.get("ApplyMethod") == "immediate" and is_static(name):
            raise ApiError("InvalidParameterCombination", "cannot use immediate apply method for static parameter")


def _wait_for_reboot(call: Request, answer: Response) -> None:
    names = [parameter["ParameterName"] for parameter in structures(call, "Parameters")]
    _pending(call, names)


def _pending(call: Request, names: list[str]) -> None:
    if any(is_static(name) for name in names):
        for instance in _users(call, call.form["DBParameterGroupName"].lower()):
            instance.parameter_apply_status = "pending-reboot"


def _reset(call: Request) -> Response:
    name = call.form.get("DBParameterGroupName", "")
    group = backend_of(call).db_parameter_groups.get(name)
    if group is None:
        raise ApiError("DBParameterGroupNotFound", f"DBParameterGroup not found: {name}", 404)
    _parameters_exist(call)
    every = told_true(call, "ResetAllParameters") or "ResetAllParameters" not in call.form
    asked = [parameter["ParameterName"] for parameter in structures(call, "Parameters")]
    names = list(group.parameters) if every and not asked else asked
    for each in names:
        group.parameters.pop(each, None)
    _pending(call, names)
    return answer_with(call, {"DBParameterGroupName": group.name})


def _describe_parameters(call: Request) -> Response:
    """What the group sets, and what the engine has by itself; moto tells only the first."""
    name = call.form.get("DBParameterGroupName", "")
    group = backend_of(call).db_parameter_groups.get(name)
    if group is None and not name.startswith("default."):
        raise ApiError("DBParameterGroupNotFound", f"DBParameterGroup not found: {name}", 404)
    there = group.parameters if group else {}
    source = call.form.get("Source", "")
    every = sorted({*there, *engine_parameters()})
    told = [_parameter(each, there.get(each)) for each in every]
    told = [each for each in told if source in ("", each["Source"])]
    begin = int(call.form.get("Marker") or 0)
    size = max(LEAST_PAGE, min(MOST_PAGE, int(call.form.get("MaxRecords", MOST_PAGE))))
    more = str(begin + size) if begin + size < len(told) else None
    return answer_with(call, {"Parameters": told[begin : begin + size], "Marker": more})


def _parameter(name: str, told: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "ParameterName": name,
        "ParameterValue": told.get("ParameterValue") if told else None,
        "Source": "user" if told else "engine-default",
        "ApplyType": "static" if is_static(name) else "dynamic",
        "ApplyMethod": (told or {}).get("ApplyMethod", "pending-reboot"),
        "IsModifiable": True,
    }


def _exists(name: str) -> bool:
    return name in engine_parameters() or name.partition(".")[0] in OTHERS


def is_static(name: str) -> bool:
    """The parameter takes effect only at the start of the server."""
    return name in STATIC_OF_RDS or engine_parameters().get(name) == "postmaster"


@cache
def engine_parameters() -> dict[str, str]:
    """PostgreSQL's parameters, and when each takes effect, as the server's program tells them."""
    program = find_bindir() / "postgres"
    told = subprocess.run([program, "--describe-config"], capture_output=True, text=True, check=True).stdout
    lines = (line.split("\t") for line in told.splitlines())
    return {line[0]: line[1] for line in lines if len(line) > 1}

"""RDS: subnet groups over two zones, parameter groups with existing parameters; neither is deleted while in use."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from functools import cache
from typing import Any
from xml.sax.saxutils import escape

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.rds.binaries import find_bindir
from orderops.local.rds.parameters import backend_of, ec2_of, is_true, list_of, rds_response, structures
from orderops.local.strict.rds.family_defaults import data_type, defaults_of, is_valid, normal

# Limit of ModifyDBParameterGroup.
MAX_PARAMETERS = 20
# Parameters of extensions and of RDS, which the server program does not list.
OTHER_PREFIXES = frozenset({"rds", "auto_explain", "cron", "pg_hint_plan", "pg_stat_statements", "pgaudit"})
# Static parameters that are not PostgreSQL's own.
NOTHING = ("", "")
STATIC_OF_RDS = frozenset(
    {"shared_preload_libraries", "rds.logical_replication", "rds.custom_dns_resolution", "pg_stat_statements.max"}
)
# Bounds of MaxRecords.
MIN_PAGE, MAX_PAGE = 20, 100


def patch(emulator: Emulator) -> None:
    """Handle subnet group changes, which lose the group in moto, and resets, which moto lacks."""
    emulator.instead["rds", "ModifyDBSubnetGroup"] = _modify_subnet_group
    emulator.instead["rds", "ResetDBParameterGroup"] = _reset


def register(emulator: Emulator) -> None:
    """Reject what AWS rejects."""
    emulator.on_before("rds", "CreateDBSubnetGroup", _check_new_subnet_group)
    emulator.on_before("rds", "DeleteDBSubnetGroup", _check_subnet_group_unused)
    emulator.on_before("rds", "CreateDBParameterGroup", _check_new_parameter_group)
    emulator.on_before("rds", "DeleteDBParameterGroup", _check_parameter_group_unused)
    emulator.on_before("rds", "ModifyDBParameterGroup", _check_parameters)
    emulator.on_after("rds", "ModifyDBParameterGroup", _store_changed_parameters)
    emulator.instead["rds", "DescribeDBParameters"] = _describe_parameters


def _check_new_subnet_group(request: Request) -> None:
    name = request.form.get("DBSubnetGroupName", "")
    if name.lower() in backend_of(request).subnet_groups:
        raise ApiError("DBSubnetGroupAlreadyExists", f"The DB subnet group '{name}' already exists.")
    _subnets(request)


def _modify_subnet_group(request: Request) -> Response:
    """Change the group in place: moto removes it from its store and does not put it back."""
    name = request.form.get("DBSubnetGroupName", "")
    group = backend_of(request).subnet_groups.get(name)
    if group is None:
        raise ApiError("DBSubnetGroupNotFoundFault", f"DB subnet group '{name}' does not exist.", 404)
    subnets = _subnets(request)
    if subnets[0].vpc_id != group.vpc_id:
        raise ApiError("InvalidSubnet", "The new subnets are not in the same VPC as the existing subnet group.")
    group.subnets = subnets
    group.description = request.form.get("DBSubnetGroupDescription", group.description)
    return rds_response(request, {"DBSubnetGroup": group})


def _subnets(request: Request) -> list[Any]:
    known = {subnet.id: subnet for zone in ec2_of(request).subnets.values() for subnet in zone.values()}
    requested = list_of(request, "SubnetIds")
    if unknown := [identifier for identifier in requested if identifier not in known]:
        raise ApiError("InvalidSubnet", f"Some input subnets in :[{', '.join(unknown)}] are invalid.")
    subnets = [known[identifier] for identifier in requested]
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


def _check_subnet_group_unused(request: Request) -> None:
    name = request.form.get("DBSubnetGroupName", "").lower()
    for instance in backend_of(request).databases.values():
        group = getattr(instance, "db_subnet_group", None)
        if group and group.name == name:
            raise ApiError(
                "InvalidDBSubnetGroupStateFault",
                f"Cannot delete the subnet group '{name}' because at least one database instance: "
                f"{instance.db_instance_identifier} is still using it.",
            )


def _check_new_parameter_group(request: Request) -> None:
    family = request.form.get("DBParameterGroupFamily", "")
    if family.startswith("postgres") and not family.removeprefix("postgres").isdecimal():
        raise ApiError("InvalidParameterValue", f"ParameterGroupFamily {family} is not a valid parameter group family")


def _check_parameter_group_unused(request: Request) -> None:
    name = request.form.get("DBParameterGroupName", "").lower()
    if name.startswith("default."):
        raise ApiError("InvalidDBParameterGroupState", f"The default parameter group {name} cannot be deleted.")
    if _users(request, name):
        raise ApiError(
            "InvalidDBParameterGroupState",
            f"One or more database instances are still members of this parameter group {name}, "
            "so the group cannot be deleted",
        )


def _users(request: Request, group: str) -> list[Any]:
    databases = backend_of(request).databases.values()
    return [database for database in databases if (database.db_parameter_group_name or "").lower() == group]


def _check_parameters(request: Request) -> None:
    parameters = structures(request, "Parameters")
    if len(parameters) > MAX_PARAMETERS:
        raise ApiError(
            "InvalidParameterValue",
            f"At most {MAX_PARAMETERS} parameters can be changed in a call; got {len(parameters)}.",
        )
    for parameter in parameters:
        name = parameter.get("ParameterName", "")
        if not _exists(name):
            raise ApiError("InvalidParameterValue", f"Could not find parameter with name: {name}")
        value = parameter.get("ParameterValue")
        if value is not None and not is_valid(_data_type(name), value):
            raise ApiError("InvalidParameterValue", f"Invalid parameter value: {value} for: {name}")
        if parameter.get("ApplyMethod") == "immediate" and is_static(name):
            raise ApiError("InvalidParameterCombination", "cannot use immediate apply method for static parameter")


def _store_changed_parameters(request: Request, response: Response) -> None:
    """Store values as RDS does: a parameter that is set to the family's default is not one of the user."""
    names = [parameter["ParameterName"] for parameter in structures(request, "Parameters")]
    group = backend_of(request).db_parameter_groups[request.form["DBParameterGroupName"].lower()]
    defaults = defaults_of(group.family or "")
    for name in names:
        stored = group.parameters[name]
        stored["ParameterValue"] = normal(_data_type(name), stored.get("ParameterValue", ""))
        if stored["ParameterValue"] == defaults.get(name):
            del group.parameters[name]
    _mark_pending_reboot(request, names)


def _mark_pending_reboot(request: Request, names: list[str]) -> None:
    if any(is_static(name) for name in names):
        for instance in _users(request, request.form["DBParameterGroupName"].lower()):
            instance.parameter_apply_status = "pending-reboot"


def _reset(request: Request) -> Response:
    name = request.form.get("DBParameterGroupName", "")
    group = backend_of(request).db_parameter_groups.get(name)
    if group is None:
        raise ApiError("DBParameterGroupNotFound", f"DBParameterGroup not found: {name}", 404)
    _check_parameters(request)
    all_parameters = is_true(request, "ResetAllParameters") or "ResetAllParameters" not in request.form
    requested = [parameter["ParameterName"] for parameter in structures(request, "Parameters")]
    names = list(group.parameters) if all_parameters and not requested else requested
    for parameter_name in names:
        group.parameters.pop(parameter_name, None)
    _mark_pending_reboot(request, names)
    return rds_response(request, {"DBParameterGroupName": group.name})


def _describe_parameters(request: Request) -> Response:
    """Return the group's and the engine's parameters; moto returns only the former."""
    name = request.form.get("DBParameterGroupName", "")
    group = backend_of(request).db_parameter_groups.get(name)
    if group is None and not name.startswith("default."):
        raise ApiError("DBParameterGroupNotFound", f"DBParameterGroup not found: {name}", 404)
    group_values = group.parameters if group else {}
    source = request.form.get("Source", "")
    defaults = defaults_of(group.family if group else name.removeprefix("default."))
    names = sorted({*group_values, *engine_parameters(), *defaults})
    parameters = [_parameter(parameter, group_values.get(parameter), defaults.get(parameter)) for parameter in names]
    parameters = [parameter for parameter in parameters if source in ("", parameter["Source"])]
    begin = int(request.form.get("Marker") or 0)
    size = max(MIN_PAGE, min(MAX_PAGE, int(request.form.get("MaxRecords", MAX_PAGE))))
    more = str(begin + size) if begin + size < len(parameters) else None
    return _with_parameters(rds_response(request, {"Parameters": [], "Marker": more}), parameters[begin : begin + size])


def _parameter(name: str, stored: dict[str, Any] | None, default: str | None) -> dict[str, str]:
    value = stored.get("ParameterValue") if stored else default
    return {
        "ParameterName": name,
        **({} if value is None else {"ParameterValue": value}),
        "Source": "user" if stored else "system" if default is not None else "engine-default",
        "DataType": _data_type(name),
        "ApplyType": "static" if is_static(name) else "dynamic",
        "ApplyMethod": (stored or {}).get("ApplyMethod", "pending-reboot"),
        "IsModifiable": "true",
    }


def _with_parameters(response: Response, parameters: list[dict[str, str]]) -> Response:
    """Fill in the list, which the response has empty. For moto's serializer it is the most expensive of an `up`."""
    structures = [
        f"<Parameter>{''.join(f'<{name}>{escape(value)}</{name}>' for name, value in parameter.items())}</Parameter>"
        for parameter in parameters
    ]
    body = response.body.replace(b"<Parameters/>", f"<Parameters>{''.join(structures)}</Parameters>".encode())
    return replace(response, body=body)


def _exists(name: str) -> bool:
    return name in engine_parameters() or name.partition(".")[0] in OTHER_PREFIXES


def is_static(name: str) -> bool:
    """Tell whether the parameter takes effect only when the server starts."""
    return name in STATIC_OF_RDS or engine_parameters().get(name, NOTHING)[0] == "postmaster"


def _data_type(name: str) -> str:
    return data_type(name, engine_parameters().get(name, NOTHING)[1])


@cache
def engine_parameters() -> dict[str, tuple[str, str]]:
    """Return PostgreSQL's parameters with context and type, as the server program lists them."""
    program = find_bindir() / "postgres"
    output = subprocess.run([program, "--describe-config"], capture_output=True, text=True, check=True).stdout
    lines = (line.split("\t") for line in output.splitlines())
    return {line[0]: (line[1], line[3]) for line in lines if len(line) > 3}

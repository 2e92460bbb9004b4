"""What a database instance may be: engine, class, storage, groups and password, as RDS offers them."""

from __future__ import annotations

import re
from typing import Any

from orderops.local.emulator.protocol import ApiError, Request
from orderops.local.rds.parameters import backend_of, ec2_of, given, listed, told_true

POSTGRES = "postgres"
NEWEST = {11: 22, 12: 22, 13: 23, 14: 24, 15: 19, 16: 15, 17: 11, 18: 6}
"""The newest minor version of each major one that RDS is taken to offer."""
BURSTING = r"t3|t4g"
STEADY = r"m[5-8]i?g?d?n?|r[5-8]i?g?b?d?n?|x2g|x2iedn|x2idn"
CLASS = re.compile(rf"db\.(({BURSTING})\.(micro|small|medium|(2?x)?large)|({STEADY})\.(medium|((\d|\d\d)?x)?large))")
LEAST_STORAGE = {"gp2": 20, "gp3": 20, "io1": 100, "io2": 100, "standard": 10}
STRIPED_FROM = 400
MANAGED = "ManageMasterUserPassword"
PASSWORD = "MasterUserPassword"
PRINTABLE = re.compile(r"[!#-.0-?A-~]*")


def refuse_new(call: Request) -> None:
    """What CreateDBInstance refuses."""
    if given(call, "DBClusterIdentifier"):
        return
    name = call.form.get("DBInstanceIdentifier", "")
    if name in backend_of(call).databases:
        raise ApiError("DBInstanceAlreadyExists", "DB instance already exists")
    _refuse_version(call)
    refuse_class(call)
    refuse_groups(call, call.form.get("Engine", ""), version_of(call))
    if not given(call, "MasterUsername"):
        raise ApiError("InvalidParameterValue", "The parameter MasterUsername must be provided and must not be blank.")
    if told_true(call, MANAGED) and given(call, PASSWORD):
        raise ApiError(
            "InvalidParameterCombination", f"You can't specify {PASSWORD} when {MANAGED} is specified as true."
        )
    if not told_true(call, MANAGED) and not given(call, PASSWORD):
        raise ApiError("InvalidParameterValue", f"The parameter {PASSWORD} must be provided and must not be blank.")
    refuse_password(call)
    if not given(call, "AllocatedStorage"):
        raise ApiError(
            "InvalidParameterValue", "The parameter AllocatedStorage must be provided and must not be blank."
        )
    storage = int(call.form["AllocatedStorage"])
    kind = call.form.get("StorageType", "gp2")
    refuse_size(call.form.get("Engine", ""), kind, storage)
    refuse_room(call, storage)
    if kind == "gp3" and storage < STRIPED_FROM and (given(call, "Iops") or given(call, "StorageThroughput")):
        raise ApiError(
            "InvalidParameterCombination",
            f"You can't specify IOPS or storage throughput for engine {call.form['Engine']} "
            f"and a storage size less than {STRIPED_FROM}.",
        )
    days = int(call.form.get("BackupRetentionPeriod", 1))
    if not 0 <= days <= 35:
        raise ApiError(
            "InvalidParameterValue", f"Invalid backup retention period: {days}. It must be a value between 0 and 35."
        )


def version_of(call: Request) -> str:
    """The version that a call asks for, whole: 16 means the newest 16."""
    asked = call.form.get("EngineVersion") or str(max(NEWEST))
    return whole_version(asked) if call.form.get("Engine", POSTGRES) == POSTGRES else asked


def whole_version(asked: str) -> str:
    """A version of PostgreSQL with its minor number."""
    return asked if "." in asked else f"{asked}.{NEWEST[int(asked)]}"


def is_offered(version: str) -> bool:
    """RDS has this version of PostgreSQL."""
    major, _, minor = version.partition(".")
    if not major.isdecimal() or int(major) not in NEWEST:
        return False
    return not minor or (minor.isdecimal() and 0 < int(minor) <= NEWEST[int(major)])


def refuse_class(call: Request) -> None:
    """A class that is no class of RDS."""
    asked = call.form.get("DBInstanceClass")
    if asked and not CLASS.fullmatch(asked):
        raise ApiError("InvalidParameterValue", f"Invalid DB Instance class: {asked}")


def refuse_size(engine: str, kind: str, storage: int) -> None:
    """Less storage than its type has at least."""
    if kind not in LEAST_STORAGE:
        raise ApiError("InvalidParameterValue", f"Invalid storage type: {kind}")
    if engine == POSTGRES and not LEAST_STORAGE[kind] <= storage <= 65536:
        raise ApiError(
            "InvalidParameterValue",
            f"Invalid storage size for engine name {engine} and storage type {kind}: {storage}",
        )


def refuse_room(call: Request, storage: int) -> None:
    """A limit of growth that leaves less room than one step takes."""
    most = int(call.form.get("MaxAllocatedStorage", 0))
    if most and most != storage and most * 10 < storage * 11:
        raise ApiError(
            "InvalidParameterCombination", "The maximum allocated storage must be increased by at least 10 percent."
        )


def refuse_password(call: Request) -> None:
    """A password that the engine does not take."""
    password = call.form.get(PASSWORD)
    if password is None:
        return
    why = "is not a valid password"
    if not 8 <= len(password) <= 128:
        raise ApiError(
            "InvalidParameterValue", f"The parameter {PASSWORD} {why} because it is not of 8 to 128 characters."
        )
    if not PRINTABLE.fullmatch(password):
        only = "Only printable ASCII characters besides '/', '@', '\"', ' ' may be used."
        raise ApiError("InvalidParameterValue", f"The parameter {PASSWORD} {why}. {only}")


def refuse_groups(call: Request, engine: str, version: str, subnet_group: str | None = None) -> None:
    """Groups that are not there, or do not fit the instance."""
    backend = backend_of(call)
    asked = call.form.get("DBSubnetGroupName") or subnet_group
    if asked and asked != "default" and asked not in backend.subnet_groups:
        raise ApiError("DBSubnetGroupNotFoundFault", f"DB subnet group '{asked}' does not exist.", 404)
    refuse_parameter_group(backend, call.form.get("DBParameterGroupName"), engine, version)
    group = backend.subnet_groups.get(asked) if asked else None
    vpc = group.vpc_id if group else getattr(ec2_of(call).get_default_vpc(), "id", None)
    for identifier in listed(call, "VpcSecurityGroupIds"):
        found = ec2_of(call).get_security_group_from_id(identifier)
        if found is None:
            raise ApiError("InvalidParameterValue", f"Invalid security group , groupId= {identifier}, groupName=.")
        if found.vpc_id != vpc:
            raise ApiError(
                "InvalidParameterCombination",
                "The DB instance and EC2 security group are in different VPCs. "
                f"The DB instance is in {vpc} and the EC2 security group is in {found.vpc_id}",
            )


def refuse_parameter_group(backend: Any, name: str | None, engine: str, version: str) -> None:
    """A parameter group that is not there, or is of another family."""
    if not name or engine != POSTGRES:
        return
    family = f"{POSTGRES}{version.partition('.')[0]}"
    if name == f"default.{family}":
        return
    group = backend.db_parameter_groups.get(name)
    if group is None and not name.startswith("default."):
        raise ApiError("DBParameterGroupNotFound", f"DBParameterGroup not found: {name}", 404)
    there = group.family if group else name.removeprefix("default.")
    if there != family:
        raise ApiError(
            "InvalidParameterCombination",
            f"The Parameter Group {name} with DBParameterGroupFamily {there} cannot be used for this instance. "
            f"Please use a Parameter Group with DBParameterGroupFamily {family}",
        )


def _refuse_version(call: Request) -> None:
    asked = call.form.get("EngineVersion")
    if asked and call.form.get("Engine") == POSTGRES and not is_offered(asked):
        raise ApiError("InvalidParameterCombination", f"Cannot find version {asked} for {POSTGRES}")

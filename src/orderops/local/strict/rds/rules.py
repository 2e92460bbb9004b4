"""What RDS offers: engine versions, classes, storage, groups and passwords."""

from __future__ import annotations

import re
from typing import Any

from orderops.local.emulator.protocol import ApiError, Request
from orderops.local.rds.parameters import backend_of, ec2_of, has_parameter, is_true, list_of

POSTGRES = "postgres"
# Newest minor version of each major version that the emulated RDS offers.
NEWEST_MINOR = {11: 22, 12: 22, 13: 23, 14: 24, 15: 19, 16: 15, 17: 11, 18: 6}
# Families of instance classes for PostgreSQL, without those that RDS no longer offers.
BURSTABLE_CLASSES = r"t3|t4g"
FIXED_CLASSES = r"m[5-8]i?g?d?n?|r[5-8]i?g?b?d?n?|x2g|x2iedn|x2idn"
INSTANCE_CLASS = re.compile(
    rf"db\.(({BURSTABLE_CLASSES})\.(micro|small|medium|(2?x)?large)|({FIXED_CLASSES})\.(medium|((\d|\d\d)?x)?large))"
)
# GiB, from "Amazon RDS DB instance storage".
MIN_STORAGE = {"gp2": 20, "gp3": 20, "io1": 100, "io2": 100, "standard": 10}
# GiB from which RDS stripes a gp3 volume, and IOPS and throughput can be set.
STRIPED_FROM = 400
MANAGED = "ManageMasterUserPassword"
PASSWORD = "MasterUserPassword"
# All printable ASCII characters except `/`, `"`, `@` and space.
PRINTABLE = re.compile(r"[!#-.0-?A-~]*")


def check_new(request: Request) -> None:
    """Check CreateDBInstance."""
    if has_parameter(request, "DBClusterIdentifier"):
        return
    name = request.form.get("DBInstanceIdentifier", "")
    if name in backend_of(request).databases:
        raise ApiError("DBInstanceAlreadyExists", "DB instance already exists")
    _check_version(request)
    check_class(request)
    check_groups(request, request.form.get("Engine", ""), version_of(request))
    if not has_parameter(request, "MasterUsername"):
        raise ApiError("InvalidParameterValue", "The parameter MasterUsername must be provided and must not be blank.")
    _check_new_password(request)
    _check_new_storage(request)
    days = int(request.form.get("BackupRetentionPeriod", 1))
    if not 0 <= days <= 35:
        raise ApiError(
            "InvalidParameterValue", f"Invalid backup retention period: {days}. It must be a value between 0 and 35."
        )


def _check_new_password(request: Request) -> None:
    if is_true(request, MANAGED) and has_parameter(request, PASSWORD):
        raise ApiError(
            "InvalidParameterCombination", f"You can't specify {PASSWORD} when {MANAGED} is specified as true."
        )
    if not is_true(request, MANAGED) and not has_parameter(request, PASSWORD):
        raise ApiError("InvalidParameterValue", f"The parameter {PASSWORD} must be provided and must not be blank.")
    check_password(request)


def _check_new_storage(request: Request) -> None:
    if not has_parameter(request, "AllocatedStorage"):
        raise ApiError(
            "InvalidParameterValue", "The parameter AllocatedStorage must be provided and must not be blank."
        )
    storage = int(request.form["AllocatedStorage"])
    kind = request.form.get("StorageType", "gp2")
    check_size(request.form.get("Engine", ""), kind, storage)
    check_growth_limit(request, storage)
    if (
        kind == "gp3"
        and storage < STRIPED_FROM
        and (has_parameter(request, "Iops") or has_parameter(request, "StorageThroughput"))
    ):
        raise ApiError(
            "InvalidParameterCombination",
            f"You can't specify IOPS or storage throughput for engine {request.form['Engine']} "
            f"and a storage size less than {STRIPED_FROM}.",
        )


def version_of(request: Request) -> str:
    """Return the requested version in full: 16 means the newest 16."""
    requested = request.form.get("EngineVersion") or str(max(NEWEST_MINOR))
    return full_version(requested) if request.form.get("Engine", POSTGRES) == POSTGRES else requested


def full_version(requested: str) -> str:
    """Return a PostgreSQL version with its minor number."""
    return requested if "." in requested else f"{requested}.{NEWEST_MINOR[int(requested)]}"


def is_offered(version: str) -> bool:
    """Tell whether RDS offers this version of PostgreSQL."""
    major, _, minor = version.partition(".")
    if not major.isdecimal() or int(major) not in NEWEST_MINOR:
        return False
    return not minor or (minor.isdecimal() and 0 < int(minor) <= NEWEST_MINOR[int(major)])


def check_class(request: Request) -> None:
    """Check that RDS has this instance class."""
    requested = request.form.get("DBInstanceClass")
    if requested and not INSTANCE_CLASS.fullmatch(requested):
        raise ApiError("InvalidParameterValue", f"Invalid DB Instance class: {requested}")


def check_size(engine: str, kind: str, storage: int) -> None:
    """Check the storage size against the minimum of its type."""
    if kind not in MIN_STORAGE:
        raise ApiError("InvalidParameterValue", f"Invalid storage type: {kind}")
    if engine == POSTGRES and not MIN_STORAGE[kind] <= storage <= 65536:
        raise ApiError(
            "InvalidParameterValue",
            f"Invalid storage size for engine name {engine} and storage type {kind}: {storage}",
        )


def check_growth_limit(request: Request, storage: int) -> None:
    """Check that MaxAllocatedStorage leaves room for one growth step of 10 %."""
    limit = int(request.form.get("MaxAllocatedStorage", 0))
    if limit and limit != storage and limit * 10 < storage * 11:
        raise ApiError(
            "InvalidParameterCombination", "The maximum allocated storage must be increased by at least 10 percent."
        )


def check_password(request: Request) -> None:
    """Check that the engine accepts the password."""
    password = request.form.get(PASSWORD)
    if password is None:
        return
    problem = "is not a valid password"
    if not 8 <= len(password) <= 128:
        raise ApiError(
            "InvalidParameterValue", f"The parameter {PASSWORD} {problem} because it is not of 8 to 128 characters."
        )
    if not PRINTABLE.fullmatch(password):
        only = "Only printable ASCII characters besides '/', '@', '\"', ' ' may be used."
        raise ApiError("InvalidParameterValue", f"The parameter {PASSWORD} {problem}. {only}")


def check_groups(request: Request, engine: str, version: str, subnet_group: str | None = None) -> None:
    """Check that groups exist and fit the instance."""
    backend = backend_of(request)
    name = request.form.get("DBSubnetGroupName") or subnet_group
    if name and name != "default" and name not in backend.subnet_groups:
        raise ApiError("DBSubnetGroupNotFoundFault", f"DB subnet group '{name}' does not exist.", 404)
    check_parameter_group(backend, request.form.get("DBParameterGroupName"), engine, version)
    group = backend.subnet_groups.get(name) if name else None
    vpc = group.vpc_id if group else getattr(ec2_of(request).get_default_vpc(), "id", None)
    for identifier in list_of(request, "VpcSecurityGroupIds"):
        security_group = ec2_of(request).get_security_group_from_id(identifier)
        if security_group is None:
            raise ApiError("InvalidParameterValue", f"Invalid security group , groupId= {identifier}, groupName=.")
        if security_group.vpc_id != vpc:
            raise ApiError(
                "InvalidParameterCombination",
                "The DB instance and EC2 security group are in different VPCs. "
                f"The DB instance is in {vpc} and the EC2 security group is in {security_group.vpc_id}",
            )


def check_parameter_group(backend: Any, name: str | None, engine: str, version: str) -> None:
    """Check that the parameter group exists and has the engine's family."""
    if not name or engine != POSTGRES:
        return
    family = f"{POSTGRES}{version.partition('.')[0]}"
    if name == f"default.{family}":
        return
    group = backend.db_parameter_groups.get(name)
    if group is None and not name.startswith("default."):
        raise ApiError("DBParameterGroupNotFound", f"DBParameterGroup not found: {name}", 404)
    group_family = group.family if group else name.removeprefix("default.")
    if group_family != family:
        raise ApiError(
            "InvalidParameterCombination",
            f"The Parameter Group {name} with DBParameterGroupFamily {group_family} cannot be used for this instance. "
            f"Please use a Parameter Group with DBParameterGroupFamily {family}",
        )


def _check_version(request: Request) -> None:
    requested = request.form.get("EngineVersion")
    if requested and request.form.get("Engine") == POSTGRES and not is_offered(requested):
        raise ApiError("InvalidParameterCombination", f"Cannot find version {requested} for {POSTGRES}")

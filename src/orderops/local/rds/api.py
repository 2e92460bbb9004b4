"""RDS requests, and Secrets Manager's for managed passwords, that depend on a real server."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.emulator.moto_models import DBInstance, change_password
from orderops.local.emulator.protocol import ApiError, Request, Response, json_answer
from orderops.local.emulator.server import Emulator
from orderops.local.rds import snapshots
from orderops.local.rds.binaries import find_bindir, full_server_version

NEEDS_AVAILABLE = ("RebootDBInstance", "StopDBInstance", "CreateDBSnapshot", "ModifyDBInstance")
# AWS also accepts changes of a stopped instance.
USABLE = {"ModifyDBInstance": ("available", "stopped")}


def instances() -> list[tuple[Any, DBInstance]]:
    """Return every instance with a server, in every region, with its moto backend."""
    return [
        (backend, instance)
        for _, _, backend in get_backend("rds").iter_backends()
        for instance in list(backend.databases.values())
        if isinstance(instance, DBInstance) and instance.has_server
    ]


def folders_in_use() -> set[str]:
    """Return the directories that can still be needed: of instances, retained backups and snapshots."""
    records = [instance for _, instance in instances()]
    in_use = {instance.dbi_resource_id for instance in records}
    in_use |= {instance.origin.folder for instance in records if instance.origin and not instance.endpoint_port}
    for snapshot in _all_snapshots():
        if snapshots.has_data(snapshot):
            in_use.add(snapshot.data_folder)
        elif snapshot.database.restorable_since and "deleted_at" in snapshot.database.__dict__:
            in_use.add(snapshot.dbi_resource_id)
    return in_use


def delete_expired_backups() -> None:
    """Delete retained backups after as many days as the instance kept its backups."""
    for _, _, backend in get_backend("rds").iter_backends():
        for name, snapshot in list(backend.database_snapshots.items()):
            deleted_at = snapshot.database.__dict__.get("deleted_at")
            if deleted_at and time.time() > deleted_at + snapshot.database.backup_retention_period * 86_400:
                del backend.database_snapshots[name]


def _all_snapshots() -> list[Any]:
    """Return every snapshot of an instance with a server."""
    every = [
        snapshot
        for _, _, backend in get_backend("rds").iter_backends()
        for snapshot in backend.database_snapshots.values()
    ]
    return [snapshot for snapshot in every if getattr(snapshot.database, "has_server", False)]


def register(emulator: Emulator, port_problem: Callable[[int], str]) -> None:
    """Reject what an instance's status forbids, and turn moto's immediate results into targets."""

    def check_port_free(request: Request) -> None:
        if request.form.get("Engine") == "postgres" and (problem := port_problem(int(request.form.get("Port", 5432)))):
            raise ApiError("InvalidParameterValue", problem)

    emulator.before["rds", "CreateDBInstance"] = [check_port_free, _check_version]
    for action in NEEDS_AVAILABLE:
        emulator.before["rds", action] = [_check_usable]
    emulator.before["rds", "ModifyDBInstance"].append(_check_name_free)
    emulator.before["rds", "ModifyDBInstance"].append(_check_version)
    emulator.before["rds", "DeleteDBInstance"] = [_note_instance]
    emulator.before["rds", "DeleteDBSnapshot"] = [_check_snapshot_complete]
    emulator.after["rds", "DeleteDBInstance"] = [_begin_deletion]
    emulator.after["rds", "RebootDBInstance"] = [_begin_reboot]
    for action in ("CreateDBSnapshot", "StopDBInstance"):
        emulator.after["rds", action] = [_begin_snapshot]
    emulator.after["rds", "CopyDBSnapshot"] = [_copy_data]
    emulator.instead["secretsmanager", "RotateSecret"] = _rotate


def _backend(request: Request) -> Any:
    return get_backend("rds")[DEFAULT_ACCOUNT_ID][request.region]


def _instance_of(request: Request) -> DBInstance | None:
    instance = _backend(request).databases.get(request.form.get("DBInstanceIdentifier", "").lower())
    return instance if isinstance(instance, DBInstance) and instance.has_server else None


def _check_usable(request: Request) -> None:
    instance = _instance_of(request)
    if instance and instance.status not in USABLE.get(request.action, ("available",)):
        raise ApiError(
            "InvalidDBInstanceState",
            f"Database instance is not in available state: {instance.db_instance_identifier} is {instance.status}.",
        )


def _check_version(request: Request) -> None:
    """Reject a version that is not the one of this machine: the server would be another than the instance says."""
    requested = request.form.get("EngineVersion", "")
    instance = _instance_of(request)
    if not requested or not (instance or request.form.get("Engine") == "postgres"):
        return
    here = full_server_version(find_bindir())
    major, _, minor = requested.partition(".")
    here_major, _, here_minor = here.partition(".")
    if major != here_major or int(minor or 0) > int(here_minor or 0):
        raise ApiError(
            "InvalidParameterCombination",
            f"PostgreSQL {requested} does not run on this laptop, which has {here}. Set engine_version = "
            f'"{here_major}" under [database] in the environment file, or ORDEROPS_PG_BIN to the bin directory of '
            f"PostgreSQL {major}",
        )


def _check_name_free(request: Request) -> None:
    name = request.form.get("NewDBInstanceIdentifier", "").lower()
    if name and name in _backend(request).databases and name != request.form["DBInstanceIdentifier"].lower():
        raise ApiError("DBInstanceAlreadyExists", "DB instance already exists")


def _note_instance(request: Request) -> None:
    instance = _instance_of(request)
    if instance and instance.status == "deleting":
        name = instance.db_instance_identifier
        raise ApiError("InvalidDBInstanceState", f"Instance {name} is already being deleted.")
    request.environ["orderops.instance"] = instance
    automated = {
        name: snapshot for name, snapshot in _backend(request).database_snapshots.items() if _is_automated(snapshot)
    }
    request.environ["orderops.automated"] = automated


def _begin_deletion(request: Request, response: Response) -> None:
    """Keep the instance as `deleting` until its server is removed; moto has already deleted it."""
    instance = request.environ["orderops.instance"]
    if not instance:
        return
    instance.set_status("deleting")
    backend = _backend(request)
    backend.databases[instance.db_instance_identifier] = instance
    final = backend.database_snapshots.get(request.form.get("FinalDBSnapshotIdentifier", "").lower())
    if final:
        snapshots.begin(final)
    _retain_backups(request, instance)


def _retain_backups(request: Request, instance: DBInstance) -> None:
    """Delete or retain the automated backups of this instance only; moto matches them by name."""
    backend = _backend(request)
    retains = request.form.get("DeleteAutomatedBackups", "").lower() == "false" and instance.backup_retention_period
    if retains:
        instance.retained = copy.copy(instance)
        instance.retained.deleted_at = time.time()
    for name, snapshot in request.environ["orderops.automated"].items():
        own = snapshot.dbi_resource_id == instance.dbi_resource_id
        if own and retains:
            snapshot.database = instance.retained
        if not own or retains:
            backend.database_snapshots[name] = snapshot
        else:
            backend.database_snapshots.pop(name, None)


def _is_automated(snapshot: Any) -> bool:
    return bool(snapshot.snapshot_type == "automated")


def _begin_snapshot(request: Request, response: Response) -> None:
    """Let the instance's server produce the snapshot's data."""
    snapshot = _backend(request).database_snapshots.get(request.form.get("DBSnapshotIdentifier", "").lower())
    if snapshot and _instance_of(request):
        snapshots.begin(snapshot)


def _copy_data(request: Request, response: Response) -> None:
    """Let the copy refer to the same data directory."""
    snapshots_by_name = _backend(request).database_snapshots
    source = snapshots_by_name.get(request.form["SourceDBSnapshotIdentifier"].rpartition(":snapshot:")[2].lower())
    if source and snapshots.has_data(source):
        copy = snapshots_by_name[request.form["TargetDBSnapshotIdentifier"].lower()]
        copy.data_folder, copy.status = source.data_folder, source.status


def _check_snapshot_complete(request: Request) -> None:
    name = request.form.get("DBSnapshotIdentifier", "").lower()
    snapshot = _backend(request).database_snapshots.get(name)
    if snapshot and snapshots.has_data(snapshot) and snapshot.status == "creating":
        raise ApiError("InvalidDBSnapshotState", f"The snapshot {name} is not in available state.")


def _begin_reboot(request: Request, response: Response) -> None:
    if instance := _instance_of(request):
        instance.set_status("rebooting")


def _rotate(request: Request) -> Response | None:
    """Rotate a managed password, which RDS does without a Lambda function."""
    secretsmanager = get_backend("secretsmanager")[DEFAULT_ACCOUNT_ID][request.region]
    name = request.json.get("SecretId", "")
    if not secretsmanager._is_valid_identifier(name):
        return None
    secret = secretsmanager.secrets[name]
    owners = [tag["Value"] for tag in secret.tags or () if tag["Key"] == "aws:secretsmanager:owningService"]
    # A secret of the operator's own goes to moto, which needs a function to rotate it.
    if owners != ["rds"]:
        return None
    change_password(secretsmanager, secret.arn)
    return json_answer({"ARN": secret.arn, "Name": secret.name, "VersionId": secret.default_version_id})

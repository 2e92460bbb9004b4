"""The calls of RDS (and of Secrets Manager, for its managed passwords) that a real server stands behind."""

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
from orderops.local.rds.parameters import leave_out, told_true

NEEDS_AVAILABLE = ("RebootDBInstance", "StopDBInstance", "CreateDBSnapshot", "ModifyDBInstance")
USABLE = {"ModifyDBInstance": ("available", "stopped")}


def instances() -> list[tuple[Any, DBInstance]]:
    """Every instance with a server, in every region, with the backend that holds it."""
    return [
        (backend, instance)
        for _, _, backend in get_backend("rds").iter_backends()
        for instance in list(backend.databases.values())
        if isinstance(instance, DBInstance) and instance.is_real
    ]


def folders() -> set[str]:
    """Where data is that somebody may still ask for: of instances, of backups that they left, and of snapshots."""
    every = [one for _, one in instances()]
    found = {one.dbi_resource_id for one in every}
    found |= {one.origin.folder for one in every if one.origin and not one.endpoint_port}
    for snapshot in _all_snapshots():
        if snapshots.is_kept(snapshot):
            found.add(snapshot.kept_in)
        elif snapshot.database.restorable_since and "retained_at" in snapshot.database.__dict__:
            found.add(snapshot.dbi_resource_id)
    return found


def forget_old_backups() -> None:
    """What a deleted instance left is kept for as many days as its backups were."""
    for _, _, backend in get_backend("rds").iter_backends():
        for name, snapshot in list(backend.database_snapshots.items()):
            since = snapshot.database.__dict__.get("retained_at")
            if since and time.time() > since + snapshot.database.backup_retention_period * 86_400:
                del backend.database_snapshots[name]


def _all_snapshots() -> list[Any]:
    """Every snapshot of an instance with a server."""
    found = [one for _, _, backend in get_backend("rds").iter_backends() for one in backend.database_snapshots.values()]
    return [snapshot for snapshot in found if getattr(snapshot.database, "is_real", False)]


def take_part(emulator: Emulator, refuse_port: Callable[[int], str]) -> None:
    """Refuse what the state of an instance forbids, and turn moto's instant results into wishes."""

    def create(call: Request) -> None:
        if call.form.get("Engine") == "postgres" and (why := refuse_port(int(call.form.get("Port", 5432)))):
            raise ApiError("InvalidParameterValue", why)

    emulator.before["rds", "CreateDBInstance"] = [create]
    for action in NEEDS_AVAILABLE:
        emulator.before["rds", action] = [_needs_usable]
    emulator.before["rds", "ModifyDBInstance"].append(_name_is_free)
    emulator.before["rds", "ModifyDBInstance"].append(_is_managed_already)
    emulator.before["rds", "DeleteDBInstance"] = [_remember]
    emulator.before["rds", "DeleteDBSnapshot"] = [_is_whole]
    emulator.after["rds", "DeleteDBInstance"] = [_deleting]
    emulator.after["rds", "RebootDBInstance"] = [_rebooting]
    for action in ("CreateDBSnapshot", "StopDBInstance"):
        emulator.after["rds", action] = [_keep_snapshot]
    emulator.after["rds", "CopyDBSnapshot"] = [_copied]
    emulator.instead["rds", "CreateDBInstanceReadReplica"] = _not_yet
    emulator.instead["secretsmanager", "RotateSecret"] = _rotate


def _backend(call: Request) -> Any:
    return get_backend("rds")[DEFAULT_ACCOUNT_ID][call.region]


def _instance(call: Request) -> DBInstance | None:
    found = _backend(call).databases.get(call.form.get("DBInstanceIdentifier", "").lower())
    return found if isinstance(found, DBInstance) and found.is_real else None


def _needs_usable(call: Request) -> None:
    instance = _instance(call)
    if instance and instance.status not in USABLE.get(call.action, ("available",)):
        raise ApiError(
            "InvalidDBInstanceState",
            f"Database instance is not in available state: {instance.db_instance_identifier} is {instance.status}.",
        )


def _name_is_free(call: Request) -> None:
    name = call.form.get("NewDBInstanceIdentifier", "").lower()
    if name and name in _backend(call).databases and name != call.form["DBInstanceIdentifier"].lower():
        raise ApiError("DBInstanceAlreadyExists", "DB instance already exists")


def _is_managed_already(call: Request) -> None:
    """moto makes a second secret of a password that is managed already, and loses the first."""
    instance = _instance(call)
    if instance and instance.manage_master_user_password and told_true(call, "ManageMasterUserPassword"):
        leave_out(call, ["ManageMasterUserPassword"])


def _remember(call: Request) -> None:
    instance = _instance(call)
    if instance and instance.status == "deleting":
        name = instance.db_instance_identifier
        raise ApiError("InvalidDBInstanceState", f"Instance {name} is already being deleted.")
    call.environ["orderops.instance"] = instance
    automated = {name: one for name, one in _backend(call).database_snapshots.items() if _is_automated(one)}
    call.environ["orderops.automated"] = automated


def _deleting(call: Request, answer: Response) -> None:
    """moto has forgotten it; it stays, as `deleting`, for as long as its server is there."""
    instance = call.environ["orderops.instance"]
    if not instance:
        return
    instance.settle("deleting")
    backend = _backend(call)
    backend.databases[instance.db_instance_identifier] = instance
    final = backend.database_snapshots.get(call.form.get("FinalDBSnapshotIdentifier", "").lower())
    if final:
        snapshots.keep(final)
    _keep_backups(call, instance)


def _keep_backups(call: Request, instance: DBInstance) -> None:
    """The automated backups of this very instance go or stay; moto takes those of the same name for its."""
    backend = _backend(call)
    retains = call.form.get("DeleteAutomatedBackups", "").lower() == "false" and instance.backup_retention_period
    if retains:
        instance.retained = copy.copy(instance)
        instance.retained.retained_at = time.time()
    for name, snapshot in call.environ["orderops.automated"].items():
        mine = snapshot.dbi_resource_id == instance.dbi_resource_id
        if mine and retains:
            snapshot.database = instance.retained
        if not mine or retains:
            backend.database_snapshots[name] = snapshot
        else:
            backend.database_snapshots.pop(name, None)


def _is_automated(snapshot: Any) -> bool:
    return bool(snapshot.snapshot_type == "automated")


def _keep_snapshot(call: Request, answer: Response) -> None:
    """The snapshot that was asked for is made of the instance's server."""
    snapshot = _backend(call).database_snapshots.get(call.form.get("DBSnapshotIdentifier", "").lower())
    if snapshot and _instance(call):
        snapshots.keep(snapshot)


def _copied(call: Request, answer: Response) -> None:
    """Another name for the same data."""
    found = _backend(call).database_snapshots
    source = found.get(call.form["SourceDBSnapshotIdentifier"].rpartition(":snapshot:")[2].lower())
    if source and snapshots.is_kept(source):
        copied = found[call.form["TargetDBSnapshotIdentifier"].lower()]
        copied.kept_in, copied.status = source.kept_in, source.status


def _is_whole(call: Request) -> None:
    name = call.form.get("DBSnapshotIdentifier", "").lower()
    snapshot = _backend(call).database_snapshots.get(name)
    if snapshot and snapshots.is_kept(snapshot) and snapshot.status == "creating":
        raise ApiError("InvalidDBSnapshotState", f"The snapshot {name} is not in available state.")


def _rebooting(call: Request, answer: Response) -> None:
    if instance := _instance(call):
        instance.settle("rebooting")


def _not_yet(call: Request) -> Response:
    raise ApiError("NotEmulated", f"{call.action} is not emulated on the laptop")


def _rotate(call: Request) -> Response | None:
    """A managed password is rotated by RDS itself, without a function."""
    secretsmanager = get_backend("secretsmanager")[DEFAULT_ACCOUNT_ID][call.region]
    name = call.json.get("SecretId", "")
    if not secretsmanager._is_valid_identifier(name):
        return None
    secret = secretsmanager.secrets[name]
    owners = [tag["Value"] for tag in secret.tags or () if tag["Key"] == "aws:secretsmanager:owningService"]
    if owners != ["rds"]:
        return None
    change_password(secretsmanager, secret.arn)
    return json_answer({"ARN": secret.arn, "Name": secret.name, "VersionId": secret.default_version_id})

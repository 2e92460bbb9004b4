"""The calls of RDS (and of Secrets Manager, for its managed passwords) that a real server stands behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.emulator import Emulator
from orderops.local.models import DBInstance, change_password
from orderops.local.wire import Answer, Call, Refusal, json_answer

NEEDS_AVAILABLE = ("RebootDBInstance", "StopDBInstance", "CreateDBSnapshot", "ModifyDBInstance")
NOT_YET = ("RestoreDBInstanceToPointInTime", "RestoreDBInstanceFromDBSnapshot", "CreateDBInstanceReadReplica")
USABLE = {"ModifyDBInstance": ("available", "stopped")}


def instances() -> list[tuple[Any, DBInstance]]:
    """Every instance with a server, in every region, with the backend that holds it."""
    return [
        (backend, instance)
        for _, _, backend in get_backend("rds").iter_backends()
        for instance in list(backend.databases.values())
        if isinstance(instance, DBInstance) and instance.is_real
    ]


def take_part(emulator: Emulator, refuse_port: Callable[[int], str]) -> None:
    """Refuse what the state of an instance forbids, and turn moto's instant results into wishes."""

    def create(call: Call) -> None:
        if call.form.get("Engine") == "postgres" and (why := refuse_port(int(call.form.get("Port", 5432)))):
            raise Refusal("InvalidParameterValue", why)

    emulator.before["rds", "CreateDBInstance"] = [create]
    for action in NEEDS_AVAILABLE:
        emulator.before["rds", action] = [_needs_usable]
    emulator.before["rds", "ModifyDBInstance"].append(_name_is_free)
    emulator.before["rds", "DeleteDBInstance"] = [_remember]
    emulator.after["rds", "DeleteDBInstance"] = [_deleting]
    emulator.after["rds", "RebootDBInstance"] = [_rebooting]
    for action in NOT_YET:
        emulator.instead["rds", action] = _not_yet
    emulator.instead["secretsmanager", "RotateSecret"] = _rotate


def _backend(call: Call) -> Any:
    return get_backend("rds")[DEFAULT_ACCOUNT_ID][call.region]


def _instance(call: Call) -> DBInstance | None:
    found = _backend(call).databases.get(call.form.get("DBInstanceIdentifier", "").lower())
    return found if isinstance(found, DBInstance) and found.is_real else None


def _needs_usable(call: Call) -> None:
    instance = _instance(call)
    if instance and instance.status not in USABLE.get(call.action, ("available",)):
        raise Refusal(
            "InvalidDBInstanceState",
            f"Database instance is not in available state: {instance.db_instance_identifier} is {instance.status}.",
        )


def _name_is_free(call: Call) -> None:
    name = call.form.get("NewDBInstanceIdentifier", "").lower()
    if name and name in _backend(call).databases and name != call.form["DBInstanceIdentifier"].lower():
        raise Refusal("DBInstanceAlreadyExists", "DB instance already exists")


def _remember(call: Call) -> None:
    instance = _instance(call)
    if instance and instance.status == "deleting":
        name = instance.db_instance_identifier
        raise Refusal("InvalidDBInstanceState", f"Instance {name} is already being deleted.")
    call.environ["orderops.instance"] = instance


def _deleting(call: Call, answer: Answer) -> None:
    """moto has forgotten it; it stays, as `deleting`, for as long as its server is there."""
    instance = call.environ["orderops.instance"]
    if instance:
        instance.settle("deleting")
        _backend(call).databases[instance.db_instance_identifier] = instance


def _rebooting(call: Call, answer: Answer) -> None:
    if instance := _instance(call):
        instance.settle("rebooting")


def _not_yet(call: Call) -> Answer:
    raise Refusal("NotEmulated", f"{call.action} is not emulated on the laptop")


def _rotate(call: Call) -> Answer | None:
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

"""RDS: an instance takes its time to be made, rebooted, stopped, started and deleted, and refuses much meanwhile."""

from __future__ import annotations

import re
import time
from typing import Any

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.rds.parameters import answer_with, backend_of, given, told_true
from orderops.local.strict.delays import Delays
from orderops.local.strict.rds.rules import POSTGRES, refuse_new, version_of
from orderops.local.strict.rds.states import (
    AVAILABLE,
    GONE,
    Seen,
    become,
    identify,
    is_real,
    make_room,
    new_resource_id,
    settle,
)

NAMED = "DBInstanceIdentifier"
NEED_AVAILABLE = ("RebootDBInstance", "StopDBInstance")
LOOKING = (
    "CreateDBInstance",
    "CreateDBInstanceReadReplica",
    "CreateDBSnapshot",
    "DeleteDBInstance",
    "DeleteDBParameterGroup",
    "DeleteDBSnapshot",
    "DeleteDBSubnetGroup",
    "DescribeDBInstances",
    "DescribeDBSnapshots",
    "ModifyDBInstance",
    "ModifyDBParameterGroup",
    "RebootDBInstance",
    "StartDBInstance",
    "StopDBInstance",
)
"""The calls before which everything becomes what it has become meanwhile."""


def mend(emulator: Emulator) -> None:
    """Make an instance again within the minute, and give one the port that it is to have."""
    emulator.on_before("rds", "CreateDBInstance", lambda call: make_room(backend_of(call), call.form[NAMED]))
    emulator.on_after("rds", "ModifyDBInstance", _set_port)


class Instances:
    """The life of instances, at a pace."""

    def __init__(self, emulator: Emulator, pace: Delays) -> None:
        self._pace = pace
        for action in LOOKING:
            emulator.on_before("rds", action, lambda call: settle(backend_of(call)))
        for action in NEED_AVAILABLE:
            emulator.on_before("rds", action, _needs_available)
        emulator.on_before("rds", "CreateDBInstance", refuse_new)
        emulator.on_after("rds", "CreateDBInstance", self._created)
        emulator.on_before("rds", "DeleteDBInstance", _refuse_deletion)
        emulator.on_after("rds", "DeleteDBInstance", self._deleted)
        emulator.on_after("rds", "RebootDBInstance", self._rebooted)
        emulator.on_after("rds", "StopDBInstance", self._stopped)
        emulator.on_after("rds", "StartDBInstance", self._started)
        emulator.on_before("rds", "CreateDBSnapshot", _refuse_snapshot)
        emulator.on_after("rds", "CreateDBSnapshot", self._snapshot_taken)
        emulator.on_before("rds", "CreateDBInstanceReadReplica", _refuse_replica)
        emulator.on_after("rds", "CreateDBInstanceReadReplica", self._copied)
        emulator.on_after("rds", "DescribeDBInstances", self._told)

    def one(self, call: Request, instance: Any) -> Response:
        """The instance, as the answer of a call that does something with it."""
        return one(call, instance, self._pace)

    def _created(self, call: Request, answer: Response) -> Response:
        instance = backend_of(call).databases[call.form[NAMED]]
        instance.performance_insights_enabled = told_true(call, "EnablePerformanceInsights")
        if instance.publicly_accessible is None:
            instance.publicly_accessible = not given(call, "DBSubnetGroupName")
        instance.engine_lifecycle_support = call.form.get("EngineLifecycleSupport", "open-source-rds-extended-support")
        if instance.engine == POSTGRES:
            instance.engine_version = version_of(call)
        if not is_real(instance):
            identify(backend_of(call), instance)
            is_made(instance, self._pace)
        return self.one(call, instance)

    def _copied(self, call: Request, answer: Response) -> Response:
        """A replica; moto makes it of all that its source has, identity and states included."""
        replica = backend_of(call).databases[call.form[NAMED]]
        replica.dbi_resource_id = new_resource_id()
        replica.db_instance_identifier = call.form[NAMED]
        replica.pending_modified_values = {}
        replica.backup_retention_period = 0
        is_made(replica, self._pace)
        return self.one(call, replica)

    def _deleted(self, call: Request, answer: Response) -> Response | None:
        instance = call.environ["orderops.leaving"]
        backend = backend_of(call)
        for snapshot in backend.database_snapshots.values():
            if snapshot.dbi_resource_id != instance.dbi_resource_id:
                continue
            if snapshot.snapshot_type == "automated":
                snapshot.database.backed_up_since = instance.__dict__.get("backed_up_since", 0.0)
                snapshot.database.retained_at = time.time()
            elif snapshot.db_snapshot_identifier == call.form.get("FinalDBSnapshotIdentifier", "").lower():
                self._is_being_taken(snapshot)
        if is_real(instance):
            return None
        backend.databases[instance.db_instance_identifier] = instance
        become(instance, "deleting", (self._pace.database, GONE))
        return self.one(call, instance)

    def _rebooted(self, call: Request, answer: Response) -> Response:
        instance = backend_of(call).databases[call.form[NAMED]]
        instance.parameter_apply_status = "in-sync"
        if not is_real(instance):
            become(instance, "rebooting", (self._pace.database, AVAILABLE))
        return self.one(call, instance)

    def _stopped(self, call: Request, answer: Response) -> Response | None:
        return self._moved(call, "stopping", "stopped")

    def _started(self, call: Request, answer: Response) -> Response | None:
        return self._moved(call, "starting", AVAILABLE)

    def _moved(self, call: Request, through: str, into: str) -> Response | None:
        instance = backend_of(call).databases[call.form[NAMED]]
        if is_real(instance):
            return None
        become(instance, through, (self._pace.database, into))
        return self.one(call, instance)

    def _snapshot_taken(self, call: Request, answer: Response) -> Response:
        backend = backend_of(call)
        snapshot = backend.database_snapshots[call.form["DBSnapshotIdentifier"]]
        self._is_being_taken(snapshot)
        return answer_with(call, {"DBSnapshot": snapshot})

    def _is_being_taken(self, snapshot: Any) -> None:
        if is_real(snapshot.database):
            return  # it is available when its data is kept
        snapshot.status = "creating"
        snapshot.available_from = time.time() + self._pace.database

    def _told(self, call: Request, answer: Response) -> Response:
        """The same instances that moto tells, as AWS would tell them now."""
        text = answer.body.decode()
        names = re.findall(f"<{NAMED}>([^<]+)</{NAMED}>", text)
        marker = re.search("<Marker>([^<]+)</Marker>", text)
        databases = backend_of(call).databases
        seen = [Seen(databases[name], self._pace) for name in dict.fromkeys(names) if name in databases]
        return answer_with(call, {"DBInstances": seen, "Marker": marker[1] if marker else None})


def one(call: Request, instance: Any, pace: Delays) -> Response:
    """An instance, as the answer of a call that does something with it."""
    return answer_with(call, {"DBInstance": Seen(instance, pace)})


def is_made(instance: Any, pace: Delays) -> None:
    """A new instance is being created, then backed up for the first time."""
    backing_up = [(pace.database, "backing-up")] if instance.backup_retention_period else []
    become(instance, "creating", *backing_up, (pace.database * 1.2, AVAILABLE))


def _set_port(call: Request, answer: Response) -> None:
    if "DBPortNumber" in call.form:
        backend_of(call).databases[call.form.get("NewDBInstanceIdentifier") or call.form[NAMED]].port = int(
            call.form["DBPortNumber"]
        )


def _needs_available(call: Request) -> None:
    instance = backend_of(call).databases.get(call.form.get(NAMED, ""))
    if instance and instance.status != AVAILABLE:
        raise ApiError("InvalidDBInstanceState", "Database instance is not in available state.")


def _refuse_deletion(call: Request) -> None:
    instance = backend_of(call).databases.get(call.form.get(NAMED, ""))
    call.environ["orderops.leaving"] = instance
    if instance is None:
        return
    final = given(call, "FinalDBSnapshotIdentifier")
    if told_true(call, "SkipFinalSnapshot") and final:
        raise ApiError(
            "InvalidParameterCombination",
            "FinalDBSnapshotIdentifier cannot be specified when SkipFinalSnapshot is specified.",
        )
    if not told_true(call, "SkipFinalSnapshot") and not final and not instance.is_replica:
        raise ApiError(
            "InvalidParameterCombination",
            "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.",
        )
    if instance.status == "deleting":
        name = instance.db_instance_identifier
        raise ApiError("InvalidDBInstanceState", f"Instance {name} is already being deleted.")
    if final and instance.status not in (AVAILABLE, "storage-optimization"):
        _no_snapshot_of(instance)


def _refuse_replica(call: Request) -> None:
    backend = backend_of(call)
    source = backend.databases.get(call.form.get("SourceDBInstanceIdentifier", "").rpartition(":db:")[2])
    if call.form[NAMED] in backend.databases:
        raise ApiError("DBInstanceAlreadyExists", "DB instance already exists")
    if source and not source.backup_retention_period:
        raise ApiError("InvalidDBInstanceState", "Automated backups are not enabled for this database instance.")
    if source and source.status != AVAILABLE:
        raise ApiError("InvalidDBInstanceState", "Database instance is not in available state.")
    if source and source.manage_master_user_password:
        raise ApiError(
            "InvalidDBInstanceState",
            "A read replica can't be created of a DB instance whose master user password is in Secrets Manager.",
        )


def _refuse_snapshot(call: Request) -> None:
    instance = backend_of(call).databases.get(call.form.get(NAMED, ""))
    if instance and instance.status not in (AVAILABLE, "storage-optimization"):
        _no_snapshot_of(instance)


def _no_snapshot_of(instance: Any) -> None:
    name = instance.db_instance_identifier
    raise ApiError(
        "InvalidDBInstanceState",
        f"Cannot create a snapshot because the database instance {name} is not currently in the available state.",
    )

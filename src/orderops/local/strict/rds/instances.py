"""RDS: creating, rebooting, stopping, starting and deleting take time, and most requests are rejected meanwhile."""

from __future__ import annotations

import re
import time
from typing import Any

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.rds.parameters import backend_of, has_parameter, is_true, rds_response
from orderops.local.strict.delays import Delays
from orderops.local.strict.rds.insights import check_insights, store_insights
from orderops.local.strict.rds.rules import POSTGRES, check_new, version_of
from orderops.local.strict.rds.states import (
    AVAILABLE,
    GONE,
    InstanceView,
    advance,
    free_snapshot_name,
    has_server,
    identify,
    transition,
)

IDENTIFIER = "DBInstanceIdentifier"
ACTIONS_ON_AVAILABLE = ("RebootDBInstance", "StopDBInstance")
# Requests before which due state changes are made.
SETTLING_ACTIONS = (
    "CreateDBInstance",
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


def patch(emulator: Emulator) -> None:
    """Allow re-creating an instance within the same minute, and set the port that moto ignores."""
    emulator.on_before(
        "rds", "CreateDBInstance", lambda request: free_snapshot_name(backend_of(request), request.form[IDENTIFIER])
    )
    emulator.on_after("rds", "ModifyDBInstance", _set_port)


class Instances:
    """Life cycle of instances, with delays."""

    def __init__(self, emulator: Emulator, delays: Delays) -> None:
        self._delays = delays
        for action in SETTLING_ACTIONS:
            emulator.on_before("rds", action, lambda request: advance(backend_of(request)))
        for action in ACTIONS_ON_AVAILABLE:
            emulator.on_before("rds", action, _check_available)
        emulator.on_before("rds", "CreateDBInstance", check_new)
        emulator.on_before("rds", "CreateDBInstance", check_insights)
        emulator.on_after("rds", "CreateDBInstance", self._created)
        emulator.on_before("rds", "DeleteDBInstance", _check_deletion)
        emulator.on_after("rds", "DeleteDBInstance", self._deleted)
        emulator.on_after("rds", "RebootDBInstance", self._rebooted)
        emulator.on_after("rds", "StopDBInstance", self._stopped)
        emulator.on_after("rds", "StartDBInstance", self._started)
        emulator.on_before("rds", "CreateDBSnapshot", _check_snapshot)
        emulator.on_after("rds", "CreateDBSnapshot", self._snapshot_taken)
        emulator.on_after("rds", "DescribeDBInstances", self._described)

    def response(self, request: Request, instance: Any) -> Response:
        """Return the instance as response to a request that changes it."""
        return instance_response(request, instance, self._delays)

    def _created(self, request: Request, response: Response) -> Response:
        instance = backend_of(request).databases[request.form[IDENTIFIER]]
        instance.performance_insights_enabled = False
        store_insights(request, instance)
        if instance.publicly_accessible is None:
            instance.publicly_accessible = not has_parameter(request, "DBSubnetGroupName")
        instance.engine_lifecycle_support = request.form.get(
            "EngineLifecycleSupport", "open-source-rds-extended-support"
        )
        if instance.engine == POSTGRES:
            instance.engine_version = version_of(request)
        if not has_server(instance):
            identify(backend_of(request), instance)
            begin_creation(instance, self._delays)
        return self.response(request, instance)

    def _deleted(self, request: Request, response: Response) -> Response | None:
        instance = request.environ["orderops.leaving"]
        backend = backend_of(request)
        for snapshot in backend.database_snapshots.values():
            if snapshot.dbi_resource_id != instance.dbi_resource_id:
                continue
            if snapshot.snapshot_type == "automated":
                snapshot.database.backed_up_since = instance.__dict__.get("backed_up_since", 0.0)
                snapshot.database.deleted_at = time.time()
            elif snapshot.db_snapshot_identifier == request.form.get("FinalDBSnapshotIdentifier", "").lower():
                self._begin_snapshot(snapshot)
        if has_server(instance):
            return None
        backend.databases[instance.db_instance_identifier] = instance
        transition(instance, "deleting", (self._delays.database, GONE))
        return self.response(request, instance)

    def _rebooted(self, request: Request, response: Response) -> Response:
        instance = backend_of(request).databases[request.form[IDENTIFIER]]
        instance.parameter_apply_status = "in-sync"
        if not has_server(instance):
            transition(instance, "rebooting", (self._delays.database, AVAILABLE))
        return self.response(request, instance)

    def _stopped(self, request: Request, response: Response) -> Response | None:
        return self._pass_through(request, "stopping", "stopped")

    def _started(self, request: Request, response: Response) -> Response | None:
        return self._pass_through(request, "starting", AVAILABLE)

    def _pass_through(self, request: Request, intermediate: str, final: str) -> Response | None:
        instance = backend_of(request).databases[request.form[IDENTIFIER]]
        if has_server(instance):
            return None
        transition(instance, intermediate, (self._delays.database, final))
        return self.response(request, instance)

    def _snapshot_taken(self, request: Request, response: Response) -> Response:
        backend = backend_of(request)
        snapshot = backend.database_snapshots[request.form["DBSnapshotIdentifier"]]
        self._begin_snapshot(snapshot)
        return rds_response(request, {"DBSnapshot": snapshot})

    def _begin_snapshot(self, snapshot: Any) -> None:
        if has_server(snapshot.database):
            # The data plane sets `available` once the data is copied.
            return
        snapshot.status = "creating"
        snapshot.available_from = time.time() + self._delays.database

    def _described(self, request: Request, response: Response) -> Response:
        """Return the instances of moto's response in AWS's form."""
        text = response.body.decode()
        names = re.findall(f"<{IDENTIFIER}>([^<]+)</{IDENTIFIER}>", text)
        marker = re.search("<Marker>([^<]+)</Marker>", text)
        databases = backend_of(request).databases
        views = [InstanceView(databases[name], self._delays) for name in dict.fromkeys(names) if name in databases]
        return rds_response(request, {"DBInstances": views, "Marker": marker[1] if marker else None})


def instance_response(request: Request, instance: Any, delays: Delays) -> Response:
    """Return the instance as response to a request that changes it."""
    return rds_response(request, {"DBInstance": InstanceView(instance, delays)})


def begin_creation(instance: Any, delays: Delays) -> None:
    """Put a new instance through `creating` and its first backup."""
    backing_up = [(delays.database, "backing-up")] if instance.backup_retention_period else []
    transition(instance, "creating", *backing_up, (delays.database * 1.2, AVAILABLE))


def _set_port(request: Request, response: Response) -> None:
    if "DBPortNumber" in request.form:
        backend_of(request).databases[
            request.form.get("NewDBInstanceIdentifier") or request.form[IDENTIFIER]
        ].port = int(request.form["DBPortNumber"])


def _check_available(request: Request) -> None:
    instance = backend_of(request).databases.get(request.form.get(IDENTIFIER, ""))
    if instance and instance.status != AVAILABLE:
        raise ApiError("InvalidDBInstanceState", "Database instance is not in available state.")


def _check_deletion(request: Request) -> None:
    instance = backend_of(request).databases.get(request.form.get(IDENTIFIER, ""))
    request.environ["orderops.leaving"] = instance
    if instance is None:
        return
    final = has_parameter(request, "FinalDBSnapshotIdentifier")
    if is_true(request, "SkipFinalSnapshot") and final:
        raise ApiError(
            "InvalidParameterCombination",
            "FinalDBSnapshotIdentifier cannot be specified when SkipFinalSnapshot is specified.",
        )
    if not is_true(request, "SkipFinalSnapshot") and not final:
        raise ApiError(
            "InvalidParameterCombination",
            "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.",
        )
    if instance.status == "deleting":
        name = instance.db_instance_identifier
        raise ApiError("InvalidDBInstanceState", f"Instance {name} is already being deleted.")
    if final and instance.status not in (AVAILABLE, "storage-optimization"):
        raise _snapshot_error(instance)


def _check_snapshot(request: Request) -> None:
    instance = backend_of(request).databases.get(request.form.get(IDENTIFIER, ""))
    if instance and instance.status not in (AVAILABLE, "storage-optimization"):
        raise _snapshot_error(instance)


def _snapshot_error(instance: Any) -> ApiError:
    name = instance.db_instance_identifier
    return ApiError(
        "InvalidDBInstanceState",
        f"Cannot create a snapshot because the database instance {name} is not currently in the available state.",
    )

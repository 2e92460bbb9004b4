"""RDS: blue/green deployments, which take their time, swap names at the switchover, and leave the old instance.

A deployment of moto's holds the members; its future states are stored on it as `stages`, like those of an instance.
"""

from __future__ import annotations

import time
from typing import Any

from moto.rds.models import BlueGreenDeployment

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.rds.parameters import backend_of, has_parameter, is_true, rds_response, tags_in
from orderops.local.strict.delays import Delays
from orderops.local.strict.rds.rules import POSTGRES
from orderops.local.strict.rds.states import AVAILABLE, GONE, advance, identify, rename, stages_of, transition
from orderops.local.strict.rds.versions import check_upgrade

SETTLING_ACTIONS = ("DescribeDBInstances", "ModifyDBInstance", "DeleteDBInstance", "CreateDBInstance")
STATES = BlueGreenDeployment.SupportedStates
OPEN = (STATES.PROVISIONING.name, STATES.AVAILABLE.name, STATES.SWITCHOVER_IN_PROGRESS.name)
SHORTEST, LONGEST, USUAL = 30, 3600, 300
"""Seconds that a switchover may be given."""
LOGICAL = "rds.logical_replication"
NAMELESS = "nameless"
"""A stage of the switchover in which the old instance has its new name already, and green its old one still."""


class BlueGreenRules:
    """Create, describe, switch over and delete deployments as on AWS."""

    def __init__(self, emulator: Emulator, delays: Delays) -> None:
        self._delays = delays
        emulator.instead["rds", "CreateBlueGreenDeployment"] = self._create
        emulator.instead["rds", "DescribeBlueGreenDeployments"] = _describe
        emulator.instead["rds", "SwitchoverBlueGreenDeployment"] = self._switch
        emulator.instead["rds", "DeleteBlueGreenDeployment"] = self._delete
        for action in SETTLING_ACTIONS:
            emulator.on_before("rds", action, lambda request: settle(backend_of(request)))

    def _create(self, request: Request) -> Response:
        backend, name = _settled(request), request.form["BlueGreenDeploymentName"]
        if any(other.blue_green_deployment_name == name for other in backend.blue_green_deployments.values()):
            raise ApiError(
                "BlueGreenDeploymentAlreadyExistsFault", f"A blue/green deployment named {name} already exists.", 400
            )
        source = _source(request, backend)
        version = _check_version(request, backend, source)
        deployment = BlueGreenDeployment(
            backend,
            name,
            source.db_instance_arn,
            tags_in(request),
            target_engine_version=version,
            target_db_parameter_group_name=_group(request, backend, source, version),
            target_db_instance_class=request.form.get("TargetDBInstanceClass"),
        )
        green = backend.find_db_from_id(deployment.target)
        identify(backend, green)
        transition(green, "creating", (self._delays.database, AVAILABLE))
        deployment.set_status(STATES.PROVISIONING)
        _set_tasks(deployment, "IN_PROGRESS")
        deployment.stages = [(time.time() + self._delays.database * 1.2, STATES.AVAILABLE.name)]
        backend.blue_green_deployments[deployment.blue_green_deployment_identifier] = deployment
        return _answer(request, deployment)

    def _switch(self, request: Request) -> Response:
        deployment = _found(request)
        seconds = int(request.form.get("SwitchoverTimeout", USUAL))
        if not SHORTEST <= seconds <= LONGEST:
            raise ApiError(
                "InvalidParameterValue", f"SwitchoverTimeout must be between {SHORTEST} and {LONGEST} seconds."
            )
        if deployment.status != STATES.AVAILABLE.name:
            raise _wrong_state(deployment)
        deployment.set_status(STATES.SWITCHOVER_IN_PROGRESS)
        now, half = time.time(), self._delays.database / 4
        deployment.stages = [(now + half, NAMELESS), (now + 2 * half, STATES.SWITCHOVER_COMPLETED.name)]
        return _answer(request, deployment)

    def _delete(self, request: Request) -> Response:
        deployment, with_target = _found(request), is_true(request, "DeleteTarget")
        completed = deployment.status == STATES.SWITCHOVER_COMPLETED.name
        busy = (STATES.SWITCHOVER_IN_PROGRESS.name, STATES.DELETING.name)
        if deployment.status in busy or (completed and with_target):
            raise _wrong_state(deployment)
        deployment.set_status(STATES.DELETING)
        deployment.stages = [(time.time() + self._delays.database / 2, GONE)]
        if with_target:
            green = backend_of(request).find_db_from_id(deployment.target)
            transition(green, "deleting", (self._delays.database / 2, GONE))
        return _answer(request, deployment)


def settle(backend: Any) -> None:
    """Make the changes of deployments that are due."""
    for identifier, deployment in list(backend.blue_green_deployments.items()):
        while (stages := stages_of(deployment)) and stages[0][0] <= time.time():
            _, state = stages.pop(0)
            if state == GONE:
                del backend.blue_green_deployments[identifier]
                continue
            if state == NAMELESS:
                _take_name(backend, deployment)
                continue
            if state == STATES.SWITCHOVER_COMPLETED.name:
                _give_name(backend, deployment)
            else:
                _set_tasks(deployment, "COMPLETED")
            deployment.set_status(STATES[state])


def _take_name(backend: Any, deployment: BlueGreenDeployment) -> None:
    """Give blue a name that says that it is the old one."""
    blue = backend.find_db_from_id(deployment.source)
    name = blue.db_instance_identifier
    number = next(n for n in range(1, 100) if f"{name}-old{n}" not in backend.databases)
    rename(backend, blue, f"{name}-old{number}")
    deployment.name_of_blue = name
    deployment.source = blue.db_instance_arn


def _give_name(backend: Any, deployment: BlueGreenDeployment) -> None:
    """Give green the name that blue had."""
    green = backend.find_db_from_id(deployment.target)
    rename(backend, green, deployment.name_of_blue)
    deployment.target = green.db_instance_arn
    deployment.status_details = "Switchover completed."


def _settled(request: Request) -> Any:
    backend = backend_of(request)
    advance(backend)
    settle(backend)
    return backend


def _source(request: Request, backend: Any) -> Any:
    arn = request.form["Source"]
    name = arn.rpartition(":db:")[2]
    source = backend.databases.get(name)
    if ":db:" not in arn or source is None:
        raise ApiError("DBInstanceNotFound", f"DBInstance {name} not found.", 404)
    if source.manage_master_user_password or source.is_replica:
        raise ApiError(
            "SourceDatabaseNotSupportedFault",
            f"The source DB instance {arn} isn't supported for a blue/green deployment.",
        )
    if source.status != AVAILABLE:
        raise ApiError("InvalidDBInstanceState", f"DB instance {name} is not in available state.")
    if not source.backup_retention_period:
        raise ApiError("InvalidDBInstanceState", f"Automated backups are not enabled for DB instance {name}.")
    deployments = backend.blue_green_deployments.values()
    if any(arn in (other.source, other.target) and other.status in OPEN for other in deployments):
        raise ApiError("InvalidDBInstanceState", f"DB instance {name} is part of a blue/green deployment.")
    return source


def _check_version(request: Request, backend: Any, source: Any) -> str:
    version, running = request.form.get("TargetEngineVersion", ""), str(source.engine_version)
    if not version:
        return running
    check_upgrade(running, version, version)
    if _major(version) == _major(running):
        return version
    group = backend.db_parameter_groups.get(source.db_parameter_group_name or "")
    value = group.parameters.get(LOGICAL, {}).get("ParameterValue") if group else None
    waits = source.__dict__.get("parameter_apply_status", "in-sync") != "in-sync"
    if value != "1" or waits:
        raise ApiError(
            "InvalidDBInstanceState",
            f"{LOGICAL} must be in force on the source for a blue/green deployment with another major version.",
        )
    return version


def _group(request: Request, backend: Any, source: Any, version: str) -> str:
    """The parameter group of green: the wanted one, else the source's, else the default of another major version."""
    family = f"{POSTGRES}{_major(version)}"
    if not has_parameter(request, "TargetDBParameterGroupName"):
        same = _major(version) == _major(str(source.engine_version))
        return str(source.db_parameter_group_name or "") if same else f"default.{family}"
    name = request.form["TargetDBParameterGroupName"]
    group = backend.db_parameter_groups.get(name)
    if group is None:
        raise ApiError("DBParameterGroupNotFound", f"DBParameterGroup not found: {name}", 404)
    if group.family != family:
        raise ApiError(
            "InvalidParameterCombination", f"The parameter group {name} is of {group.family}, and not of {family}."
        )
    return name


def _found(request: Request) -> BlueGreenDeployment:
    identifier = request.form["BlueGreenDeploymentIdentifier"]
    deployment: BlueGreenDeployment | None = _settled(request).blue_green_deployments.get(identifier)
    if deployment is None:
        raise _not_found(identifier)
    return deployment


def _describe(request: Request) -> Response:
    deployments = list(_settled(request).blue_green_deployments.values())
    if identifier := request.form.get("BlueGreenDeploymentIdentifier"):
        deployments = [item for item in deployments if item.blue_green_deployment_identifier == identifier]
        if not deployments:
            raise _not_found(identifier)
    return rds_response(request, {"BlueGreenDeployments": deployments})


def _answer(request: Request, deployment: BlueGreenDeployment) -> Response:
    return rds_response(request, {"BlueGreenDeployment": deployment})


def _set_tasks(deployment: BlueGreenDeployment, status: str) -> None:
    for task in deployment.tasks:
        task.Status = status


def _not_found(identifier: str) -> ApiError:
    return ApiError("BlueGreenDeploymentNotFoundFault", f"BlueGreenDeployment {identifier} not found.", 404)


def _wrong_state(deployment: BlueGreenDeployment) -> ApiError:
    name, state = deployment.blue_green_deployment_identifier, deployment.status
    return ApiError("InvalidBlueGreenDeploymentStateFault", f"The blue/green deployment {name} is {state}.")


def _major(version: str) -> str:
    return version.partition(".")[0]

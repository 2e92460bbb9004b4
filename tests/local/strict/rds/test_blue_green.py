"""Blue/green deployments: what they need, what the switchover swaps, and what is left of them."""

from __future__ import annotations

import time
from typing import Any

import pytest

from support.emulated_databases import SMALL, available, backend, describe, settled
from support.strict_clients import Client, Refused


def create(client: Client, source: dict[str, Any], name: str = "upgrade", **settings: Any) -> dict[str, Any]:
    answer = client("rds").create_blue_green_deployment(
        BlueGreenDeploymentName=name, Source=source["DBInstanceArn"], **settings
    )
    deployment: dict[str, Any] = answer["BlueGreenDeployment"]
    return deployment


def ready(client: Client, deployment: dict[str, Any]) -> dict[str, Any]:
    """Move a deployment to its next state."""
    identifier = deployment["BlueGreenDeploymentIdentifier"]
    found = backend().blue_green_deployments[identifier]
    found.stages[0] = (time.time(), found.stages[0][1])
    described: dict[str, Any] = client("rds").describe_blue_green_deployments(BlueGreenDeploymentIdentifier=identifier)
    (only,) = described["BlueGreenDeployments"]
    return dict(only)


def logical(client: Client, name: str = "logical") -> str:
    """A parameter group of PostgreSQL 16 with logical replication."""
    client("rds").create_db_parameter_group(
        DBParameterGroupName=name, DBParameterGroupFamily="postgres16", Description="of a test"
    )
    given = {"ParameterName": "rds.logical_replication", "ParameterValue": "1", "ApplyMethod": "pending-reboot"}
    client("rds").modify_db_parameter_group(DBParameterGroupName=name, Parameters=[given])
    return name


def name_of(arn: str) -> str:
    return arn.rpartition(":")[2]


def test_the_source_needs_backups_and_a_password_that_rds_does_not_manage(strict: Client, refused: Refused) -> None:
    bare = available(strict, "bare", BackupRetentionPeriod=0)
    own = {key: value for key, value in SMALL.items() if key != "MasterUserPassword"}
    strict("rds").create_db_instance(DBInstanceIdentifier="managed", **own, ManageMasterUserPassword=True)
    managed = settled(strict, "managed")
    strict("rds").create_db_instance(DBInstanceIdentifier="young", **SMALL)

    with refused("InvalidDBInstanceState"):
        create(strict, bare)
    with refused("SourceDatabaseNotSupportedFault"):
        create(strict, managed)
    with refused("InvalidDBInstanceState"):
        create(strict, describe(strict, "young"))
    with refused("DBInstanceNotFound"):
        create(strict, {"DBInstanceArn": f"{bare['DBInstanceArn']}-none"})


def test_another_major_version_needs_logical_replication_in_force_and_a_group_of_that_version(
    strict: Client, refused: Refused
) -> None:
    plain = available(strict, "plain")
    source = available(strict, "source", DBParameterGroupName=logical(strict))

    with refused("InvalidDBInstanceState"):
        create(strict, plain, TargetEngineVersion="17.4")
    with refused("InvalidParameterCombination"):
        create(strict, source, TargetEngineVersion="17.4", TargetDBParameterGroupName="logical")
    with refused("InvalidParameterCombination"):
        create(strict, source, TargetEngineVersion="15.4")
    with refused("DBParameterGroupNotFound"):
        create(strict, source, TargetEngineVersion="17.4", TargetDBParameterGroupName="none")
    assert create(strict, plain, TargetEngineVersion="16.6")["Status"] == "PROVISIONING"
    backend().databases["source"].parameter_apply_status = "pending-reboot"
    with refused("InvalidDBInstanceState"):
        create(strict, source, "second", TargetEngineVersion="17.4")
    assert not strict("rds").describe_blue_green_deployments()["BlueGreenDeployments"][1:]


def test_green_takes_its_time_and_has_the_tags_of_blue_and_an_id_of_its_own(strict: Client, refused: Refused) -> None:
    tags = [{"Key": "who", "Value": "us"}]
    source = available(strict, "source", DBParameterGroupName=logical(strict), Tags=tags)

    deployment = create(strict, source, TargetEngineVersion="17.4", Tags=[{"Key": "of", "Value": "deployment"}])

    green = describe(strict, name_of(deployment["Target"]))
    assert deployment["Status"] == "PROVISIONING"
    assert {task["Status"] for task in deployment["Tasks"]} == {"IN_PROGRESS"}
    assert (green["DBInstanceStatus"], green["EngineVersion"], green["TagList"]) == ("creating", "17.4", tags)
    assert green["DBInstanceIdentifier"].startswith("source-green-")
    assert green["DbiResourceId"] != source["DbiResourceId"]
    with refused("InvalidBlueGreenDeploymentStateFault"):
        strict("rds").switchover_blue_green_deployment(
            BlueGreenDeploymentIdentifier=deployment["BlueGreenDeploymentIdentifier"]
        )
    with refused("BlueGreenDeploymentAlreadyExistsFault"):
        create(strict, source)
    with refused("InvalidDBInstanceState"):
        create(strict, source, "second")
    found = ready(strict, deployment)
    assert (found["Status"], found["TagList"]) == ("AVAILABLE", [{"Key": "of", "Value": "deployment"}])
    assert {task["Status"] for task in found["Tasks"]} == {"COMPLETED"}


def test_the_switchover_swaps_the_names_and_leaves_the_old_instance(strict: Client, refused: Refused) -> None:
    source = available(strict, "source", DBParameterGroupName=logical(strict))
    deployment = create(strict, source, TargetEngineVersion="17.4")
    identifier = deployment["BlueGreenDeploymentIdentifier"]
    ready(strict, deployment)
    green = settled(strict, name_of(deployment["Target"]))

    # boto3 itself refuses less than 30 seconds.
    with refused("InvalidParameterValue"):
        strict("rds").switchover_blue_green_deployment(BlueGreenDeploymentIdentifier=identifier, SwitchoverTimeout=3601)
    answer = strict("rds").switchover_blue_green_deployment(BlueGreenDeploymentIdentifier=identifier)
    assert answer["BlueGreenDeployment"]["Status"] == "SWITCHOVER_IN_PROGRESS"
    assert describe(strict, "source")["EngineVersion"] == "16.4"
    with refused("InvalidBlueGreenDeploymentStateFault"):
        strict("rds").delete_blue_green_deployment(BlueGreenDeploymentIdentifier=identifier)
    halfway = ready(strict, deployment)
    names = {found["DBInstanceIdentifier"] for found in strict("rds").describe_db_instances()["DBInstances"]}
    assert (halfway["Status"], "source" in names, "source-old1" in names) == ("SWITCHOVER_IN_PROGRESS", False, True)
    done = ready(strict, deployment)

    assert done["Status"] == "SWITCHOVER_COMPLETED"
    assert (name_of(done["Source"]), name_of(done["Target"])) == ("source-old1", "source")
    now, old = describe(strict, "source"), describe(strict, "source-old1")
    assert (now["EngineVersion"], now["DbiResourceId"]) == ("17.4", green["DbiResourceId"])
    assert (old["EngineVersion"], old["DbiResourceId"]) == ("16.4", source["DbiResourceId"])
    with refused("InvalidBlueGreenDeploymentStateFault"):
        strict("rds").delete_blue_green_deployment(BlueGreenDeploymentIdentifier=identifier, DeleteTarget=True)


@pytest.mark.parametrize("with_target", [True, False])
def test_a_deleted_deployment_takes_green_along_only_if_that_is_asked_for(
    strict: Client, refused: Refused, with_target: bool
) -> None:
    deployment = create(strict, available(strict, "source"))
    identifier, green = deployment["BlueGreenDeploymentIdentifier"], name_of(deployment["Target"])
    ready(strict, deployment)

    answer = strict("rds").delete_blue_green_deployment(
        BlueGreenDeploymentIdentifier=identifier, DeleteTarget=with_target
    )

    assert answer["BlueGreenDeployment"]["Status"] == "DELETING"
    assert (describe(strict, green)["DBInstanceStatus"] == "deleting") is with_target
    found = backend().blue_green_deployments[identifier]
    found.stages[0] = (time.time(), found.stages[0][1])
    with refused("BlueGreenDeploymentNotFoundFault"):
        strict("rds").describe_blue_green_deployments(BlueGreenDeploymentIdentifier=identifier)
    assert describe(strict, "source")["DBInstanceStatus"] == "available"

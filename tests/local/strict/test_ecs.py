from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from moto.moto_api._internal import moto_api_backend

from orderops.local.emulator.persistence import dump, load
from support.emulated_service import System
from support.laptop import until
from support.strict_clients import Client, Refused


@pytest.fixture
def system(strict: Client) -> System:
    found = System(strict)
    found.listen()
    return found


@pytest.mark.parametrize(("cpu", "memory"), [("256", "4096"), ("512", "512"), ("1024", "2000"), ("300", "512")])
def test_a_task_size_that_fargate_lacks_is_refused(
    moto: Client, system: System, refused: Refused, cpu: str, memory: str
) -> None:
    moto("ecs").register_task_definition(
        family="app", requiresCompatibilities=["FARGATE"], cpu=cpu, memory=memory, containerDefinitions=[]
    )

    with refused("ClientException"):
        system.define(cpu, memory)
    system.define("1024", "3072")


def test_a_simulated_service_reaches_a_steady_state(moto: Client, system: System) -> None:
    begun = system.create(system.define())

    until(system.steady)

    assert (begun["runningCount"], begun["deployments"][0]["rolloutState"]) == (0, "IN_PROGRESS")
    service = system.service()
    assert (service["runningCount"], service["pendingCount"]) == (2, 0)
    assert "has reached a steady state." in service["events"][0]["message"]
    assert system.health() == ["healthy", "healthy"]
    cluster = system.client("ecs").describe_clusters(clusters=["dev"])["clusters"][0]
    assert (cluster["runningTasksCount"], cluster["activeServicesCount"]) == (2, 1)
    assert moto("ecs").describe_services(cluster="dev", services=["app"])["services"][0]["runningCount"] == 0


def test_tasks_are_pending_before_they_run(moto: Client, system: System) -> None:
    system.create(system.define())
    ecs = system.client("ecs")
    arns = ecs.list_tasks(cluster="dev", serviceName="app")["taskArns"]
    seen = []

    def runs() -> bool:
        tasks = ecs.describe_tasks(cluster="dev", tasks=arns)["tasks"]
        seen.append(tasks[0]["lastStatus"])
        return all(task["lastStatus"] == "RUNNING" for task in tasks)

    until(runs)

    assert seen[0] in ("PROVISIONING", "PENDING")
    assert len(arns) == 2
    assert moto("ecs").list_tasks(cluster="dev", serviceName="app")["taskArns"] == []


WRONG_CHECKS: dict[str, dict[str, Any]] = {
    "neither CMD nor CMD-SHELL": {"command": ["curl", "localhost"]},
    "no command": {"command": ["CMD"]},
    "an interval that is too short": {"command": ["CMD", "true"], "interval": 4},
    "a timeout that is too long": {"command": ["CMD", "true"], "timeout": 61},
    "too many retries": {"command": ["CMD", "true"], "retries": 11},
    "a start that is too long": {"command": ["CMD", "true"], "startPeriod": 301},
}


@pytest.mark.parametrize("check", WRONG_CHECKS.values(), ids=WRONG_CHECKS)
def test_a_health_check_keeps_to_the_ranges_of_ecs(system: System, refused: Refused, check: dict[str, Any]) -> None:
    with refused("ClientException"):
        system.define(healthCheck=check)


def test_a_task_with_a_health_check_is_healthy_after_it_passed(system: System) -> None:
    system.create(system.define(healthCheck={"command": ["CMD", "true"]}), loadBalancers=[])
    until(system.steady)

    ecs = system.client("ecs")
    arns = ecs.list_tasks(cluster="dev", serviceName="app")["taskArns"]
    tasks = ecs.describe_tasks(cluster="dev", tasks=arns)["tasks"]
    assert {task["healthStatus"] for task in tasks} == {"HEALTHY"}
    assert {container["healthStatus"] for task in tasks for container in task["containers"]} == {"HEALTHY"}


def test_the_old_deployment_runs_alongside_the_new_one_for_a_while(system: System) -> None:
    system.create(system.define())
    until(system.steady)

    system.client("ecs").update_service(cluster="dev", service="app", taskDefinition=system.define())

    assert [one["status"] for one in system.service()["deployments"]] == ["PRIMARY", "ACTIVE"]
    until(system.steady)
    assert system.service()["taskDefinition"].endswith("app:2")


def test_settings_of_a_service_read_back(moto: Client, system: System) -> None:
    settings = {"healthCheckGracePeriodSeconds": 60, "enableExecuteCommand": True, "propagateTags": "SERVICE"}
    system.create(system.define(), **settings)

    service = system.service()

    assert {key: service[key] for key in settings} == settings
    breaker = service["deploymentConfiguration"]["deploymentCircuitBreaker"]
    assert {key: breaker[key] for key in ("enable", "rollback")} == {"enable": True, "rollback": True}
    # The defaults of the ECS API reference.
    assert breaker["thresholdConfiguration"] == {"type": "BOUNDED_PERCENT", "value": 50}
    assert breaker["resetOnHealthyTask"] is True
    plain = moto("ecs").describe_services(cluster="dev", services=["app"])["services"][0]
    assert "healthCheckGracePeriodSeconds" not in plain
    assert "deploymentConfiguration" not in plain


def test_a_deployment_that_cannot_start_is_rolled_back(system: System) -> None:
    system.create(system.define())
    until(system.steady)
    log = {"logDriver": "awslogs", "options": {"awslogs-group": "/nowhere", "awslogs-region": "ap-southeast-2"}}
    bad = system.define(logConfiguration=log)

    system.client("ecs").update_service(cluster="dev", service="app", taskDefinition=bad)
    until(lambda: system.service()["taskDefinition"] != bad)
    until(system.steady)

    ecs = system.client("ecs")
    newest = ecs.list_service_deployments(cluster="dev", service="app")["serviceDeployments"][0]
    response = ecs.describe_service_deployments(serviceDeploymentArns=[newest["serviceDeploymentArn"]])
    assert response["serviceDeployments"][0]["status"] == "ROLLBACK_SUCCESSFUL"
    stopped = ecs.list_tasks(cluster="dev", serviceName="app", desiredStatus="STOPPED")["taskArns"]
    reasons = {task["stoppedReason"] for task in ecs.describe_tasks(cluster="dev", tasks=stopped)["tasks"]}
    assert any("The specified log group does not exist: /nowhere" in reason for reason in reasons)


@pytest.mark.parametrize("principal", [None, "ec2.amazonaws.com"])
def test_only_an_event_says_that_a_role_cannot_be_assumed(moto: Client, system: System, principal: str | None) -> None:
    role = "arn:aws:iam::123456789012:role/tasks"
    if principal:
        statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": principal}}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        # Plain moto's role is known to ECS at once.
        moto("iam").create_role(RoleName="tasks", AssumeRolePolicyDocument=document)
    system.create(system.define())
    until(system.steady)
    definition = system.define(role=role)

    system.client("ecs").update_service(cluster="dev", service="app", taskDefinition=definition)
    until(lambda: system.service()["taskDefinition"] != definition)

    messages = [event["message"] for event in reversed(system.service()["events"])]
    [launch] = dict.fromkeys(message for message in messages if "failed to launch" in message)
    # As in "Amazon ECS service event messages" of the developer guide.
    assert launch.startswith(
        f"(service app) failed to launch a task with (error ECS was unable to assume the role '{role}' that was "
        "provided for this task."
    )
    assert any("is unable to consistently start tasks successfully" in message for message in messages)
    stopped = system.client("ecs").list_tasks(cluster="dev", serviceName="app", desiredStatus="STOPPED")["taskArns"]
    assert stopped == []


def test_a_deleted_service_drains_before_it_is_inactive(moto: Client, system: System) -> None:
    system.create(system.define())
    until(system.steady)

    deleted = system.client("ecs").delete_service(cluster="dev", service="app", force=True)["service"]

    assert deleted["status"] == "DRAINING"
    assert system.service()["status"] == "DRAINING"
    until(lambda: system.service()["status"] == "INACTIVE")
    moto("ecs").create_service(cluster="dev", serviceName="b", taskDefinition="app", desiredCount=1)
    moto("ecs").delete_service(cluster="dev", service="b", force=True)
    assert moto("ecs").describe_services(cluster="dev", services=["b"])["services"][0]["status"] == "INACTIVE"


def test_a_service_is_not_created_twice(moto: Client, system: System, refused: Refused) -> None:
    definition = system.define()
    for _ in range(2):
        moto("ecs").create_service(cluster="dev", serviceName="other", taskDefinition=definition, desiredCount=1)

    system.create(definition)

    with refused("InvalidParameterException"):
        system.create(definition)


def test_the_name_of_a_draining_service_is_taken(system: System, refused: Refused) -> None:
    definition = system.define()
    system.create(definition)
    until(system.steady)
    system.client("ecs").delete_service(cluster="dev", service="app", force=True)

    with refused("InvalidParameterException"):
        system.create(definition)
    until(lambda: system.service()["status"] == "INACTIVE")
    system.create(definition)


def test_a_service_needs_a_target_group_with_a_balancer(moto: Client, strict: Client, refused: Refused) -> None:
    system = System(strict)
    definition = system.define()
    balanced = {"targetGroupArn": system.arn, "containerName": "app", "containerPort": 80}
    moto("ecs").create_service(
        cluster="dev", serviceName="other", taskDefinition=definition, desiredCount=1, loadBalancers=[balanced]
    )

    with refused("InvalidParameterException"):
        system.create(definition)
    system.listen()
    system.create(definition)


def test_a_cluster_with_services_is_not_deleted(moto: Client, system: System, refused: Refused) -> None:
    system.create(system.define())

    with refused("ClusterContainsServicesException"):
        system.client("ecs").delete_cluster(cluster="dev")
    system.client("ecs").delete_service(cluster="dev", service="app", force=True)
    until(lambda: system.service()["status"] == "INACTIVE")
    assert system.client("ecs").delete_cluster(cluster="dev")["cluster"]["status"] == "INACTIVE"

    moto("ecs").create_cluster(clusterName="other")
    moto("ecs").create_service(cluster="other", serviceName="b", taskDefinition="app", desiredCount=1)
    assert moto("ecs").delete_cluster(cluster="other")["cluster"]["status"] == "INACTIVE"


def test_run_task_with_the_same_token_returns_the_same_task(system: System, refused: Refused) -> None:
    definition = system.define()
    parameters = {
        "cluster": "dev",
        "launchType": "FARGATE",
        "networkConfiguration": system.network,
        "clientToken": "one",
    }
    ecs = system.client("ecs")

    first = ecs.run_task(**parameters, taskDefinition=definition)["tasks"][0]["taskArn"]

    assert ecs.run_task(**parameters, taskDefinition=definition)["tasks"][0]["taskArn"] == first
    with refused("ConflictException"):
        ecs.run_task(**parameters, taskDefinition=definition, count=2)


def test_a_simulated_single_task_succeeds(system: System) -> None:
    ecs = system.client("ecs")
    parameters = {"cluster": "dev", "taskDefinition": system.define(), "networkConfiguration": system.network}
    arn = ecs.run_task(**parameters, launchType="FARGATE")["tasks"][0]["taskArn"]

    def task() -> Any:
        return ecs.describe_tasks(cluster="dev", tasks=[arn])["tasks"][0]

    until(lambda: task()["lastStatus"] == "STOPPED")

    assert task()["containers"][0]["exitCode"] == 0
    assert task()["stopCode"] == "EssentialContainerExited"


def test_simulated_services_are_saved(system: System, tmp_path: Path) -> None:
    system.create(system.define())
    until(system.steady)
    state = tmp_path / "state"
    state.write_bytes(dump(None))

    moto_api_backend.reset()
    assert system.client("ecs").list_clusters()["clusterArns"] == []
    load(state)

    assert system.steady()
    assert system.health() == ["healthy", "healthy"]

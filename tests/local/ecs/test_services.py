from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from support.laptop import Laptop, Stack, until


@pytest.fixture(scope="module")
def stack(laptop: Laptop) -> Iterator[Stack]:
    stack = Stack(laptop)
    stack.create(stack.register(NAME="first"))
    stack.completed()
    yield stack


def test_a_service_runs_its_desired_count_of_processes_behind_its_balancer(stack: Stack) -> None:
    answers = [stack.get() for _ in range(6)]

    assert {status for status, _ in answers} == {200}
    assert {response["pid"] for _, response in answers} == stack.pids()
    assert stack.health() == ["healthy", "healthy"]


def test_the_balancer_forwards_a_request_with_its_headers(stack: Stack) -> None:
    _, response = stack.get("/a%20b?x=1&y=%2F", headers={"X-Forwarded-For": "203.0.113.9"})

    assert response["path"] == "/a%20b?x=1&y=%2F"
    headers = {name.lower(): value for name, value in response["headers"].items()}
    assert headers["x-forwarded-for"] == "203.0.113.9, 127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"
    assert headers["x-amzn-trace-id"].startswith("Root=1-")
    assert stack.get("/orders", b"an order", {"Content-Type": "text/plain"}) == (201, {"got": "an order"})


def test_a_killed_task_is_replaced(stack: Stack) -> None:
    victim = min(stack.pids())
    os.kill(victim, signal.SIGKILL)

    until(lambda: victim not in stack.pids() and len(stack.pids()) == 2, what="a new process")
    until(lambda: stack.health() == ["healthy", "healthy"], what="the targets are healthy")
    dead = [task for task in stack.tasks(desiredStatus="STOPPED") if task["stopCode"] == "EssentialContainerExited"]
    assert dead[0]["containers"][0]["exitCode"] == 137


def test_a_new_revision_replaces_the_old_one_without_a_failed_request(stack: Stack) -> None:
    old = stack.pids()
    stop = time.monotonic() + 60
    failed: list[object] = []
    done = False

    def ask() -> None:
        while not done and time.monotonic() < stop:
            response = stack.get("/slow" if len(failed) % 2 else "/")
            if response[0] != 200:
                failed.append(response)

    with ThreadPoolExecutor() as pool:
        for _ in range(3):
            pool.submit(ask)
        stack.update(taskDefinition=stack.register(NAME="second"))
        stack.completed()
        done = True

    assert failed == []
    assert not old & stack.pids()
    assert stack.get()[1]["environment"]["NAME"] == "second"


def test_a_revision_that_crashes_is_rolled_back(stack: Stack) -> None:
    before = stack.service()["taskDefinition"]
    failed_id = stack.update(taskDefinition=stack.register(MODE="crash"))["deployments"][0]["id"]

    until(lambda: stack.service()["deployments"][0]["id"] != failed_id, what="another deployment")
    service = stack.completed()

    assert service["taskDefinition"] == before
    assert stack.get()[0] == 200
    response = stack.laptop.client("ecs").list_service_deployments(cluster=stack.name, service=stack.name)
    assert response["serviceDeployments"][0]["status"] == "ROLLBACK_SUCCESSFUL"
    failed = stack.tasks(desiredStatus="STOPPED", startedBy=failed_id)
    assert [task["containers"][0]["exitCode"] for task in failed] == [1] * len(failed)
    assert any("deployment failed" in event["message"] for event in service["events"])


def test_an_image_without_the_process_scheme_cannot_be_pulled(laptop: Laptop) -> None:
    stack = Stack(laptop, desired=1)
    stack.create(stack.register(image="registry.example/orders:1"))

    until(lambda: stack.service()["deployments"][0]["rolloutState"] == "FAILED", what="the circuit breaker trips")

    task = stack.tasks(desiredStatus="STOPPED")[0]
    assert task["stopCode"] == "TaskFailedToStart"
    assert "CannotPullContainerError" in task["stoppedReason"]
    assert "exitCode" not in task["containers"][0]
    assert stack.get()[0] == 503


def test_the_task_count_follows_the_desired_count_and_the_autoscaling_range(stack: Stack) -> None:
    stack.update(desiredCount=1)
    stack.completed()
    until(lambda: len(stack.pids()) == 1, what="one process")

    stack.laptop.client("application-autoscaling").register_scalable_target(
        ServiceNamespace="ecs",
        ResourceId=f"service/{stack.name}/{stack.name}",
        ScalableDimension="ecs:service:DesiredCount",
        MinCapacity=2,
        MaxCapacity=4,
    )

    assert stack.service()["desiredCount"] == 2
    stack.completed()
    assert len(stack.pids()) == 2


def test_output_of_a_task_arrives_in_its_log_group(stack: Stack) -> None:
    logs = stack.laptop.client("logs")
    task = stack.tasks()[0]["taskArn"].rpartition("/")[2]
    stream = f"orders/app/{task}"

    def lines() -> list[str]:
        events = logs.get_log_events(logGroupName=f"/ecs/{stack.name}", logStreamName=stream)["events"]
        return [event["message"] for event in events]

    name = stack.get()[1]["environment"].get("NAME", "")
    assert until(lines, what="a line") == [f"tiny service {name} is up"]


def test_a_task_receives_its_secrets_and_the_emulator_endpoint(stack: Stack) -> None:
    arn = stack.laptop.client("secretsmanager").create_secret(
        Name=stack.laptop.name("secret"), SecretString='{"password": "ünlock"}'
    )["ARN"]
    secrets = [
        {"name": "SECRET_KEY", "valueFrom": f"{arn}:password::"},
        {"name": "SECRET_WHOLE", "valueFrom": arn},
    ]
    # Keys of a task definition that was written for AWS do not replace those of the role.
    own = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SESSION_TOKEN": "of the definition"}
    stack.update(taskDefinition=stack.register(secrets=secrets, **own))
    stack.completed()

    environment = stack.get()[1]["environment"]

    assert environment["SECRET_KEY"] == "ünlock"
    assert environment["SECRET_WHOLE"] == '{"password": "ünlock"}'
    assert environment["AWS_ENDPOINT_URL"] == stack.laptop.endpoint.url
    role = [environment[f"AWS_{name}"] for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")]
    assert account_of(stack, *role) == "123456789012"
    assert stack.laptop.endpoint.key.secret not in environment.values()
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        account_of(stack, *role[:2])


def account_of(stack: Stack, *credentials: str) -> str:
    session = boto3.Session(*credentials, region_name=stack.laptop.region)
    return str(session.client("sts", endpoint_url=stack.laptop.endpoint.url).get_caller_identity()["Account"])


def test_a_single_task_reports_its_exit_code(stack: Stack) -> None:
    ecs = stack.laptop.client("ecs")
    job = {"name": "app", "command": ["order", "7"], "environment": [{"name": "MODE", "value": "job"}]}
    overrides = {"containerOverrides": [job]}
    network = {"awsvpcConfiguration": {"subnets": stack.subnets}}
    parameters = {"cluster": stack.name, "taskDefinition": stack.register(MODE="good"), "overrides": overrides}
    arn = ecs.run_task(**parameters, networkConfiguration=network, clientToken="once")["tasks"][0]["taskArn"]
    assert ecs.run_task(**parameters, networkConfiguration=network, clientToken="once")["tasks"][0]["taskArn"] == arn

    def over() -> bool:
        return bool(ecs.describe_tasks(cluster=stack.name, tasks=[arn])["tasks"][0]["lastStatus"] == "STOPPED")

    until(over, what="the task has stopped")
    task = ecs.describe_tasks(cluster=stack.name, tasks=[arn])["tasks"][0]
    assert task["containers"][0]["exitCode"] == 7
    stream = f"orders/app/{arn.rpartition('/')[2]}"
    events = stack.laptop.client("logs").get_log_events(logGroupName=f"/ecs/{stack.name}", logStreamName=stream)
    assert [event["message"] for event in events["events"]] == ["worked on order 7"]


def test_a_stopped_task_finishes_its_open_requests(stack: Stack) -> None:
    ecs = stack.laptop.client("ecs")
    arn = ecs.run_task(
        cluster=stack.name,
        taskDefinition=stack.register(NAME="alone"),
        networkConfiguration={"awsvpcConfiguration": {"subnets": stack.subnets}},
        startedBy="operator",
    )["tasks"][0]["taskArn"]

    def task(status: str) -> dict[str, Any]:
        found: dict[str, Any] = ecs.describe_tasks(cluster=stack.name, tasks=[arn])["tasks"][0]
        return found if found["lastStatus"] == status else {}

    stream = {"logGroupName": f"/ecs/{stack.name}", "logStreamName": f"orders/app/{arn.rpartition('/')[2]}"}
    until(lambda: task("RUNNING"), what="the task runs")
    until(lambda: stack.laptop.client("logs").get_log_events(**stream)["events"], what="the task prints a line")
    ecs.stop_task(cluster=stack.name, task=arn, reason="enough")

    over = until(lambda: task("STOPPED"), what="the task has stopped")
    assert (over["stopCode"], over["stoppedReason"]) == ("UserInitiated", "enough")
    assert over["containers"][0]["exitCode"] == 0


def test_a_forced_deployment_starts_new_processes(stack: Stack) -> None:
    before, pids = stack.completed()["deployments"][0], stack.pids()
    stack.update(forceNewDeployment=True)

    (after,) = stack.completed()["deployments"]

    assert after["id"] != before["id"]
    assert after["taskDefinition"] == before["taskDefinition"]
    assert before["updatedAt"] <= after["createdAt"] <= after["updatedAt"]
    assert not pids & stack.pids()


def test_a_deleted_service_leaves_no_process_and_frees_its_cluster(laptop: Laptop) -> None:
    ecs, stack = laptop.client("ecs"), Stack(laptop, desired=1)
    stack.create(stack.register())
    stack.completed()
    with pytest.raises(ecs.exceptions.ClusterContainsServicesException):
        ecs.delete_cluster(cluster=stack.name)
    with pytest.raises(ecs.exceptions.InvalidParameterException, match="scaled above 0"):
        ecs.delete_service(cluster=stack.name, service=stack.name)

    ecs.delete_service(cluster=stack.name, service=stack.name, force=True)

    until(lambda: stack.service()["status"] == "INACTIVE", what="the service is deleted")
    assert stack.pids() == set()
    assert stack.get()[0] == 503
    ecs.delete_cluster(cluster=stack.name)

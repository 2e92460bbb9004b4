"""ECS services."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.resource import UNKNOWN, Effect, State
from orderops.engine.step import Action
from orderops.errors import Unfinished
from orderops.frozen import replace
from orderops.resources.ec2_security_group import Ec2SecurityGroup
from orderops.resources.ecs_failure import stopped_tasks
from orderops.resources.ecs_service import EcsService
from support.contract import Up, keeps_its_promises, remove
from support.declared_service import CLUSTER, DEFINITION, RULE, SERVICE, SUBNETS, TARGETS, VPC
from support.faults import Fault, PowerCut

OTHER = Ec2SecurityGroup("orderops-dev-other", VPC, "another")
NEXT = replace(SERVICE, task_definition=replace(DEFINITION, image="shop:2"))
STOPPED = {
    "stoppedReason": "Essential container in task exited",
    "stoppedAt": "2026-01-01",
    "containers": [{"name": "shop", "exitCode": 1, "reason": "OutOfMemoryError"}],
}
Tell = Callable[..., None]


@pytest.fixture(autouse=True)
def _tasks_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_ECS_SERVICE_RUNNING", "5")  # without it no deployment of the emulator ever ends


@pytest.fixture
def sent(session: boto3.Session) -> list[dict[str, Any]]:
    """What every UpdateService was asked."""
    asked: list[dict[str, Any]] = []
    session.events.register("before-parameter-build.ecs.UpdateService", lambda params, **_: asked.append(dict(params)))
    return asked


@pytest.fixture
def tell(session: boto3.Session) -> Tell:
    """Say of the service what the emulator would not."""
    said: dict[str, Any] = {}

    def told(parsed: dict[str, Any], **_: Any) -> None:
        for raw in parsed.get("services", ()):
            deployment = said.get("deployment", {})
            raw |= {key: value for key, value in said.items() if key != "deployment"}
            raw["deployments"][0] |= deployment() if callable(deployment) else deployment

    session.events.register("after-call.ecs.DescribeServices", told)
    return said.update


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(SERVICE, aws, up, subnets=SUBNETS[:1])


def test_the_resource_contract_is_fulfilled_without_a_load_balancer(aws: Aws, up: Up) -> None:
    keeps_its_promises(replace(SERVICE, rule=None), aws, up, subnets=SUBNETS[:1])


def test_without_a_load_balancer_none_is_named_and_no_grace(
    session: boto3.Session, up: Up, sent: list[dict[str, Any]]
) -> None:
    created: list[dict[str, Any]] = []
    session.events.register("before-parameter-build.ecs.CreateService", lambda params, **_: created.append(params))
    up(replace(SERVICE, rule=None))

    assert created[0].get("loadBalancers", []) == []
    assert "healthCheckGracePeriodSeconds" not in created[0]
    up(SERVICE)
    assert sent[-1]["loadBalancers"][0]["containerPort"] == 8080


def test_a_new_image_is_a_new_deployment(aws: Aws, up: Up, sent: list[dict[str, Any]]) -> None:
    up(SERVICE)

    step = up(NEXT)[SERVICE.address]

    assert (list(step.changes), step.effect) == (["TaskDefinition"], Effect.RESTARTS)
    assert [set(asked) for asked in sent] == [{"cluster", "service", "taskDefinition"}]
    assert up(NEXT)[SERVICE.address].action is Action.NO_OP


def test_a_new_image_is_announced_by_the_plan(up: Up) -> None:
    up(SERVICE)

    planned = up(NEXT, dry_run=True)

    assert planned[DEFINITION.address].action is Action.UPDATE
    observed, desired = planned[SERVICE.address].changes["TaskDefinition"]
    assert (observed.rpartition(":")[2], desired) == ("1", UNKNOWN)
    assert planned[SERVICE.address].effect is Effect.RESTARTS


def test_the_number_of_tasks_is_left_to_autoscaling(aws: Aws, up: Up, sent: list[dict[str, Any]]) -> None:
    up(SERVICE)
    aws.ecs.update_service(cluster=CLUSTER.name, service=SERVICE.name, desiredCount=4)
    sent.clear()

    assert up(SERVICE)[SERVICE.address].action is Action.NO_OP
    up(replace(NEXT, tasks=2, grace=5))

    assert not [asked for asked in sent if "desiredCount" in asked]
    assert _told(aws)["desiredCount"] == 4


def test_a_service_starts_with_the_declared_number_of_tasks(aws: Aws, up: Up) -> None:
    up(replace(SERVICE, tasks=3))

    assert _told(aws)["desiredCount"] == 3


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_tasks_than_the_minimum_are_drift_and_repaired(
    aws: Aws, up: Up, sent: list[dict[str, Any]], count: int
) -> None:
    declared = replace(SERVICE, tasks=2)
    up(declared)
    aws.ecs.update_service(cluster=CLUSTER.name, service=SERVICE.name, desiredCount=count)
    sent.clear()

    planned = up(declared, dry_run=True)[SERVICE.address]
    assert (planned.changes, planned.effect) == ({"desiredCount": (count, 2)}, Effect.SAFE)
    assert up(declared)[SERVICE.address].changes == planned.changes

    assert [set(asked) for asked in sent] == [{"cluster", "service", "desiredCount"}]
    assert _told(aws)["desiredCount"] == 2
    assert up(declared)[SERVICE.address].action is Action.NO_OP


def test_tasks_that_were_missing_are_waited_for(session: boto3.Session, aws: Aws, up: Up) -> None:
    declared = replace(SERVICE, tasks=2)
    up(declared)
    aws.ecs.update_service(cluster=CLUSTER.name, service=SERVICE.name, desiredCount=0)
    running = [0, 0, 1, 2]

    def start_slowly(parsed: dict[str, Any], **_: Any) -> None:
        for raw in parsed.get("services", ()):
            raw["runningCount"] = running.pop(0) if len(running) > 1 and raw["desiredCount"] else running[0]

    session.events.register("after-call.ecs.DescribeServices", start_slowly)
    up(declared)

    assert running == [2]


def test_balancers_are_sent_only_when_they_differ(aws: Aws, up: Up, sent: list[dict[str, Any]]) -> None:
    up(SERVICE)
    up(replace(SERVICE, security_groups=(OTHER,)))

    assert [set(asked) - {"cluster", "service"} for asked in sent] == [{"networkConfiguration"}]


def test_changed_load_balancers_are_sent(aws: Aws, up: Up, sent: list[dict[str, Any]]) -> None:
    up(SERVICE)
    targets = replace(TARGETS, name="orderops-dev-other")
    up(replace(SERVICE, rule=replace(RULE, target_group=targets)))

    assert [set(asked) - {"cluster", "service"} for asked in sent] == [{"loadBalancers"}]


def test_time_to_start_changed_by_hand_is_repaired(aws: Aws, up: Up) -> None:
    up(SERVICE)
    aws.ecs.update_service(cluster=CLUSTER.name, service=SERVICE.name, healthCheckGracePeriodSeconds=1)

    assert up(SERVICE)[SERVICE.address].changes == {"healthCheckGracePeriodSeconds": (1, 60)}
    assert up(SERVICE)[SERVICE.address].action is Action.NO_OP


@pytest.mark.parametrize(
    "breaker",
    [
        {"enable": False, "rollback": False},
        {"enable": True, "rollback": False},
        {"enable": True, "rollback": True, "resetOnHealthyTask": False},
        {"enable": True, "rollback": True, "thresholdConfiguration": {"type": "COUNT", "value": 1}},
    ],
)
def test_a_deployment_configuration_changed_by_hand_is_repaired_whole(
    aws: Aws, up: Up, sent: list[dict[str, Any]], breaker: dict[str, Any]
) -> None:
    up(SERVICE)
    by_hand = {"minimumHealthyPercent": 100, "maximumPercent": 200, "deploymentCircuitBreaker": breaker}
    aws.ecs.update_service(cluster=CLUSTER.name, service=SERVICE.name, deploymentConfiguration=by_hand)
    sent.clear()

    assert list(up(SERVICE)[SERVICE.address].changes) == ["deploymentConfiguration"]

    assert sent[0]["deploymentConfiguration"]["deploymentCircuitBreaker"] == {
        "enable": True,
        "rollback": True,
        "resetOnHealthyTask": True,
        "thresholdConfiguration": {"type": "BOUNDED_PERCENT", "value": 50},
    }
    assert up(SERVICE)[SERVICE.address].action is Action.NO_OP


def test_properties_that_aws_adds_to_a_deployment_configuration_are_no_drift(up: Up, tell: Tell) -> None:
    up(SERVICE)
    breaker = {"enable": True, "rollback": True, "resetOnHealthyTask": True}
    told = {"minimumHealthyPercent": 100, "maximumPercent": 200, "deploymentCircuitBreaker": breaker}
    tell(deploymentConfiguration={**told, "strategy": "ROLLING", "bakeTimeInMinutes": 0})

    assert up(SERVICE)[SERVICE.address].action is Action.NO_OP


def test_access_switched_off_by_hand_is_switched_on_again(aws: Aws, up: Up) -> None:
    up(SERVICE)
    aws.ecs.update_service(cluster=CLUSTER.name, service=SERVICE.name, enableExecuteCommand=False)

    assert up(SERVICE)[SERVICE.address].changes == {"enableExecuteCommand": (False, True)}


def test_a_deployment_is_waited_for(up: Up, tell: Tell) -> None:
    states = ["IN_PROGRESS"] * 3
    tell(deployment=lambda: {"rolloutState": states.pop() if states else "COMPLETED"})

    up(SERVICE)

    assert states == []


def test_the_wait_reason_of_a_deployment_has_numbers_of_tasks(aws: Aws, up: Up, tell: Tell) -> None:
    up(SERVICE)
    tell(runningCount=1, desiredCount=3, deployment={"rolloutState": "IN_PROGRESS", "failedTasks": 2})

    (observed,) = EcsService.listing(aws, Ownership("dev"))

    assert (observed.state, observed.status) == (State.PENDING, "1 of 3 wanted tasks run, 2 failed")


def test_a_rollback_is_reported_with_why_the_task_stopped(
    session: boto3.Session, aws: Aws, up: Up, tell: Tell, sent: list[dict[str, Any]]
) -> None:
    _tasks_stopped(session, STOPPED)
    up(SERVICE)
    before = _told(aws)["taskDefinition"]
    looks = iter(range(3))

    def rolled_back() -> dict[str, str]:
        if not sent or next(looks, None) is None:
            return {"rolloutState": "COMPLETED"}
        _emulated().task_definition = before
        return {"rolloutState": "IN_PROGRESS"}

    tell(deployment=rolled_back)
    with pytest.raises(Unfinished, match="TaskDefinition was accepted and reverted by AWS") as told:
        up(NEXT)

    assert "Essential container in task exited; OutOfMemoryError; shop exited with 1" in told.value.message
    assert len(sent) == 1


def test_a_first_deployment_that_fails_is_reported_at_once(
    session: boto3.Session, up: Up, tell: Tell, sent: list[dict[str, Any]]
) -> None:
    _tasks_stopped(session)
    states = ["IN_PROGRESS"] * 2
    failed = {"rolloutState": "FAILED", "rolloutStateReason": "tasks failed to start"}
    tell(deployment=lambda: {"rolloutState": states.pop()} if states else failed)

    with pytest.raises(Unfinished, match="Rollout ended FAILED: tasks failed to start"):
        up(SERVICE)

    assert sent == []


def test_a_deployment_that_failed_in_an_earlier_run_is_started_again(
    up: Up, tell: Tell, sent: list[dict[str, Any]]
) -> None:
    up(SERVICE)
    tell(deployment=lambda: {"rolloutState": "COMPLETED" if sent else "FAILED"})

    assert up(SERVICE)[SERVICE.address].changes == {"Rollout": ("FAILED", "COMPLETED")}

    assert [set(asked) - {"cluster", "service"} for asked in sent] == [{"forceNewDeployment"}]


def test_reasons_of_stopped_tasks_are_listed_newest_first(session: boto3.Session, aws: Aws) -> None:
    older = {"stopCode": "TaskFailedToStart", "stoppedAt": "2025-01-01", "containers": []}
    _tasks_stopped(session, older, STOPPED)

    assert stopped_tasks(aws, "cluster", "service") == [
        "Essential container in task exited; OutOfMemoryError; shop exited with 1",
        "TaskFailedToStart",
    ]


def test_a_draining_service_is_being_deleted_and_an_inactive_one_is_gone(aws: Aws, up: Up, tell: Tell) -> None:
    up(SERVICE)
    tell(status="DRAINING")
    (observed,) = EcsService.listing(aws, Ownership("dev"))
    assert observed.state is State.GOING

    tell(status="INACTIVE")
    assert list(EcsService.listing(aws, Ownership("dev"))) == []


def test_a_service_with_an_endless_deployment_can_be_deleted(aws: Aws, up: Up, tell: Tell) -> None:
    up(SERVICE)
    tell(deployment={"rolloutState": "IN_PROGRESS"})

    remove(SERVICE, aws)


@pytest.mark.parametrize("call", range(0, 10, 3))
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    with power_cut("ecs", after=call), pytest.raises(PowerCut):
        up(SERVICE)

    up(SERVICE)

    assert {step.action for step in up(SERVICE).values()} == {Action.NO_OP}
    assert len(aws.ecs.list_services(cluster=CLUSTER.name)["serviceArns"]) == 1


def test_a_lost_answer_makes_no_second_one(aws: Aws, up: Up, lose_answer: Fault) -> None:
    with lose_answer("ecs", "CreateService"):
        assert up(SERVICE)[SERVICE.address].action is Action.CREATE

    assert len(aws.ecs.list_services(cluster=CLUSTER.name)["serviceArns"]) == 1


def _told(aws: Aws) -> dict[str, Any]:
    return dict(aws.ecs.describe_services(cluster=CLUSTER.name, services=[SERVICE.name])["services"][0])


def _emulated() -> Any:
    return get_backend("ecs")[DEFAULT_ACCOUNT_ID]["ap-southeast-2"].services[f"{CLUSTER.name}:{SERVICE.name}"]


def _tasks_stopped(session: boto3.Session, *tasks: dict[str, Any]) -> None:
    """What AWS remembers of stopped tasks for an hour, and the emulator does not."""
    answers = {
        "ListTasks": {"taskArns": [f"arn:{place}" for place, _ in enumerate(tasks)]},
        "DescribeTasks": {"tasks": tasks},
        "ListServiceDeployments": {"serviceDeployments": []},
    }
    for operation, answer in answers.items():
        session.events.register(
            f"before-call.ecs.{operation}", lambda answer=answer, **_: (SimpleNamespace(status_code=200), answer)
        )

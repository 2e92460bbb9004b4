"""Scaling of ECS services."""

from __future__ import annotations

from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.destroy import destroy
from orderops.engine.inventory import Inventory
from orderops.engine.step import Action
from orderops.frozen import replace
from orderops.resources.autoscaling_target import WHERE, AutoscalingTarget, Backlog
from orderops.resources.ecs_cluster import EcsCluster
from orderops.resources.sqs_queue import SqsQueue
from support.contract import Up, keeps_its_promises
from support.declared_service import CLUSTER, SCALING, SERVICE
from support.faults import Fault, PowerCut

POLICY = "cpu"
QUEUE = SqsQueue("orderops-dev-shop-queue")
WORKER = replace(SCALING, cpu_percent=None, backlog=Backlog(QUEUE, 100))

AT = f"service/{CLUSTER.name}/{SERVICE.name}"


@pytest.fixture(autouse=True)
def _tasks_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_ECS_SERVICE_RUNNING", "5")  # without it no deployment of the emulator ever ends


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(SCALING, aws, up, most=9, cpu_percent=80)


def test_the_resource_contract_is_fulfilled_by_a_worker(aws: Aws, up: Up) -> None:
    keeps_its_promises(WORKER, aws, up, backlog=Backlog(QUEUE, 50))


def test_a_worker_scales_on_the_messages_for_each_running_task(aws: Aws, up: Up) -> None:
    up(WORKER)

    (policy,) = aws.application_autoscaling.describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"]
    configuration = policy["TargetTrackingScalingPolicyConfiguration"]
    # As "Example: Amazon SQS queue backlog per task" in the Application Auto Scaling user guide.
    queries = configuration["CustomizedMetricSpecification"]["Metrics"]
    metrics = {
        query["Id"]: (query["MetricStat"]["Metric"]["Namespace"], query["MetricStat"]["Metric"]["MetricName"])
        for query in queries[:2]
    }
    assert metrics == {
        "messages": ("AWS/SQS", "ApproximateNumberOfMessagesVisible"),
        "tasks": ("ECS/ContainerInsights", "RunningTaskCount"),
    }
    assert queries[2]["Expression"] == "FILL(messages, 0) / IF(tasks > 0, tasks, 1)"
    assert [query["ReturnData"] for query in queries] == [False, False, True]
    assert configuration["TargetValue"] == 100.0


@pytest.mark.parametrize(
    "by_hand",
    [
        {"TargetValue": 5.0},
        {"DisableScaleIn": True, "ScaleInCooldown": 10},
        {"CustomizedMetricSpecification": {"Namespace": "AWS/SQS", "MetricName": "X", "Statistic": "Sum"}},
    ],
    ids=["another value", "another pace", "another metric"],
)
def test_a_backlog_policy_changed_by_hand_is_repaired(aws: Aws, up: Up, by_hand: dict[str, Any]) -> None:
    up(WORKER)
    (policy,) = aws.application_autoscaling.describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"]
    changed = {**policy["TargetTrackingScalingPolicyConfiguration"], **by_hand}
    aws.application_autoscaling.put_scaling_policy(
        **WHERE,
        ResourceId=AT,
        PolicyName=POLICY,
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=changed,
    )

    assert list(up(WORKER)[WORKER.address].changes) == ["BacklogPerTask"]
    assert up(WORKER)[WORKER.address].action is Action.NO_OP


def test_a_service_that_becomes_a_worker_and_back_has_the_goal_of_its_role_alone(aws: Aws, up: Up) -> None:
    up(SCALING)

    assert set(up(WORKER)[WORKER.address].changes) == {"CpuPercent", "BacklogPerTask"}
    assert _policies(aws) == {POLICY: 100.0}
    assert up(WORKER)[WORKER.address].action is Action.NO_OP
    assert set(up(SCALING)[SCALING.address].changes) == {"CpuPercent", "BacklogPerTask"}
    assert _policies(aws) == {POLICY: 60.0}


def test_limits_changed_by_hand_are_repaired(aws: Aws, up: Up) -> None:
    up(SCALING)
    aws.application_autoscaling.register_scalable_target(**WHERE, ResourceId=AT, MinCapacity=0, MaxCapacity=50)

    assert up(SCALING)[SCALING.address].changes == {"MinCapacity": (0, 1), "MaxCapacity": (50, 5)}
    assert up(SCALING)[SCALING.address].action is Action.NO_OP


def test_a_policy_removed_by_hand_is_set_again(aws: Aws, up: Up) -> None:
    up(SCALING)
    aws.application_autoscaling.delete_scaling_policy(**WHERE, ResourceId=AT, PolicyName=POLICY)

    assert up(SCALING)[SCALING.address].changes == {"CpuPercent": (None, 60.0)}
    assert _policies(aws) == {POLICY: 60.0}


@pytest.mark.parametrize(
    "by_hand",
    [(95.0, "ECSServiceAverageCPUUtilization"), (60.0, "ECSServiceAverageMemoryUtilization")],
    ids=["another value", "another metric"],
)
def test_a_policy_changed_by_hand_is_repaired(aws: Aws, up: Up, by_hand: tuple[float, str]) -> None:
    up(SCALING)
    value, metric = by_hand
    aws.application_autoscaling.put_scaling_policy(
        **WHERE,
        ResourceId=AT,
        PolicyName=POLICY,
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": value,
            "PredefinedMetricSpecification": {"PredefinedMetricType": metric},
        },
    )

    assert list(up(SCALING)[SCALING.address].changes) == ["CpuPercent"]
    assert up(SCALING)[SCALING.address].action is Action.NO_OP


def test_the_target_is_deleted_before_its_service(aws: Aws, up: Up) -> None:
    up(SCALING)
    inventory = Inventory(aws, "dev", (type(SERVICE), AutoscalingTarget))

    gone = [step.address for step in destroy(inventory.owned(), inventory)]

    assert gone == [SCALING.address, SERVICE.address]


def test_a_resource_of_an_environment_with_a_similar_name_is_not_owned(aws: Aws, up: Up) -> None:
    blue = EcsCluster("orderops-dev-blue-cluster")
    up(blue, environment="dev-blue")
    place = f"service/{blue.name}/orderops-dev-blue-shop"
    aws.ecs.create_service(
        cluster=blue.name, serviceName="orderops-dev-blue-shop", desiredCount=1, taskDefinition=_definition(aws)
    )
    aws.application_autoscaling.register_scalable_target(**WHERE, ResourceId=place, MinCapacity=1, MaxCapacity=2)

    assert list(AutoscalingTarget.listing(aws, Ownership("dev"))) == []
    assert [observed.id for observed in AutoscalingTarget.listing(aws, Ownership("dev-blue"))] == [place]


def test_the_owner_is_known_from_the_name_without_tags(aws: Aws, up: Up) -> None:
    up(replace(SCALING, least=2))

    (owned,) = Inventory(aws, "dev", (AutoscalingTarget,)).owned()

    assert owned.address == SCALING.address


@pytest.mark.parametrize("call", [2, 4])
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    with power_cut("application-autoscaling", after=call - 2), pytest.raises(PowerCut):
        up(SCALING)

    up(SCALING)

    assert up(SCALING)[SCALING.address].action is Action.NO_OP
    assert _policies(aws) == {POLICY: 60.0}


def test_a_lost_answer_does_no_harm(aws: Aws, up: Up, lose_answer: Fault) -> None:
    with lose_answer("application-autoscaling", "RegisterScalableTarget"):
        assert up(SCALING)[SCALING.address].action is Action.CREATE

    assert _policies(aws) == {POLICY: 60.0}


def _policies(aws: Aws) -> dict[str, float]:
    response = aws.application_autoscaling.describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"]
    return {raw["PolicyName"]: raw["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] for raw in response}


def _definition(aws: Aws) -> str:
    response = aws.ecs.register_task_definition(
        family="blue", containerDefinitions=[{"name": "blue", "image": "blue", "memory": 128}]
    )
    return str(response["taskDefinition"]["taskDefinitionArn"])

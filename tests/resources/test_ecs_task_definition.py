"""ECS task definitions: one revision for each change, none without, and none left over."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.engine.resource import Effect, Output
from orderops.engine.step import Action
from orderops.frozen import replace
from orderops.resources.ecs_task_definition import ContainerCheck
from orderops.resources.sqs_queue import SqsQueue
from support.contract import Up, keeps_its_promises, remove
from support.declared_service import DEFINITION, LOGS
from support.faults import Fault, PowerCut

CHANGES: dict[str, dict[str, Any]] = {
    "image": {"image": "shop:2"},
    "size": {"cpu": 512, "memory": 1024},
    "port": {"port": 9090},
    "environment": {"environment": {"A": "2"}},
    "a variable less": {"environment": {}},
    "time to stop": {"stop_timeout": 90},
    "health check": {"health_check": ContainerCheck(("python", "-m", "probe"), 60)},
}


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(DEFINITION, aws, up, image="shop:2")


def test_an_unchanged_definition_registers_no_revision(aws: Aws, up: Up) -> None:
    for _ in range(3):
        up(DEFINITION)

    assert _revisions(aws) == [1]


@pytest.mark.parametrize("changed", CHANGES.values(), ids=CHANGES.keys())
def test_every_change_is_one_new_revision_that_restarts_tasks(aws: Aws, up: Up, changed: dict[str, Any]) -> None:
    up(DEFINITION)
    other = replace(DEFINITION, **changed)

    assert up(other)[DEFINITION.address].effect is Effect.RESTARTS

    assert up(other)[DEFINITION.address].action is Action.NO_OP
    assert _revisions(aws) == [1, 2]


def test_a_health_check_can_be_taken_away_again(aws: Aws, up: Up) -> None:
    checked = replace(DEFINITION, health_check=ContainerCheck(("python", "-m", "probe"), 60))
    up(checked)

    assert up(DEFINITION)[DEFINITION.address].changes["HealthCheck"][1] is None

    assert up(DEFINITION)[DEFINITION.address].action is Action.NO_OP
    assert up(checked)[DEFINITION.address].action is Action.UPDATE


def test_the_order_of_variables_is_no_change(aws: Aws, up: Up) -> None:
    up(replace(DEFINITION, environment={"A": "1", "B": "2"}))

    assert up(replace(DEFINITION, environment={"B": "2", "A": "1"}))[DEFINITION.address].action is Action.NO_OP


def test_variables_and_secrets_can_be_outputs_of_other_resources(aws: Aws, up: Up) -> None:
    queue = SqsQueue("orderops-dev-queue")
    fed = replace(DEFINITION, environment={"QUEUE_URL": Output(queue, "id")}, secrets={"KEY": Output(queue, "arn")})

    up(fed)

    container = _newest(aws)["containerDefinitions"][0]
    assert container["environment"] == [{"name": "QUEUE_URL", "value": _url(aws, queue)}]
    assert container["secrets"][0]["valueFrom"].endswith(f":{queue.name}")


def test_the_task_runs_on_fargate_and_logs_to_its_group(aws: Aws, up: Up) -> None:
    up(DEFINITION)

    newest = _newest(aws)
    assert (newest["networkMode"], newest["requiresCompatibilities"]) == ("awsvpc", ["FARGATE"])
    assert newest["containerDefinitions"][0]["logConfiguration"]["options"]["awslogs-group"] == LOGS.name


def test_properties_that_aws_adds_are_no_difference(session: boto3.Session, aws: Aws, up: Up) -> None:
    def on_response(parsed: dict[str, Any], **_: Any) -> None:
        for container in parsed.get("taskDefinition", {}).get("containerDefinitions", ()):
            container |= {"cpu": 0, "mountPoints": [], "volumesFrom": [], "systemControls": []}
            container["portMappings"][0]["hostPort"] = container["portMappings"][0]["containerPort"]

    session.events.register("after-call.ecs.DescribeTaskDefinition", on_response)

    up(DEFINITION)

    assert up(DEFINITION)[DEFINITION.address].action is Action.NO_OP
    assert _revisions(aws) == [1]


def test_a_container_added_by_hand_is_not_kept(aws: Aws, up: Up) -> None:
    up(DEFINITION)
    newest = _newest(aws)
    more = {"name": "more", "image": "more:1", "memory": 128}
    given = ("cpu", "memory", "networkMode", "requiresCompatibilities", "executionRoleArn", "taskRoleArn")
    aws.ecs.register_task_definition(
        family=DEFINITION.name,
        **{key: newest[key] for key in given},
        containerDefinitions=[*newest["containerDefinitions"], more],
        tags=_tags(aws),
    )

    assert up(DEFINITION)[DEFINITION.address].changes == {"Container": ("shop more", "shop")}
    assert [definition["name"] for definition in _newest(aws)["containerDefinitions"]] == ["shop"]


def test_each_revision_has_ownership_tags(aws: Aws, up: Up) -> None:
    up(DEFINITION)
    up(replace(DEFINITION, image="shop:2"))

    tags = {tag["key"]: tag["value"] for tag in _tags(aws)}
    assert (tags["orderops:environment"], tags["orderops:address"]) == ("dev", DEFINITION.address)


def test_all_revisions_are_deleted(aws: Aws, up: Up) -> None:
    for number in range(1, 13):
        up(replace(DEFINITION, image=f"shop:{number}"))

    remove(DEFINITION, aws)

    assert _revisions(aws) == []


def test_a_family_with_a_similar_name_is_kept(aws: Aws, up: Up) -> None:
    other = replace(DEFINITION, name=f"{DEFINITION.name}-more")
    up(DEFINITION, other)

    remove(DEFINITION, aws)

    assert up(other)[other.address].action is Action.NO_OP


@pytest.mark.parametrize("call", range(4))
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    with power_cut("ecs", after=call), pytest.raises(PowerCut):
        up(DEFINITION)

    up(DEFINITION)

    assert up(DEFINITION)[DEFINITION.address].action is Action.NO_OP
    assert _revisions(aws) == [1]


def test_a_lost_answer_makes_no_second_one(aws: Aws, up: Up, lose_answer: Fault) -> None:
    with lose_answer("ecs", "RegisterTaskDefinition"):
        up(DEFINITION)
    with lose_answer("ecs", "RegisterTaskDefinition"):
        up(replace(DEFINITION, image="shop:2"))

    assert _revisions(aws) == [1, 2]


def _revisions(aws: Aws) -> list[int]:
    arns = aws.ecs.list_task_definitions(familyPrefix=DEFINITION.name)["taskDefinitionArns"]
    return sorted(int(arn.rpartition(":")[2]) for arn in arns)


def _newest(aws: Aws) -> dict[str, Any]:
    return dict(aws.ecs.describe_task_definition(taskDefinition=DEFINITION.name)["taskDefinition"])


def _tags(aws: Aws) -> list[dict[str, str]]:
    return list(aws.ecs.describe_task_definition(taskDefinition=DEFINITION.name, include=["TAGS"])["tags"])


def _url(aws: Aws, queue: SqsQueue) -> str:
    return str(aws.sqs.get_queue_url(QueueName=queue.name)["QueueUrl"])

"""ECS clusters."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.resource import State
from orderops.engine.step import Action
from orderops.errors import Unfinished
from orderops.frozen import replace
from orderops.resources.ecs_cluster import EcsCluster
from orderops.resources.iam_service_linked_role import IamServiceLinkedRole
from support.contract import Up, keeps_its_promises
from support.declared_service import CLUSTER
from support.faults import Fault, PowerCut


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(CLUSTER, aws, up, container_insights=False)


def test_drift_is_repaired(aws: Aws, up: Up) -> None:
    up(CLUSTER)
    aws.ecs.update_cluster(cluster=CLUSTER.name, settings=[{"name": "containerInsights", "value": "disabled"}])

    assert up(CLUSTER)[CLUSTER.address].changes == {"containerInsights": ("disabled", "enabled")}
    assert up(CLUSTER)[CLUSTER.address].action is Action.NO_OP


def test_the_service_linked_role_is_created_first(aws: Aws, up: Up) -> None:
    up(replace(CLUSTER, linked_role=IamServiceLinkedRole("ecs.amazonaws.com")))

    (role,) = aws.iam.list_roles(PathPrefix="/aws-service-role/")["Roles"]
    assert role["Path"] == "/aws-service-role/ecs.amazonaws.com/"


def test_a_resource_without_an_owner_is_adopted_only_on_request(aws: Aws, up: Up) -> None:
    aws.ecs.create_cluster(clusterName=CLUSTER.name)

    with pytest.raises(Unfinished, match="has no owner"):
        up(CLUSTER)
    up(CLUSTER, adopt=[CLUSTER.address])

    assert up(CLUSTER)[CLUSTER.address].action is Action.NO_OP


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("PROVISIONING", State.PENDING),
        ("ACTIVE", State.READY),
        ("DEPROVISIONING", State.GOING),
        ("FAILED", State.FAILED),
        ("INACTIVE", None),
    ],
)
def test_states_are_read_from_aws(session: boto3.Session, aws: Aws, up: Up, word: str, state: State | None) -> None:
    def told(parsed: dict[str, Any], **_: Any) -> None:
        for raw in parsed.get("clusters", ()):
            raw["status"] = word

    up(CLUSTER)
    session.events.register("after-call.ecs.DescribeClusters", told)
    again = Aws("ap-southeast-2", session=session)

    assert [observed.state for observed in EcsCluster.listing(again, Ownership("dev"))] == ([state] if state else [])


@pytest.mark.parametrize("call", range(3))
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    with power_cut("ecs", after=call), pytest.raises(PowerCut):
        up(CLUSTER)

    up(CLUSTER)

    assert up(CLUSTER)[CLUSTER.address].action is Action.NO_OP
    assert len(aws.ecs.list_clusters()["clusterArns"]) == 1


def test_a_lost_answer_makes_no_second_one(aws: Aws, up: Up, lose_answer: Fault) -> None:
    with lose_answer("ecs", "CreateCluster"):
        assert up(CLUSTER)[CLUSTER.address].action is Action.CREATE

    assert len(aws.ecs.list_clusters()["clusterArns"]) == 1

"""Service-linked roles, which the whole account shares."""

from __future__ import annotations

import pytest

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.config.environment import load_environment
from orderops.engine.inventory import Inventory
from orderops.engine.step import Action
from orderops.infra.stack import stack
from orderops.resources.iam_service_linked_role import IamServiceLinkedRole
from support.contract import Up
from support.faults import Fault, PowerCut
from support.repository import ROOT

ECS = IamServiceLinkedRole("ecs.amazonaws.com")
SCALING = IamServiceLinkedRole("ecs.application-autoscaling.amazonaws.com")


def test_a_missing_role_is_created(aws: Aws, up: Up) -> None:
    assert up(ECS, dry_run=True)[ECS.address].action is Action.CREATE
    assert up(ECS)[ECS.address].action is Action.CREATE
    assert up(ECS)[ECS.address].action is Action.NO_OP
    assert _paths(aws) == ["/aws-service-role/ecs.amazonaws.com/"]


def test_a_role_that_aws_created_is_used_without_adoption(aws: Aws, up: Up) -> None:
    aws.iam.create_service_linked_role(AWSServiceName=ECS.name)

    assert up(ECS)[ECS.address].action is Action.NO_OP


def test_all_environments_share_the_role(aws: Aws, up: Up) -> None:
    up(ECS)

    assert up(ECS, environment="prod")[ECS.address].action is Action.NO_OP
    assert len(_paths(aws)) == 1


def test_a_shared_role_is_never_deleted(aws: Aws, up: Up) -> None:
    up(ECS)
    (observed,) = IamServiceLinkedRole.listing(aws, Ownership("dev"))

    IamServiceLinkedRole.delete(aws, observed)

    assert list(Inventory(aws, "dev", (IamServiceLinkedRole,)).owned()) == []
    assert len(_paths(aws)) == 1


def test_a_service_with_a_similar_name_has_its_own_target(aws: Aws, up: Up) -> None:
    up(SCALING)

    assert up(ECS)[ECS.address].action is Action.CREATE
    assert up(SCALING, ECS)[SCALING.address].action is Action.NO_OP


def test_a_role_that_aws_creates_meanwhile_is_no_error(aws: Aws, up: Up, lose_answer: Fault) -> None:
    with lose_answer("iam", "CreateServiceLinkedRole"):
        assert up(ECS)[ECS.address].action is Action.CREATE

    assert len(_paths(aws)) == 1


@pytest.mark.parametrize("call", range(3))
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    with power_cut("iam", after=call), pytest.raises(PowerCut):
        up(ECS)

    up(ECS)

    assert up(ECS)[ECS.address].action is Action.NO_OP
    assert len(_paths(aws)) == 1


def _paths(aws: Aws) -> list[str]:
    return [raw["Path"] for raw in aws.iam.list_roles(PathPrefix="/aws-service-role/")["Roles"]]


def test_every_declared_role_exists_before_the_resources_that_aws_makes_with_it() -> None:
    """The services are those of "AWS services that work with IAM" whose resources an environment has."""
    declared = stack(load_environment("dev", ROOT / "environments"), "123456789012")
    resources = [*declared.infra, *declared.release({})]
    needed = {
        (need.name, resource.kind)
        for resource in resources
        for need in resource.needs()
        if isinstance(need, IamServiceLinkedRole)
    }

    assert needed == {
        ("ecs.amazonaws.com", "ecs-cluster"),
        ("ecs.application-autoscaling.amazonaws.com", "autoscaling-target"),
        ("elasticloadbalancing.amazonaws.com", "elbv2-load-balancer"),
        ("rds.amazonaws.com", "rds-subnet-group"),
    }
    assert {need for need, _ in needed} == {role.name for role in resources if isinstance(role, IamServiceLinkedRole)}

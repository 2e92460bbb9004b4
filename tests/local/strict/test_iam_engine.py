"""The engine waits until new roles are known to the services that use them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.engine.inventory import Inventory
from orderops.engine.reconcile import reconcile
from orderops.engine.resource import Resource
from orderops.engine.step import Action
from orderops.engine.waiting import ReconcileLimits
from orderops.local.emulator.server import Emulator
from orderops.local.strict import make_strict
from orderops.local.strict.delays import Delays
from orderops.resources.autoscaling_target import AutoscalingTarget
from orderops.resources.ec2_flow_log import Ec2FlowLog
from orderops.resources.ec2_internet_gateway import Ec2InternetGateway
from orderops.resources.ecs_cluster import EcsCluster
from orderops.resources.iam_role import IamRole
from orderops.resources.iam_service_linked_role import IamServiceLinkedRole
from orderops.resources.rds_subnet_group import RdsSubnetGroup
from support.declared_service import DEFINITION, LOGS, SERVICE, SUBNETS, VPC
from support.emulated_account import with_needs
from support.strict_clients import Client, served

# End to end.
pytestmark = pytest.mark.slow

PATIENT = ReconcileLimits(
    seen_within=timedelta(seconds=30), trouble=timedelta(seconds=60), timeout=timedelta(seconds=120)
)
ECS = IamServiceLinkedRole("ecs.amazonaws.com")
SCALING = IamServiceLinkedRole("ecs.application-autoscaling.amazonaws.com")
FLOW = IamRole("orderops-dev-flow", "vpc-flow-logs.amazonaws.com")
GATEWAY = Ec2InternetGateway("orderops-dev-internet", VPC)
RDS = IamServiceLinkedRole("rds.amazonaws.com")
DATABASE_SUBNETS = RdsSubnetGroup("orderops-dev-database", SUBNETS, RDS)
CONSUMERS: dict[str, tuple[Resource, str]] = {
    "a flow log": (Ec2FlowLog("orderops-dev-flow", VPC, LOGS, FLOW), "Unable to assume given IAM role"),
    "a task definition": (DEFINITION, "Role is not valid"),
    "a subnet group of a database": (DATABASE_SUBNETS, "Missing necessary credentials"),
    "a cluster": (EcsCluster("orderops-dev-cluster", linked_role=ECS), "Unable to assume the service linked role"),
}


@pytest.fixture(scope="module")
def strict_server() -> Iterator[Client]:
    emulator = Emulator()
    make_strict(emulator, Delays(role=1.5))
    with served(emulator) as client:
        yield client


@pytest.fixture
def refusals() -> list[str]:
    return []


@pytest.fixture
def aws(strict: Client, refusals: list[str]) -> Aws:
    session = boto3.Session("testing", "testing", region_name="ap-southeast-2")

    def note(parsed: dict[str, Any], **_: Any) -> None:
        refusals.extend(message["Error"]["Message"] for message in parsed.get("Unsuccessful", ()))
        if "Error" in parsed:
            refusals.append(parsed["Error"].get("Message", ""))

    session.events.register("after-call", note)
    return Aws("ap-southeast-2", endpoint_url=strict("sts").meta.endpoint_url, session=session)


def up(aws: Aws, resource: Resource) -> Action:
    """Reconcile a resource and its dependencies, and return the steps by address."""
    declared = with_needs([resource, GATEWAY])
    inventory = Inventory(aws, "dev", tuple(dict.fromkeys(type(message) for message in declared)))
    return {step.address: step.action for step in reconcile(declared, inventory, limits=PATIENT)}[resource.address]


@pytest.mark.parametrize("case", CONSUMERS)
def test_a_new_role_is_awaited_by(aws: Aws, refusals: list[str], case: str) -> None:
    resource, words = CONSUMERS[case]

    assert up(aws, resource) is Action.CREATE
    assert any(words in message for message in refusals), refusals

    assert up(aws, resource) is Action.NO_OP


def test_a_service_and_its_scaling_wait_for_their_roles(aws: Aws, refusals: list[str]) -> None:
    assert up(aws, SERVICE) is Action.CREATE
    scaling = AutoscalingTarget(SERVICE.name, SERVICE, least=1, most=5, cpu_percent=60, linked_role=SCALING)

    assert up(aws, scaling) is Action.CREATE

    assert any("Unable to assume IAM role" in message for message in refusals), refusals
    assert up(aws, scaling) is Action.NO_OP

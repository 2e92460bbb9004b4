"""A blue/green deployment that somebody made of the database: commands leave it alone, and know what is left of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.command_line import Orderops
from support.faulty_proxy import Proxy
from support.guided_changes_fixtures import NAME, instance
from support.laptop import until

pytestmark = pytest.mark.slow

pytest_plugins = ["support.guided_changes_fixtures", "support.dev_accounts"]
Deploy = Callable[[], str]


@pytest.fixture
def orderops(capsys: pytest.CaptureFixture[str], proxy: Proxy, dev_released: bytes, folder: Path) -> Orderops:
    proxy.bring_back(dev_released)
    return Orderops(capsys, "--env", "dev", "--environments", str(folder))


@pytest.fixture
def deployment(orderops: Orderops, rds: Any) -> str:
    """A deployment of the database that is ready to be switched over."""
    rds.modify_db_instance(
        DBInstanceIdentifier=NAME, ManageMasterUserPassword=False, MasterUserPassword="chosen-by-hand"
    )
    until(lambda: instance(rds)["DBInstanceStatus"] == "available", what="the database is available")
    answer = rds.create_blue_green_deployment(BlueGreenDeploymentName="by-hand", Source=instance(rds)["DBInstanceArn"])
    identifier: str = answer["BlueGreenDeployment"]["BlueGreenDeploymentIdentifier"]
    until(lambda: state(rds, identifier) == "AVAILABLE", what="the deployment is available")
    return identifier


def state(rds: Any, identifier: str) -> str:
    found = rds.describe_blue_green_deployments(BlueGreenDeploymentIdentifier=identifier)["BlueGreenDeployments"]
    return str(found[0]["Status"])


def test_no_command_changes_the_database_while_it_is_replicated_to_green(
    orderops: Orderops, deployment: str, rds: Any, proxy: Proxy
) -> None:
    proxy.forget()

    for words in (("infra", "apply"), ("database", "scale", "--class", "db.t3.small")):
        said = orderops(*words, "--yes")

        assert said.code == 1
        assert f"{NAME} has the green instance {NAME}-green-" in " ".join(said.err.split())
    assert not [call for call in proxy.changing if "DBInstance" in str(call)]
    assert instance(rds)["DBInstanceClass"] == "db.t3.micro"
    assert state(rds, deployment) == "AVAILABLE"


def test_green_is_no_restored_instance(orderops: Orderops, deployment: str) -> None:
    listed = json.loads(orderops("restore", "list", "--json").out)

    assert [found["name"] for found in listed] == [NAME]


def test_after_the_switchover_the_old_instance_is_a_former_one_that_can_be_discarded(
    orderops: Orderops, deployment: str, rds: Any
) -> None:
    before = instance(rds)["DbiResourceId"]
    rds.switchover_blue_green_deployment(BlueGreenDeploymentIdentifier=deployment)
    until(lambda: state(rds, deployment) == "SWITCHOVER_COMPLETED", what="the switchover is complete")

    listed = json.loads(orderops("restore", "list", "--json").out)
    planned = orderops("infra", "plan")
    old = f"{NAME}-old1"
    discarded = orderops("restore", "discard", old, "--confirm", old)

    assert instance(rds)["DbiResourceId"] != before
    assert {found["name"]: found["role"] for found in listed} == {NAME: "primary", old: "former"}
    assert "update iam-role/orderops-dev-order-processor-task" in planned.out
    assert f"dbuser:{instance(rds)['DbiResourceId']}/" in "".join(planned.out.split())
    assert discarded.code == 0, discarded.err
    assert [found["DBInstanceIdentifier"] for found in rds.describe_db_instances()["DBInstances"]] == [NAME]

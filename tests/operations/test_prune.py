"""Undeclared resources: deleted with dependents first, or kept with their dependencies if they hold data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.config.environment import load_environment
from orderops.infra.apply import Apply
from orderops.infra.workspace import Workspace
from support.account_snapshot import take_snapshot
from support.command_line import Orderops
from support.faulty_proxy import Proxy
from support.laptop import until
from support.repository import ENVIRONMENTS

# End to end.
pytestmark = pytest.mark.slow

DEV = (ENVIRONMENTS / "dev.toml").read_text()
FIRST = DEV.replace("[services.order-processor]\n", "[services.order-processor]\npriority = 1000\n")
SECOND = '\n[services.billing]\npaths = ["/billing/*"]\npriority = 200\nmax_tasks = 2\n'
IMAGES = dict.fromkeys(("order-processor", "billing"), "123456789012.dkr.ecr.ap-southeast-2.amazonaws.com/image:1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "dev.toml").write_text(FIRST)
    return tmp_path


@pytest.fixture
def orderops(capsys: pytest.CaptureFixture[str], proxy: Proxy, folder: Path) -> Orderops:
    return Orderops(capsys, "--env", "dev", "--environments", str(folder))


@pytest.fixture(scope="module")
def both(account: Proxy, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An account in which two services run."""
    folder = tmp_path_factory.mktemp("both")
    (folder / "dev.toml").write_text(FIRST + SECOND)
    account.reset()
    session = boto3.Session("testing", "testing")
    workspace = Workspace(
        load_environment("dev", folder), Aws("ap-southeast-2", endpoint_url=account.url, session=session)
    )
    run = Apply(workspace, IMAGES)
    assert len([*run.infra(), *run.release()]) > 60
    return account.keep()


@pytest.fixture
def released(proxy: Proxy, both: bytes) -> None:
    """Two services run, and the file declares the first only."""
    proxy.bring_back(both)


@pytest.mark.usefixtures("released")
def test_pruning_deletes_a_service_before_its_dependencies(orderops: Orderops, proxy: Proxy, client: Any) -> None:
    planned = orderops("infra", "apply", "--prune", "--dry-run")
    assert proxy.changing == []
    assert "- delete ecs-service/orderops-dev-billing" in planned.out
    assert "- delete ec2-security-group/orderops-dev-billing" in planned.out

    pruned = orderops("infra", "apply", "--prune", "--yes")

    assert pruned.code == 0, pruned.err
    calls = [str(request) for request in proxy.requests if request.changes]
    assert calls.index("ecs.DeleteService") < calls.index("elasticloadbalancing.DeleteTargetGroup")
    assert calls.index("ecs.DeleteService") < calls.index("iam.DeleteRole")
    assert calls.index("ecs.DeleteService") < calls.index("ec2.DeleteSecurityGroup")
    left = [name for names in take_snapshot(client).values() for name in names if "billing" in name]
    assert [name for name in left if not name.startswith("TargetTracking-")] == []  # those, AWS removes by itself
    assert "is up to date" in orderops("infra", "apply", "--prune", "--yes").err


@pytest.mark.usefixtures("released")
def test_pruning_keeps_resources_that_hold_data_and_their_dependencies(orderops: Orderops, client: Any) -> None:
    sqs = client("sqs")
    queue = sqs.get_queue_url(QueueName="orderops-dev-billing-queue")["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody="an order")

    pruned = orderops("infra", "apply", "--prune", "--yes")

    assert pruned.code == 0, pruned.err
    assert "kept: sqs-queue/orderops-dev-billing-queue (holds 1 message" in pruned.err
    assert "kept: sqs-queue/orderops-dev-billing-dlq (sqs-queue/orderops-dev-billing-queue may need it)" in pruned.err
    left = [name for names in take_snapshot(client).values() for name in names if name.startswith("orderops-dev-bi")]
    assert left == ["orderops-dev-billing-dlq", "orderops-dev-billing-queue"]

    only = ("down", "--only", "sqs-queue/orderops-dev-billing-queue", "--yes")
    words = "--only sqs-queue/orderops-dev-billing-queue --confirm orderops-dev-billing-queue"
    assert f"to delete these too: orderops down --env dev {words}" in orderops(*only).err
    assert orderops(*only, "--confirm", "orderops-dev-billing-queue").code == 0
    # A deleted queue is listed for a while.
    until(lambda: "orderops-dev-billing-queue" not in take_snapshot(client)["queue"])


@pytest.mark.parametrize(
    "words",
    [("infra", "plan", "--adopt"), ("infra", "apply", "--yes", "--adopt"), ("down", "--yes", "--only")],
    ids=["plan --adopt", "apply --adopt", "down --only"],
)
def test_an_unknown_address_is_refused_before_any_change(
    orderops: Orderops, proxy: Proxy, client: Any, words: tuple[str, ...]
) -> None:
    tags = {"orderops:environment": "dev", "orderops:address": "sqs-queue/orderops-dev-order-processor-queue"}
    client("sqs").create_queue(QueueName="orderops-dev-order-processor-queue", tags=tags)
    proxy.forget()

    refused = orderops(*words, "sqs-queue/orderops-dev-order-procesor-queue")

    assert refused.code == 2
    assert f"{words[-1]} sqs-queue/orderops-dev-order-procesor-queue: no " in refused.err
    assert "hint: did you mean sqs-queue/orderops-dev-order-processor-queue?" in refused.err
    assert proxy.changing == []

"""`service destroy`: one service and its workers leave a running environment, and the others notice nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.aws.client import Aws
from orderops.config.environment import load_environment
from orderops.infra.apply import Apply
from orderops.infra.destroy import own_addresses
from orderops.infra.workspace import Workspace
from support.account_snapshot import take_snapshot
from support.command_line import Orderops
from support.faulty_proxy import Proxy, SeenRequest
from support.laptop import until
from support.repository import ENVIRONMENTS

DEV = (ENVIRONMENTS / "dev.toml").read_text()
FIRST = DEV.replace("[services.order-processor]\n", "[services.order-processor]\npriority = 1000\n")
# The second has a name that begins like the third, and a worker.
BILLING = '\n[services.billing]\npaths = ["/billing/*"]\npriority = 200\nmax_tasks = 1\nsecrets = ["TOKEN"]\n'
WORKER = '[services.invoices]\nrole = "worker"\nworks_for = "billing"\nmax_tasks = 1\n'
OTHER = '[services.billing-archive]\npaths = ["/archive/*"]\npriority = 210\nmax_tasks = 1\n'
IMAGE = "123456789012.dkr.ecr.ap-southeast-2.amazonaws.com/image:1"
QUEUE = "orderops-dev-billing-queue"
SECRET = "orderops/dev/billing/TOKEN"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "dev.toml").write_text(FIRST + BILLING + WORKER + OTHER)
    return tmp_path


@pytest.fixture
def orderops(capsys: pytest.CaptureFixture[str], proxy: Proxy, folder: Path) -> Orderops:
    return Orderops(capsys, "--env", "dev", "--environments", str(folder))


@pytest.fixture(scope="module")
def _four(account: Proxy, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An account in which four services run."""
    folder = tmp_path_factory.mktemp("four")
    (folder / "dev.toml").write_text(FIRST + BILLING + WORKER + OTHER)
    account.reset()
    session = boto3.Session("testing", "testing")
    environment = load_environment("dev", folder)
    workspace = Workspace(environment, Aws("ap-southeast-2", endpoint_url=account.url, session=session))
    run = Apply(workspace, dict.fromkeys(environment.services, IMAGE))
    assert len([*run.infra(), *run.release()]) > 80
    return account.keep()


@pytest.fixture
def released(proxy: Proxy, _four: bytes) -> None:
    proxy.bring_back(_four)


def left_of(client: Any, *names: str) -> list[str]:
    """What is left in the account with one of these in its name, without what is of billing-archive."""
    found = [name for names_of_kind in take_snapshot(client).values() for name in names_of_kind]
    found = [name for name in found if not name.startswith("TargetTracking-")]  # AWS removes those by itself
    return sorted(
        found_name
        for found_name in found
        for name in names
        if name in found_name and not found_name.partition(name)[2].startswith("-archive")
    )


def running(client: Any) -> Mapping[str, str]:
    services = client("ecs").list_services(cluster="orderops-dev-cluster")["serviceArns"]
    described = client("ecs").describe_services(cluster="orderops-dev-cluster", services=services)["services"]
    return {raw["serviceName"]: raw["status"] for raw in described if raw["status"] == "ACTIVE"}


def test_addresses_of_a_service_are_those_that_no_other_service_has(aws: Aws, folder: Path) -> None:
    """The names are written here; a name that another one begins with takes none of its resources."""
    workspace = Workspace(load_environment("dev", folder), aws)

    addresses = own_addresses(workspace, "billing")

    assert {
        "ecs-service/orderops-dev-billing",
        "ecs-task-definition/orderops-dev-billing",
        "sqs-queue/orderops-dev-billing-queue",
        "sqs-queue/orderops-dev-billing-dlq",
        "ecr-repository/orderops-dev-billing",
        "logs-group//orderops/dev/billing",
        "secretsmanager-secret/orderops/dev/billing/TOKEN",
        "elbv2-target-group/orderops-dev-billing",
        "ec2-security-group/orderops-dev-billing",
    } <= addresses
    assert [address for address in addresses if "billing" not in address] == []
    assert [address for address in addresses if "archive" in address] == []


def test_a_worker_leaves_what_it_shares_with_its_service(aws: Aws, folder: Path) -> None:
    workspace = Workspace(load_environment("dev", folder), aws)

    addresses = own_addresses(workspace, "invoices")

    assert "ecs-service/orderops-dev-invoices" in addresses
    assert addresses & own_addresses(workspace, "billing") == set()


@pytest.mark.usefixtures("released")
@pytest.mark.slow
def test_a_service_and_its_worker_leave_and_the_others_are_not_touched(
    orderops: Orderops, proxy: Proxy, client: Any, folder: Path
) -> None:
    planned = orderops("service", "destroy", "billing", "--dry-run")
    assert (planned.code, proxy.changing) == (0, [])
    assert "invoices goes with billing, whose queue it empties" in planned.err
    assert "- delete ecs-service/orderops-dev-invoices" in planned.out
    assert "= keep secretsmanager-secret/orderops/dev/billing/TOKEN" in planned.out, planned.out
    assert "the log lines in /orderops/dev/billing go with it" in planned.err

    gone = orderops("service", "destroy", "billing", "--yes")

    assert gone.code == 0, gone.err
    assert f"kept: secretsmanager-secret/{SECRET} (holds a secret value" in gone.err
    assert f"to delete these too: orderops service destroy billing --env dev --confirm {SECRET}" in gone.err
    assert "dev.toml still declares billing, invoices: the next `up` makes them again, unless you take" in gone.err
    assert left_of(client, "billing", "invoices") == [SECRET]
    assert set(running(client)) == {"orderops-dev-order-processor", "orderops-dev-billing-archive"}

    # The others are as the file declares them, and the secret is all that the plan finds besides.
    (folder / "dev.toml").write_text(FIRST + OTHER)
    plan = orderops("infra", "plan")
    [line] = plan.out.splitlines()
    assert line.startswith(f"? undeclared secretsmanager-secret/{SECRET} ")

    again = orderops("service", "destroy", "billing", "--yes", "--confirm", SECRET)
    assert again.code == 0, again.err
    # A deleted secret is listed for a while.
    until(lambda: left_of(client, "billing", "invoices") == [])
    assert "still declares" not in again.err

    proxy.forget()
    last = orderops("service", "destroy", "billing", "--yes")
    assert (last.code, proxy.changing) == (0, [])
    assert "dev has nothing of billing to delete" in last.err


@pytest.mark.usefixtures("released")
@pytest.mark.slow
def test_a_queue_with_messages_stays_with_its_dead_letters(orderops: Orderops, client: Any) -> None:
    sqs = client("sqs")
    sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"], MessageBody="an order")

    gone = orderops("service", "destroy", "billing", "--yes", "--confirm", SECRET)

    assert gone.code == 0, gone.err
    assert f"kept: sqs-queue/{QUEUE} (holds 1 message" in gone.err
    assert f"to delete these too: orderops service destroy billing --env dev --confirm {QUEUE}" in gone.err
    assert left_of(client, "billing", "invoices") == ["orderops-dev-billing-dlq", QUEUE]


@pytest.mark.usefixtures("released")
@pytest.mark.slow
def test_a_message_that_arrives_while_the_service_is_deleted_keeps_its_queue(
    orderops: Orderops, proxy: Proxy, client: Any
) -> None:
    def arrives(request: SeenRequest) -> None:
        if request.action == "DeleteService" and not sent:
            sent.append(request)
            get_backend("sqs")[DEFAULT_ACCOUNT_ID]["ap-southeast-2"].send_message(QUEUE, "an order")

    sent: list[SeenRequest] = []
    proxy.rule = arrives

    gone = orderops("service", "destroy", "billing", "--yes", "--confirm", SECRET)

    assert gone.code == 0, gone.err
    assert f"kept: sqs-queue/{QUEUE} (holds 1 message" in gone.err
    assert left_of(client, "billing", "invoices") == ["orderops-dev-billing-dlq", QUEUE]


@pytest.mark.parametrize("name", ["Billing", "billing_", "../billing", "", "-x"])
def test_what_cannot_name_a_service_is_refused(orderops: Orderops, proxy: Proxy, name: str) -> None:
    refused = orderops("service", "destroy", "--yes", "--", name)

    assert refused.code == 2
    assert proxy.changing == []

"""A copy with the same two tags: neither of the two is deleted before each was named by its own name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.command_line import Orderops
from support.emulated_network import until
from support.faulty_proxy import Proxy
from support.repository import ENVIRONMENTS

pytest_plugins = ["support.dev_accounts"]

# End to end.
pytestmark = pytest.mark.slow

SERVICE = "orderops-dev-order-processor"
QUEUE = f"{SERVICE}-queue"
LOGS = "orderops-dev-access-logs-123456789012"
DATABASE = "orderops-dev-database"
SECRET = "orderops/dev/order-processor/old-key"
MANIFEST = {"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "layers": []}
Client = Callable[[str], Any]


@pytest.fixture
def orderops(capsys: pytest.CaptureFixture[str], proxy: Proxy, dev_released: bytes, tmp_path: Path) -> Orderops:
    proxy.bring_back(dev_released)
    (tmp_path / "dev.toml").write_text((ENVIRONMENTS / "dev.toml").read_text())
    return Orderops(capsys, "--environments", str(tmp_path))


def tags_of(address: str) -> dict[str, str]:
    return {"orderops:environment": "dev", "orderops:address": address, "orderops:managed-by": "orderops"}


def pairs(address: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags_of(address).items()]


def queues(client: Client) -> None:
    sqs = client("sqs")
    full = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    for number in range(7):
        sqs.send_message(QueueUrl=full, MessageBody=str(number))
    copy = sqs.create_queue(QueueName=f"{QUEUE}-copy", tags=tags_of(f"sqs-queue/{QUEUE}"))["QueueUrl"]
    until(lambda: copy in sqs.list_queues()["QueueUrls"])


def buckets(client: Client) -> None:
    s3 = client("s3")
    s3.put_object(Bucket=LOGS, Key="backup/orders.sql", Body=b"1")
    copy = "orderops-dev-access-logs-copy"
    s3.create_bucket(Bucket=copy, CreateBucketConfiguration={"LocationConstraint": "ap-southeast-2"})
    s3.put_bucket_tagging(Bucket=copy, Tagging={"TagSet": pairs(f"s3-bucket/{LOGS}")})


def repositories(client: Client) -> None:
    ecr = client("ecr")
    ecr.put_image(repositoryName=SERVICE, imageManifest=json.dumps(MANIFEST), imageTag="1")
    ecr.create_repository(repositoryName=f"{SERVICE}-copy", tags=pairs(f"ecr-repository/{SERVICE}"))


def secrets(client: Client) -> None:
    manager, names = client("secretsmanager"), {SECRET, f"{SECRET}-copy"}
    for name in names:
        manager.create_secret(Name=name, SecretString="s3cr3t", Tags=pairs(f"secretsmanager-secret/{SECRET}"))
    until(lambda: names <= {raw["Name"] for raw in manager.list_secrets()["SecretList"]})


def databases(client: Client) -> None:
    client("rds").create_db_instance(
        DBInstanceIdentifier="billing",
        Engine="postgres",
        EngineVersion="16",
        DBInstanceClass="db.t3.micro",
        AllocatedStorage=20,
        MasterUsername="billing",
        ManageMasterUserPassword=True,
        Tags=pairs(f"rds-instance/{DATABASE}"),
    )


@dataclass(frozen=True)
class Case:
    """What makes the twins, their address and names, and what is said of what they hold."""

    make: Callable[[Client], None]
    address: str
    names: Mapping[str, str]


DATA = "a PostgreSQL 16 database of 20 GB"
CASES = {
    "queues": Case(queues, f"sqs-queue/{QUEUE}", {QUEUE: "7 messages", f"{QUEUE}-copy": "nothing"}),
    "buckets": Case(buckets, f"s3-bucket/{LOGS}", {LOGS: "1 object that", "orderops-dev-access-logs-copy": "nothing"}),
    "repositories": Case(repositories, f"ecr-repository/{SERVICE}", {SERVICE: "1 image", f"{SERVICE}-copy": "nothing"}),
    "secrets": Case(
        secrets, f"secretsmanager-secret/{SECRET}", {SECRET: "a secret value", f"{SECRET}-copy": "a secret value"}
    ),
    "databases": Case(databases, f"rds-instance/{DATABASE}", {DATABASE: DATA, "billing": DATA}),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_down_refuses_twins_and_names_each_one_with_its_data(
    orderops: Orderops, proxy: Proxy, client: Client, case: Case
) -> None:
    case.make(client)
    proxy.forget()

    for confirmed in ((), ("--confirm", case.address.partition("/")[2])):
        refused = orderops("down", "--env", "dev", "--yes", *confirmed)

        assert refused.code == 1
        assert f"error: {case.address} was found 2 times, nothing was deleted:\n" in refused.err
        for name, data in case.names.items():
            assert f" {name} ({case.address.partition('/')[0]}, holds {data}" in refused.err
    assert proxy.changing == []


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_twins_that_are_all_named_are_deleted(orderops: Orderops, client: Client, case: Case) -> None:
    case.make(client)
    confirmed = [word for name in case.names for word in ("--confirm", name)]

    down = orderops("down", "--env", "dev", "--yes", "--only", case.address, *confirmed)

    if case.address.startswith(("rds-instance", "sqs-queue")):  # used by the alarms and the service
        down = orderops("down", "--env", "dev", "--yes", *confirmed)
    assert down.code == 0, down.err
    assert orderops("down", "--env", "dev", "--yes", "--only", case.address).code == 2  # no longer there


def test_the_final_snapshot_of_each_database_is_named(orderops: Orderops, client: Client) -> None:
    databases(client)

    down = orderops("down", "--env", "dev", "--yes", "--confirm", DATABASE, "--confirm", "billing")

    assert down.code == 0, down.err
    taken = client("rds").describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]
    snapshots = [raw["DBSnapshotIdentifier"] for raw in taken]
    assert sorted(name.partition("-final-")[0] for name in snapshots) == ["billing", DATABASE]
    assert [name for name in snapshots if f"snapshot: {name}" not in down.err] == []


def test_a_plan_that_prunes_refuses_undeclared_twins(orderops: Orderops, proxy: Proxy, client: Client) -> None:
    sqs, names = client("sqs"), ("orderops-dev-old", "orderops-dev-old-copy")
    urls = {sqs.create_queue(QueueName=name, tags=tags_of(f"sqs-queue/{names[0]}"))["QueueUrl"] for name in names}
    until(lambda: urls <= {*sqs.list_queues()["QueueUrls"]})
    proxy.forget()

    refused = orderops("infra", "apply", "--env", "dev", "--yes", "--prune")

    assert refused.code == 1
    assert "error: sqs-queue/orderops-dev-old was found 2 times, nothing was deleted:\n" in refused.err
    assert "orderops-dev-old-copy (sqs-queue, holds nothing)" in refused.err
    assert proxy.changing == []

"""`orderops infra drift` against the emulator over HTTP: what moved, on whose behalf, and the ways on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.config.environment import load_environment
from orderops.drift.report import Drift, Side, drift_of
from orderops.infra.workspace import Workspace
from orderops.trail.lookup import Trail
from support.command_line import Orderops
from support.damage import damage
from support.faulty_proxy import Proxy
from support.repository import ENVIRONMENTS

REGION = "ap-southeast-2"
QUEUE = "sqs-queue/orderops-dev-order-processor-queue"
DATABASE = "rds-instance/orderops-dev-database"


@pytest.fixture
def orderops(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, proxy: Proxy) -> Orderops:
    # The emulator answers at any rate.
    monkeypatch.setattr("orderops.trail.lookup.PAUSE", 0)
    return Orderops(capsys)


@pytest.fixture
def dev(proxy: Proxy, dev_released: bytes) -> Proxy:
    """The account with dev, released and running."""
    proxy.bring_back(dev_released)
    return proxy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "dev.toml").write_text((ENVIRONMENTS / "dev.toml").read_text())
    return tmp_path


@pytest.fixture
def alice(dev: Proxy, client: Callable[[str], Any]) -> Callable[[str], Any]:
    """`alice("sqs")`: a client with the key of another user of the account."""
    iam = client("iam")
    iam.create_user(UserName="alice")
    key = iam.create_access_key(UserName="alice")["AccessKey"]
    session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=REGION)
    return lambda service: session.client(service, endpoint_url=dev.url)


def workspace_of(proxy: Proxy, folder: Path) -> Workspace:
    session = boto3.Session("testing", "testing", region_name=REGION)
    aws = Aws(REGION, endpoint_url=proxy.url, session=session)
    return Workspace(load_environment("dev", folder), aws, folder=folder)


def drift_in(proxy: Proxy, folder: Path) -> dict[tuple[str, str], Drift]:
    workspace = workspace_of(proxy, folder)
    report = drift_of(workspace, Trail(workspace.aws, pause=0))
    return {(drift.address, drift.key): drift for drift in report.differences}


def set_visibility(client: Callable[[str], Any], seconds: int) -> None:
    sqs = client("sqs")
    url = sqs.get_queue_url(QueueName=QUEUE.partition("/")[2])["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(seconds)})


def test_every_change_out_of_band_is_shown_with_its_mover(
    dev: Proxy, alice: Callable[[str], Any], folder: Path
) -> None:
    damaged = damage(alice, "orderops-dev")

    found = drift_in(dev, folder)

    assert {address for address, _ in found} == set(damaged)
    assert {drift.mover.last and drift.mover.last.who for drift in found.values()} == {"alice"}
    assert {drift.address: drift.mover.last and drift.mover.last.event for drift in found.values()} == {
        QUEUE: "SetQueueAttributes",
        "logs-group//orderops/dev/order-processor": "PutRetentionPolicy",
        "logs-group//orderops/dev/flow-log": "DeleteLogGroup",
        DATABASE: "ModifyDBInstance",
        "ec2-security-group/orderops-dev-database": "AuthorizeSecurityGroupIngress",
        "cloudwatch-alarm/orderops-dev-order-processor-cpu": "PutMetricAlarm",
        "ec2-subnet/orderops-dev-private-a": "DeleteTags",
        "elbv2-rule/orderops-dev-order-processor:80": "DeleteRule",
    }
    assert {drift.moved for drift in found.values() if drift.mover.certain} == {Side.ACCOUNT}

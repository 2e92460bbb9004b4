"""Secrets, queues and roles that AWS lists late: `up`, `up` again and `down` with listings that never catch up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from orderops.local.strict.delays import Delays
from support.faulty_proxy import Proxy, served
from support.paged_environments import paged_environments
from support.policy_workflows import run_quietly
from support.proof import FIRST

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def account() -> Iterator[Proxy]:
    with served(Delays(listing=3600)) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def _in_the_account(account: Proxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    account.reset()
    monkeypatch.setenv("AWS_ENDPOINT_URL", account.url)
    monkeypatch.setenv("ORDEROPS_LOG_DIRECTORY", str(tmp_path))


def client(account: Proxy, service: str) -> Any:
    session = boto3.Session("testing", "testing", region_name="ap-southeast-2")
    return session.client(service, endpoint_url=account.url)


def orderops(environment: str, *argv: str) -> str:
    confirmed = ["--confirm", "prod"] if environment == "prod" else []
    result = run_quietly(*argv, "--env", environment, "--environments", str(paged_environments()), "--yes", *confirmed)
    assert result.code == 0, result.out + result.err
    return result.out + result.err


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_listings_that_lag_hide_nothing_from_up_and_down(account: Proxy, environment: str) -> None:
    output = orderops(environment, "up", "--image", FIRST)
    folder = f" --environments {paged_environments()}"
    rehearsed = f"orderops migrate rehearsal --env {environment}{folder}, then " if environment != "dev" else ""
    assert f"next: {rehearsed}orderops migrate apply --env {environment}{folder}" in output
    listed = client(account, "secretsmanager").list_secrets()["SecretList"]
    assert [secret["Name"] for secret in listed if secret["Name"].startswith("orderops/")] == []

    before = len(account.requests)
    orderops(environment, "up", "--image", FIRST)
    created = [request for request in account.requests[before:] if request.changes and request.service != "s3"]
    assert created == []

    database = f"orderops-{environment}-database"
    orderops(environment, "down", "--confirm", database)

    # Exactly as on AWS, only a read by name tells what is left.
    secrets, sqs, iam = (client(account, service) for service in ("secretsmanager", "sqs", "iam"))
    with pytest.raises(secrets.exceptions.ResourceNotFoundException):
        secrets.describe_secret(SecretId=f"orderops/{environment}/database")
    for name in ("queue", "dlq"):
        with pytest.raises(sqs.exceptions.QueueDoesNotExist):
            sqs.get_queue_url(QueueName=f"orderops-{environment}-order-processor-{name}")
    assert [role["RoleName"] for role in iam.list_roles()["Roles"] if role["RoleName"].startswith("orderops-")] == []

    # The listings show everything that was just deleted.
    orderops(environment, "up", "--image", FIRST)
    secrets.describe_secret(SecretId=f"orderops/{environment}/database")
    sqs.get_queue_url(QueueName=f"orderops-{environment}-order-processor-queue")

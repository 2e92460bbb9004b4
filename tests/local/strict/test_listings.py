"""Listings lag behind creates and deletes; reads by name do not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from orderops.local.emulator.server import Emulator
from orderops.local.strict import make_strict
from orderops.local.strict.delays import Delays
from support.strict_clients import Client, served

HOUR = 3600.0
TRUST = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs.amazonaws.com"}, '
TRUST += '"Action": "sts:AssumeRole"}]}'


@pytest.fixture(scope="module")
def lagging_server() -> Iterator[Client]:
    emulator = Emulator()
    make_strict(emulator, Delays(listing=HOUR))
    with served(emulator) as client:
        yield client


@pytest.fixture
def lagging(lagging_server: Client) -> Client:
    """Client of the same account, in which every listing is an hour late."""
    return lagging_server


def secrets(client: Client) -> list[str]:
    filters = [{"Key": "name", "Values": ["orders"]}]
    return [secret["Name"] for secret in client("secretsmanager").list_secrets(Filters=filters)["SecretList"]]


def queues(client: Client) -> list[str]:
    return [url.rpartition("/")[2] for url in client("sqs").list_queues(QueueNamePrefix="orders").get("QueueUrls", ())]


def roles(client: Client) -> list[str]:
    details = client("iam").get_account_authorization_details(Filter=["Role"])["RoleDetailList"]
    return [role["RoleName"] for role in details]


def test_a_new_secret_is_found_by_its_name_before_it_is_listed(moto: Client, lagging: Client) -> None:
    lagging("secretsmanager").create_secret(Name="orders", SecretString="value")

    assert secrets(moto) == ["orders"]
    assert secrets(lagging) == []
    assert lagging("secretsmanager").describe_secret(SecretId="orders")["Name"] == "orders"


@pytest.mark.parametrize("how", [{"ForceDeleteWithoutRecovery": True}, {"RecoveryWindowInDays": 7}])
def test_a_deleted_secret_is_still_listed(moto: Client, lagging: Client, how: dict[str, Any]) -> None:
    moto("secretsmanager").create_secret(Name="orders", SecretString="value")
    moto("secretsmanager").create_secret(Name="invoices", SecretString="value")
    for name in ("orders", "invoices"):
        lagging("secretsmanager").delete_secret(SecretId=name, **how)

    assert secrets(moto) == []
    assert secrets(lagging) == ["orders"]


def test_a_new_queue_is_found_by_its_name_before_it_is_listed(moto: Client, lagging: Client) -> None:
    moto("sqs").create_queue(QueueName="orders-1")
    for name in ("orders-1", "orders-2"):
        lagging("sqs").create_queue(QueueName=name)

    assert queues(moto) == ["orders-1", "orders-2"]
    assert queues(lagging) == ["orders-1"]
    assert lagging("sqs").get_queue_url(QueueName="orders-2")["QueueUrl"].endswith("/orders-2")


def test_a_deleted_queue_is_still_listed(moto: Client, lagging: Client) -> None:
    for name in ("orders", "invoices"):
        lagging("sqs").delete_queue(QueueUrl=moto("sqs").create_queue(QueueName=name)["QueueUrl"])

    assert queues(moto) == []
    assert queues(lagging) == ["orders"]


def test_a_new_role_is_found_by_its_name_before_it_is_listed(moto: Client, lagging: Client) -> None:
    moto("iam").create_role(RoleName="old", AssumeRolePolicyDocument=TRUST)
    lagging("iam").create_role(RoleName="new", AssumeRolePolicyDocument=TRUST)

    assert roles(moto) == ["old", "new"]
    assert roles(lagging) == ["old"]
    assert lagging("iam").get_role(RoleName="new")["Role"]["RoleName"] == "new"


def test_an_update_of_an_existing_resource_does_not_hide_it(moto: Client, lagging: Client) -> None:
    moto("secretsmanager").create_secret(Name="orders", SecretString="value")
    lagging("secretsmanager").put_secret_value(SecretId="orders", SecretString="another")

    assert secrets(lagging) == ["orders"]

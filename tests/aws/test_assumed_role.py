"""Everything is done in the role of an environment, by sessions with the name of the person behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.session import Session

from orderops.aws.assumed_role import is_session_of, session_name, session_with_role
from orderops.aws.client import Aws
from orderops.config.environment import Environment
from orderops.errors import AwsError
from orderops.local.strict.delays import Delays
from orderops.operations.workspace import open_account
from support.strict_account import strict_account

ROLE = "arn:aws:iam::123456789012:role/team/orderops-operator"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
}


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An emulated account over HTTP, found as operators let it be found."""
    monkeypatch.setattr("moto.core.models.botocore_stubber.enabled", False)
    with strict_account(Delays(role=0, listing=0)) as account:
        monkeypatch.setenv("AWS_ENDPOINT_URL", str(account("sqs").meta.endpoint_url))
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        yield account
        for role in account("iam").list_roles(PathPrefix="/team/")["Roles"]:
            account("iam").delete_role(RoleName=role["RoleName"])


def opened(role: str = ROLE) -> Aws:
    return Aws("ap-southeast-2", new_session=session_with_role(Session, role, "dev"), environment="dev")


def make_role(client: Any) -> None:
    client("iam").create_role(Path="/team/", RoleName="orderops-operator", AssumeRolePolicyDocument=json.dumps(TRUST))


def test_calls_are_made_in_a_session_of_the_role_with_the_name_of_the_operator(client: Any) -> None:
    make_role(client)
    operator = client("sts").get_caller_identity()["Arn"].rpartition("/")[2]

    aws = opened()

    assert aws.caller == f"arn:aws:sts::123456789012:assumed-role/orderops-operator/{operator}"
    assert aws.iam.list_roles()["Roles"]
    assert aws.in_region("us-east-1").caller == aws.caller


def test_whoever_is_in_the_role_already_stays_in_their_own_session(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_role(client)
    keys = client("sts").assume_role(RoleArn=ROLE, RoleSessionName="build-77")["Credentials"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", keys["SessionToken"])

    assert opened().caller.endswith(":assumed-role/orderops-operator/build-77")


def test_a_role_that_may_not_be_assumed_is_named_with_what_to_do(client: Any) -> None:
    with pytest.raises(AwsError) as refused:
        _ = opened().account

    said = " ".join([*refused.value.lines, refused.value.hint])
    assert "role/team/orderops-operator may not be assumed" in said
    assert "its trust policy" in said


def test_without_credentials_the_usual_error_says_so(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")

    with pytest.raises(AwsError, match="NoCredentials"):
        _ = opened().account


@pytest.mark.parametrize(
    ("caller", "name"),
    [
        ("arn:aws:iam::1:user/staff/ann", "ann"),
        ("arn:aws:sts::1:assumed-role/AWSReservedSSO_x/ann@example.com", "ann@example.com"),
        ("arn:aws:iam::1:root", "arn-aws-iam--1-root"),
        ("arn:aws:sts::1:federated-user/ann o'hara", "ann-o-hara"),
        ("arn:aws:iam::1:user/a", "a-"),
        (f"arn:aws:iam::1:user/{'x' * 70}", "x" * 64),
    ],
)
def test_the_session_has_the_name_of_whoever_begins_it(caller: str, name: str) -> None:
    assert session_name(caller) == name


@pytest.mark.parametrize(
    ("caller", "same"),
    [
        ("arn:aws:sts::123456789012:assumed-role/orderops-operator/ann", True),
        ("arn:aws-cn:sts::123456789012:assumed-role/orderops-operator/ann", True),
        ("arn:aws:sts::210987654321:assumed-role/orderops-operator/ann", False),
        ("arn:aws:sts::123456789012:assumed-role/orderops-operator-2/ann", False),
        ("arn:aws:iam::123456789012:user/orderops-operator", False),
    ],
)
def test_a_session_of_the_role_is_known_by_account_and_name(caller: str, same: bool) -> None:
    assert is_session_of(caller, ROLE) is same


def test_commands_open_the_account_in_the_role_of_the_file(client: Any) -> None:
    make_role(client)
    file = {"name": "dev", "role": ROLE, "database": {}, "services": {"shop": {"max_tasks": 2}}}

    assert ":assumed-role/orderops-operator/" in open_account(Environment.model_validate(file)).caller
    assert ":assumed-role/" not in open_account(Environment.model_validate({**file, "role": None})).caller

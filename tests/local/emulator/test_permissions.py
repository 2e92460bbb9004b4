"""The emulator's decision on an action, by the rules of the IAM user guide."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from moto.moto_api._internal import moto_api_backend

from orderops.local.emulator.permissions import allows, key_holder, role
from support.guarded_emulator import Served, guarded

ARN = "arn:aws:rds-db:ap-southeast-2:123456789012:dbuser:db-ABC/app"


@dataclass
class Version:
    document: Any
    is_default: bool = True


@dataclass
class Managed:
    versions: list[Version]


@dataclass
class Principal:
    policies: dict[str, Any] = field(default_factory=dict)
    managed_policies: dict[str, Any] = field(default_factory=dict)
    permissions_boundary_arn: str | None = None


def statement(effect: str = "Allow", action: Any = "rds-db:connect", resource: Any = ARN, **more: Any) -> Any:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def document(*statements: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


CASES: dict[str, tuple[list[Any], bool]] = {
    "nothing": ([], False),
    "exactly this": ([statement()], True),
    "in lists": ([statement(action=["sqs:SendMessage", "rds-db:connect"], resource=["x", ARN])], True),
    "every user of every instance": ([statement(resource="arn:aws:rds-db:*:*:dbuser:*/*")], True),
    "one character": ([statement(resource=ARN[:-1] + "?")], True),
    "an action in other case": ([statement(action="RDS-DB:Connect")], True),
    "a user in other case": ([statement(resource=ARN[:-3] + "App")], False),
    "an underscore is no wildcard": ([statement(resource=ARN.replace("app", "a_p"))], False),
    "another instance": ([statement(resource=ARN.replace("db-ABC", "db-DEF"))], False),
    "another service": ([statement(action="rds:*")], False),
    "a part of the name": ([statement(resource=ARN[:-1])], False),
    "denied as well": ([statement(), statement("Deny", resource="*")], False),
    "denied elsewhere": ([statement(), statement("Deny", resource="arn:aws:sqs:*")], True),
    "with a condition": ([statement(Condition={"StringEquals": {"aws:username": "a"}})], False),
    "all but other actions": ([{"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}], True),
    "all but this action": ([{"Effect": "Allow", "NotAction": "rds-db:*", "Resource": "*"}], False),
    "all but this resource": ([{"Effect": "Allow", "Action": "*", "NotResource": ARN}], False),
}


@pytest.mark.parametrize("case", CASES)
def test_statements_decide_together(case: str) -> None:
    statements, expected = CASES[case]

    assert allows(Principal({"own": document(*statements)}), "rds-db:connect", ARN) is expected


def test_a_policy_written_as_text_with_one_statement_counts() -> None:
    text = f'{{"Statement": {{"Effect": "Allow", "Action": "rds-db:connect", "Resource": "{ARN}"}}}}'

    assert allows(Principal({"own": text}), "rds-db:connect", ARN)


def test_the_default_version_of_a_managed_policy_counts() -> None:
    versions = [Version(document(statement()), is_default=False), Version(document(statement(resource="other")))]

    assert not allows(Principal(managed_policies={"arn": Managed(versions)}), "rds-db:connect", ARN)
    versions[0].is_default, versions[1].is_default = True, False
    assert allows(Principal(managed_policies={"arn": Managed(versions)}), "rds-db:connect", ARN)


def test_a_boundary_that_does_not_exist_allows_nothing() -> None:
    bounded = Principal({"own": document(statement())}, permissions_boundary_arn="arn:aws:iam::1:policy/gone")

    assert not allows(bounded, "rds-db:connect", ARN)


@pytest.fixture
def server() -> Iterator[Served]:
    with guarded() as served:
        yield served
    moto_api_backend.reset()


def test_a_key_belongs_to_its_user_and_a_session_to_its_role(server: Served) -> None:
    iam, trust = server.client("iam"), '{"Version": "2012-10-17", "Statement": []}'
    arn = iam.create_role(RoleName="tasks", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    session = server.client("sts").assume_role(RoleArn=arn, RoleSessionName="one")["Credentials"]
    iam.create_user(UserName="ann")
    key = iam.create_access_key(UserName="ann")["AccessKey"]

    assert key_holder(key["AccessKeyId"]).name == "ann"
    assert key_holder(session["AccessKeyId"]).arn == role(arn).arn == arn
    assert key_holder("AKIAUNKNOWN") is None


def test_a_boundary_limits_what_policies_allow(server: Served) -> None:
    iam, trust = server.client("iam"), '{"Version": "2012-10-17", "Statement": []}'
    limits = iam.create_policy(PolicyName="limits", PolicyDocument=json.dumps(document(statement(action="sqs:*"))))
    boundary = limits["Policy"]["Arn"]
    arn = iam.create_role(RoleName="tasks", AssumeRolePolicyDocument=trust, PermissionsBoundary=boundary)["Role"]["Arn"]
    iam.put_role_policy(RoleName="tasks", PolicyName="p", PolicyDocument=json.dumps(document(statement(action="*"))))

    assert not allows(role(arn), "rds-db:connect", ARN)
    iam.delete_role_permissions_boundary(RoleName="tasks")
    assert allows(role(arn), "rds-db:connect", ARN)

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from typing import Any

import pytest

from orderops.local.strict.iam.roles import role_by_arn
from support.strict_clients import Client, Refused

TASKS = {"Service": "ecs-tasks.amazonaws.com"}
ACCOUNT = "123456789012"


def trust(**changed: Any) -> str:
    statement = {"Effect": "Allow", "Principal": TASKS, "Action": "sts:AssumeRole", **changed}
    kept = {key: value for key, value in statement.items() if value is not None}
    return json.dumps({"Version": "2012-10-17", "Statement": [kept]})


def role(client: Client, name: str, **changed: Any) -> str:
    response = client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trust(**changed))
    return str(response["Role"]["Arn"])


MALFORMED: dict[str, str] = {
    "no JSON": "{",
    "without a statement": '{"Version": "2012-10-17"}',
    "of an unknown version": trust().replace("2012-10-17", "2012-10-18"),
    "without a principal": trust(Principal=None),
    "for another action": trust(Action="s3:GetObject"),
    "with a resource": trust(Resource="*"),
    "for an unknown service": trust(Principal={"Service": "ecs-task.amazonaws.com"}),
    "for a service outside AWS": trust(Principal={"Service": "ecs.example.com"}),
    "for an unknown role": trust(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:role/nobody"}),
    "for an unknown user": trust(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:user/nobody"}),
    "for an unknown principal type": trust(Principal={"Servis": "ecs-tasks.amazonaws.com"}),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_trust_policy_is_refused_for(moto: Client, strict: Client, refused: Refused, case: str) -> None:
    moto("iam").create_role(RoleName="plain", AssumeRolePolicyDocument=MALFORMED[case])

    with refused("MalformedPolicyDocument"):
        strict("iam").create_role(RoleName="strict", AssumeRolePolicyDocument=MALFORMED[case])
    with refused("MalformedPolicyDocument"):
        strict("iam").update_assume_role_policy(RoleName="plain", PolicyDocument=MALFORMED[case])


def test_services_roles_users_and_accounts_are_trusted(moto: Client, strict: Client) -> None:
    user = moto("iam").create_user(UserName="somebody")["User"]["Arn"]
    other = role(moto, "other")
    services = ["ecs-tasks", "ecs", "vpc-flow-logs", "monitoring.rds", "delivery.logs", "ecs.application-autoscaling"]

    for n, principal in enumerate(
        [
            {"Service": [f"{service}.amazonaws.com" for service in services]},
            {"AWS": [ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", user, other]},
            {"AWS": "*"},
        ]
    ):
        role(strict, f"role-{n}", Principal=principal)


def test_a_new_role_is_not_yet_a_principal(moto: Client, strict: Client, refused: Refused) -> None:
    new = role(strict, "new")
    role_by_arn(new).known_from = time.time() + 3600
    role(moto, "plain", Principal={"AWS": new})

    with refused("MalformedPolicyDocument"):
        role(strict, "strict", Principal={"AWS": new})
    role_by_arn(new).known_from = time.time()
    role(strict, "strict", Principal={"AWS": new})


def test_a_service_linked_role_is_created_once_and_cannot_be_changed(
    moto: Client, strict: Client, refused: Refused
) -> None:
    name = strict("iam").create_service_linked_role(AWSServiceName="ecs.amazonaws.com")["Role"]["RoleName"]

    with refused("InvalidInput"):
        strict("iam").create_service_linked_role(AWSServiceName="ecs.amazonaws.com")
    with refused("UnmodifiableEntity"):
        strict("iam").delete_role(RoleName=name)
    with refused("EntityAlreadyExists"):
        moto("iam").create_service_linked_role(AWSServiceName="ecs.amazonaws.com")
    moto("iam").delete_role(RoleName=name)


def test_a_missing_role_cannot_be_assumed(moto: Client, strict: Client, refused: Refused) -> None:
    absent = {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/absent", "RoleSessionName": "me"}
    moto("sts").assume_role(**absent)
    old = role(moto, "old")
    new = role(strict, "new")
    role_by_arn(new).known_from = time.time() + 3600

    for arn in (absent["RoleArn"], new):
        with refused("AccessDenied"):
            strict("sts").assume_role(RoleArn=arn, RoleSessionName="me")
    assert strict("sts").assume_role(RoleArn=old, RoleSessionName="me")["Credentials"]


def test_a_policy_names_resources_of_its_own_partition(moto: Client, strict: Client, refused: Refused) -> None:
    role(moto, "writer")
    for partition, action in (("aws-cn", refused("MalformedPolicyDocument")), ("aws", nullcontext())):
        statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": [f"arn:{partition}:s3:::bucket/*"]}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        moto("iam").put_role_policy(RoleName="writer", PolicyName="p", PolicyDocument=document)
        with action:
            strict("iam").put_role_policy(RoleName="writer", PolicyName="p", PolicyDocument=document)


def test_a_permissions_boundary_has_to_exist(moto: Client, strict: Client, refused: Refused) -> None:
    missing = f"arn:aws:iam::{ACCOUNT}:policy/missing"
    with refused("NoSuchEntity"):
        strict("iam").create_role(RoleName="r", AssumeRolePolicyDocument=trust(), PermissionsBoundary=missing)
    role(strict, "r")
    with refused("NoSuchEntity"):
        strict("iam").put_role_permissions_boundary(RoleName="r", PermissionsBoundary=missing)
    managed = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    strict("iam").put_role_permissions_boundary(RoleName="r", PermissionsBoundary=managed)


@pytest.mark.parametrize("path", ["/team", "team/", "/a b/"])
def test_a_path_begins_and_ends_with_a_slash(strict: Client, refused: Refused, path: str) -> None:
    with refused("ValidationError"):
        strict("iam").create_role(RoleName="r", Path=path, AssumeRolePolicyDocument=trust())

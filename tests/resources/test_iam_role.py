"""IAM roles: policies are compared by meaning, and foreign permissions are removed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.engine.resource import Output, Outputs
from orderops.engine.step import Action
from orderops.errors import Unfinished
from orderops.frozen import replace
from orderops.resources.iam_role import Allow, IamRole, canonical
from orderops.resources.sqs_queue import SqsQueue
from support.contract import Up, keeps_its_promises
from support.faults import Fault, PowerCut

POLICY = "orderops"

QUEUE = SqsQueue("orderops-dev-queue")
READS = Allow(("sqs:ReceiveMessage", "sqs:DeleteMessage"), (QUEUE,))
ROLE = IamRole("orderops-dev-task", "ecs-tasks.amazonaws.com", (READS, Allow(("ecr:GetAuthorizationToken",), ("*",))))
ANYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}

A = {"Effect": "Allow", "Action": ["a:One", "a:Two"], "Resource": ["*"]}
B = {"Effect": "Allow", "Action": ["b:One"], "Resource": ["arn:b"], "Condition": {"StringEquals": {"aws:x": ["1"]}}}
SAME: dict[str, list[dict[str, Any]]] = {
    "the same": [A, B],
    "statements in another order": [B, A],
    "actions in another order": [{**A, "Action": ["a:Two", "a:One"]}, B],
    "one-element lists as text": [{**A, "Resource": "*"}, {**B, "Action": "b:One", "Resource": "arn:b"}],
    "a condition's value as text": [A, {**B, "Condition": {"StringEquals": {"aws:x": "1"}}}],
}
OTHER: dict[str, list[dict[str, Any]]] = {
    "an action more": [{**A, "Action": ["a:One", "a:Two", "a:Three"]}, B],
    "another resource": [A, {**B, "Resource": ["arn:c"]}],
    "another condition": [A, {**B, "Condition": {"StringEquals": {"aws:x": ["2"]}}}],
    "a statement less": [A],
    "a denial": [{**A, "Effect": "Deny"}, B],
}


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(ROLE, aws, up, allow=(READS,))


@pytest.mark.parametrize("statements", SAME.values(), ids=SAME.keys())
def test_policies_that_mean_the_same_are_equal(statements: list[dict[str, Any]]) -> None:
    assert canonical({"Statement": statements}) == canonical({"Statement": [A, B]})


@pytest.mark.parametrize("statements", OTHER.values(), ids=OTHER.keys())
def test_policies_that_mean_another_thing_differ(statements: list[dict[str, Any]]) -> None:
    assert canonical({"Statement": statements}) != canonical({"Statement": [A, B]})


def test_a_policy_with_one_statement_need_not_be_a_list() -> None:
    assert canonical({"Statement": A}) == canonical({"Statement": [A]})


def test_a_role_has_the_declared_permissions_and_principal(aws: Aws, up: Up) -> None:
    up(ROLE)

    (queue,) = _statements(aws, "sqs:ReceiveMessage")
    assert queue["Resource"][0].endswith(f":{QUEUE.name}")
    trust = aws.iam.get_role(RoleName=ROLE.name)["Role"]["AssumeRolePolicyDocument"]
    assert trust["Statement"][0]["Principal"]["Service"] in ("ecs-tasks.amazonaws.com", ["ecs-tasks.amazonaws.com"])


def test_a_permission_can_name_an_output_of_another_resource(aws: Aws, up: Up) -> None:
    up(replace(ROLE, allow=(Allow(("sqs:SendMessage",), (Output(QUEUE, "arn", "{}-more"),)),)))

    assert _statements(aws, "sqs:SendMessage")[0]["Resource"][0].endswith(f":{QUEUE.name}-more")


def test_a_policy_changed_by_hand_is_repaired(aws: Aws, up: Up) -> None:
    up(ROLE)
    aws.iam.put_role_policy(RoleName=ROLE.name, PolicyName=POLICY, PolicyDocument=json.dumps(ANYTHING))

    assert list(up(ROLE)[ROLE.address].changes) == ["InlinePolicies"]
    assert _statements(aws, "*") == []
    assert up(ROLE)[ROLE.address].action is Action.NO_OP


def test_a_policy_written_otherwise_by_hand_is_no_drift(aws: Aws, up: Up) -> None:
    up(ROLE)
    document = aws.iam.get_role_policy(RoleName=ROLE.name, PolicyName=POLICY)["PolicyDocument"]
    otherwise = {**document, "Statement": list(reversed(document["Statement"]))}
    aws.iam.put_role_policy(RoleName=ROLE.name, PolicyName=POLICY, PolicyDocument=json.dumps(otherwise))

    assert up(ROLE)[ROLE.address].action is Action.NO_OP


def test_policies_added_by_hand_are_removed(aws: Aws, up: Up) -> None:
    up(ROLE)
    aws.iam.put_role_policy(RoleName=ROLE.name, PolicyName="more", PolicyDocument=json.dumps(ANYTHING))
    arn = aws.iam.create_policy(PolicyName="managed", PolicyDocument=json.dumps(ANYTHING))["Policy"]["Arn"]
    aws.iam.attach_role_policy(RoleName=ROLE.name, PolicyArn=arn)

    step = up(ROLE)[ROLE.address]

    assert set(step.changes) == {"InlinePolicies", "ManagedPolicies"}
    assert step.changes["ManagedPolicies"] == ([arn], [])
    assert aws.iam.list_role_policies(RoleName=ROLE.name)["PolicyNames"] == [POLICY]
    assert up(ROLE)[ROLE.address].action is Action.NO_OP


def test_permissions_no_longer_declared_are_removed(aws: Aws, up: Up) -> None:
    up(ROLE)
    nothing = replace(ROLE, allow=())

    up(nothing)

    assert aws.iam.list_role_policies(RoleName=ROLE.name)["PolicyNames"] == []
    assert up(nothing)[ROLE.address].action is Action.NO_OP


def test_a_changed_trust_policy_is_repaired(aws: Aws, up: Up) -> None:
    up(ROLE)
    stranger = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [stranger]})
    aws.iam.update_assume_role_policy(RoleName=ROLE.name, PolicyDocument=trust)

    assert list(up(ROLE)[ROLE.address].changes) == ["AssumeRolePolicyDocument"]
    assert up(ROLE)[ROLE.address].action is Action.NO_OP


def test_a_role_with_inline_and_managed_policies_can_be_deleted(aws: Aws, up: Up) -> None:
    up(ROLE)
    arn = aws.iam.create_policy(PolicyName="managed", PolicyDocument=json.dumps(ANYTHING))["Policy"]["Arn"]
    aws.iam.attach_role_policy(RoleName=ROLE.name, PolicyArn=arn)

    keeps_its_promises(replace(ROLE, name="orderops-dev-other"), aws, up)


def test_a_resource_of_another_environment_is_not_changed(aws: Aws, up: Up) -> None:
    up(ROLE)
    aws.iam.tag_role(RoleName=ROLE.name, Tags=[{"Key": "orderops:environment", "Value": "prod"}])

    with pytest.raises(Unfinished, match="belongs to prod"):
        up(replace(ROLE, allow=()))

    assert _statements(aws, "sqs:ReceiveMessage")


@pytest.mark.parametrize("call", range(6))
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    with power_cut("iam", after=call), pytest.raises(PowerCut):
        up(ROLE)

    up(ROLE)

    assert up(ROLE)[ROLE.address].action is Action.NO_OP


def test_a_lost_answer_does_no_harm(aws: Aws, up: Up, lose_answer: Fault) -> None:
    with lose_answer("iam", "CreateRole"):
        assert up(ROLE)[ROLE.address].action is Action.CREATE

    assert up(ROLE)[ROLE.address].action is Action.NO_OP


def _statements(aws: Aws, action: str) -> list[dict[str, Any]]:
    document = aws.iam.get_role_policy(RoleName=ROLE.name, PolicyName=POLICY)["PolicyDocument"]
    return [statement for statement in document["Statement"] if action in statement["Action"]]


def test_permissions_that_running_tasks_have_are_kept_until_the_role_is_narrowed() -> None:
    def policies(*actions: str) -> dict[str, Any]:
        statements = [{"Effect": "Allow", "Action": [action], "Resource": ["*"]} for action in actions]
        return {"InlinePolicies": {"orderops": {"Version": "2012-10-17", "Statement": statements}}}

    role = IamRole("orderops-dev-shop-task", "ecs-tasks.amazonaws.com")

    wide = role.widened(policies("sqs:SendMessage", "s3:GetObject"), policies("sqs:SendMessage", "sqs:ReceiveMessage"))

    assert wide == policies("s3:GetObject", "sqs:ReceiveMessage", "sqs:SendMessage")
    assert role.widened(policies("s3:GetObject"), {"InlinePolicies": {}}) == policies("s3:GetObject")
    assert role.widened({"InlinePolicies": {}}, policies("s3:GetObject")) == policies("s3:GetObject")


BOUNDARY = "arn:aws:iam::aws:policy/ReadOnlyAccess"


def test_a_role_has_its_path_and_boundary_from_the_start(aws: Aws, up: Up) -> None:
    role = replace(ROLE, path="/team/", permissions_boundary=BOUNDARY)

    assert up(role)[role.address].action is Action.CREATE

    found = aws.iam.get_role(RoleName=role.name)["Role"]
    assert found["Arn"] == f"arn:aws:iam::123456789012:role/team/{role.name}"
    assert found["PermissionsBoundary"]["PermissionsBoundaryArn"] == BOUNDARY
    assert up(role)[role.address].action is Action.NO_OP


def test_a_boundary_is_set_changed_and_removed_in_place(aws: Aws, up: Up) -> None:
    keeps_its_promises(ROLE, aws, up, permissions_boundary=BOUNDARY)
    up(replace(ROLE, permissions_boundary=BOUNDARY))

    other = replace(ROLE, permissions_boundary="arn:aws:iam::aws:policy/PowerUserAccess")
    assert up(other)[other.address].changes["PermissionsBoundary"] == (BOUNDARY, other.permissions_boundary)
    assert "PermissionsBoundary" in aws.iam.get_role(RoleName=ROLE.name)["Role"]


def test_another_path_is_refused_with_the_way_back(aws: Aws, up: Up) -> None:
    up(ROLE)

    with pytest.raises(Unfinished) as refused:
        up(replace(ROLE, path="/team/"))

    error = refused.value.failures[ROLE.address]
    assert "Path cannot be changed on an existing resource (observed '/', desired '/team/')" in error.message
    assert error.hint.startswith("AWS cannot move a role: set path under [iam] back;")


def test_the_arn_of_a_role_that_does_not_exist_yet_contains_its_path() -> None:
    planned = Outputs("us-gov-west-1", "123456789012")[replace(ROLE, path="/team/")]

    assert planned.arn == f"arn:aws-us-gov:iam::123456789012:role/team/{ROLE.name}"

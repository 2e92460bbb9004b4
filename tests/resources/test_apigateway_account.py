"""The role by which API Gateway logs: set once for the account, and never taken away."""

from __future__ import annotations

import pytest

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.step import Action
from support.contract import Up
from support.declared_rest_api import ACCOUNT
from support.faults import Fault


@pytest.fixture
def aws(strict_aws: Aws) -> Aws:
    return strict_aws


def test_the_role_is_made_where_the_account_has_none(aws: Aws, up: Up) -> None:
    assert up(ACCOUNT, dry_run=True)[ACCOUNT.address].action is Action.CREATE

    assert up(ACCOUNT)[ACCOUNT.address].action is Action.CREATE

    assert up(ACCOUNT)[ACCOUNT.address].action is Action.NO_OP
    arn = aws.apigateway.get_account()["cloudwatchRoleArn"]
    assert arn == "arn:aws:iam::123456789012:role/orderops-ApiGatewayLogs"
    policy = aws.iam.get_role_policy(RoleName="orderops-ApiGatewayLogs", PolicyName="orderops")["PolicyDocument"]
    assert "logs:PutLogEvents" in policy["Statement"][0]["Action"]


@pytest.mark.parametrize("call", ["iam CreateRole", "iam PutRolePolicy", "apigateway UpdateAccount"])
def test_a_lost_answer_at_any_call_is_made_good(aws: Aws, up: Up, lose_answer: Fault, call: str) -> None:
    with lose_answer(*call.split()):
        up(ACCOUNT)

    assert up(ACCOUNT)[ACCOUNT.address].action is Action.NO_OP


def test_what_stays_for_the_account_is_named_with_the_commands_that_remove_it(aws: Aws, up: Up) -> None:
    up(ACCOUNT)

    [left] = type(ACCOUNT).leftovers(aws, Ownership("dev"))

    assert left.names == ("orderops-ApiGatewayLogs",)
    assert left.command.startswith("aws apigateway update-account")

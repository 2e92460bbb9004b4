"""Flow logs."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse

from orderops.aws.client import Aws
from orderops.engine.resource import Effect
from orderops.engine.step import Action
from orderops.errors import Unfinished
from orderops.frozen import replace
from orderops.resources.ec2_flow_log import Ec2FlowLog
from orderops.resources.ec2_vpc import Ec2Vpc
from orderops.resources.iam_role import Allow, IamRole
from orderops.resources.logs_group import LogsGroup
from support.contract import Up, keeps_its_promises
from support.faults import Fault, PowerCut

VPC = Ec2Vpc("orderops-dev-vpc", "10.0.0.0/16")
GROUP = LogsGroup("/orderops/dev/vpc", retention_days=7)
WRITE = Allow(actions=("logs:CreateLogStream", "logs:PutLogEvents"), on=(GROUP,), suffix=":*")
ROLE = IamRole("orderops-dev-flow-log", principal="vpc-flow-logs.amazonaws.com", allow=(WRITE,))
FLOW = Ec2FlowLog("orderops-dev-vpc", VPC, GROUP, ROLE)


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(FLOW, aws, up, group=replace(GROUP, name="/orderops/dev/vpc-2"))


def test_any_change_replaces_the_flow_log_and_the_plan_says_so(aws: Aws, up: Up) -> None:
    up(FLOW)
    before = _found(aws)[0]["FlowLogId"]
    other = replace(FLOW, role=replace(ROLE, name="orderops-dev-flow-log-2"))

    planned = up(other, dry_run=True)[FLOW.address]
    step = up(other)[FLOW.address]

    assert planned.effect is step.effect is Effect.REPLACES
    assert list(step.changes) == ["DeliverLogsPermissionArn"]
    assert [raw["DeliverLogsPermissionArn"].split("/")[-1] for raw in _found(aws)] == ["orderops-dev-flow-log-2"]
    assert _found(aws)[0]["FlowLogId"] != before


@pytest.mark.parametrize("call", range(7))
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    up(VPC, GROUP, ROLE)
    with power_cut("ec2", after=call), pytest.raises(PowerCut):
        up(FLOW)

    up(FLOW)

    assert {step.action for step in up(FLOW).values()} == {Action.NO_OP}
    assert len(_found(aws)) == 1


def test_a_lost_answer_makes_no_second_flow_log(aws: Aws, up: Up, lose_answer: Fault) -> None:
    with lose_answer("ec2", "CreateFlowLogs"):
        assert up(FLOW)[FLOW.address].action is Action.CREATE

    assert len(_found(aws)) == 1


def test_a_resource_that_lost_its_tags_is_adopted_only_on_request(aws: Aws, up: Up) -> None:
    up(FLOW)
    mine = _found(aws)[0]["FlowLogId"]
    aws.ec2.delete_tags(Resources=[mine], Tags=[{"Key": "orderops:environment"}, {"Key": "orderops:address"}])

    with pytest.raises(Unfinished, match=f"{mine} exists and has no owner"):
        up(FLOW)
    up(FLOW, adopt=[FLOW.address])

    assert up(FLOW)[FLOW.address].action is Action.NO_OP


def test_a_role_that_aws_cannot_assume_yet_is_waited_for(session: boto3.Session, aws: Aws, up: Up) -> None:
    _refuse(session, 2, "InvalidParameter", "Unable to assume given IAM role")

    assert up(FLOW)[FLOW.address].action is Action.CREATE
    assert len(_found(aws)) == 1


def test_a_failure_inside_a_successful_response_is_an_error(session: boto3.Session, up: Up) -> None:
    _refuse(session, 99, "InvalidParameter", "LogDestination is wrong")

    with pytest.raises(Unfinished, match=r"ec2\.create_flow_logs: InvalidParameter: LogDestination is wrong"):
        up(FLOW)


def _refuse(session: boto3.Session, times: int, code: str, text: str) -> None:
    """Answer CreateFlowLogs as AWS refuses it: with HTTP 200, and what is wrong in a list."""
    left = iter(range(times))

    def refuse(**_: Any) -> tuple[Any, Any] | None:
        if next(left, None) is None:
            return None
        refusal = {"ResourceId": "vpc-1", "Error": {"Code": code, "Message": text}}
        return AWSResponse("", 200, {}, None), {"FlowLogIds": [], "Unsuccessful": [refusal]}

    session.events.register("before-call.ec2.CreateFlowLogs", refuse)


def _found(aws: Aws) -> list[Any]:
    logs: list[Any] = aws.ec2.describe_flow_logs()["FlowLogs"]
    return logs

"""RDS parameter groups."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.engine.step import Action
from orderops.errors import Unfinished
from orderops.resources.rds_parameter_group import RdsParameterGroup
from support.contract import Up, keeps_its_promises
from support.faults import Fault, PowerCut

GROUP = RdsParameterGroup(
    "orderops-dev-postgres16", "postgres16", {"rds.force_ssl": "1", "log_min_duration_statement": "500"}
)
OK = SimpleNamespace(status_code=200)


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(GROUP, aws, up, parameters={"rds.force_ssl": "1", "log_min_duration_statement": "1000"})


def test_drift_is_repaired(aws: Aws, up: Up) -> None:
    up(GROUP)
    off = {"ParameterName": "rds.force_ssl", "ParameterValue": "0", "ApplyMethod": "immediate"}
    aws.rds.modify_db_parameter_group(DBParameterGroupName=GROUP.name, Parameters=[off])

    assert list(up(GROUP)[GROUP.address].changes) == ["Parameters"]
    assert up(GROUP)[GROUP.address].action is Action.NO_OP


def test_parameters_are_sent_in_batches_that_aws_accepts(up: Up, session: boto3.Session) -> None:
    sent: list[dict[str, Any]] = []
    session.events.register("provide-client-params.rds.ModifyDBParameterGroup", lambda params, **_: sent.append(params))
    many = RdsParameterGroup(GROUP.name, "postgres16", {f"parameter_{number}": "1" for number in range(45)})

    up(many)

    assert [len(each["Parameters"]) for each in sent] == [20, 20, 5]
    assert up(many)[many.address].action is Action.NO_OP


def test_a_static_parameter_waits_for_the_reboot_and_a_dynamic_one_does_not(up: Up, session: boto3.Session) -> None:
    sent: list[dict[str, Any]] = []
    session.events.register("provide-client-params.rds.ModifyDBParameterGroup", lambda params, **_: sent.append(params))
    session.events.register("after-call.rds.DescribeDBParameters", _with_apply_types)
    group = RdsParameterGroup(GROUP.name, "postgres16", {"max_connections": "200", "log_statement": "ddl"})

    up(group)

    methods = {parameter["ParameterName"]: parameter["ApplyMethod"] for parameter in sent[0]["Parameters"]}
    assert methods == {"max_connections": "pending-reboot", "log_statement": "immediate"}


def test_a_parameter_no_longer_declared_is_reset(up: Up, session: boto3.Session) -> None:
    resets: list[dict[str, Any]] = []
    session.events.register(
        "provide-client-params.rds.ResetDBParameterGroup", lambda params, **_: resets.append(params)
    )
    session.events.register("before-call.rds.ResetDBParameterGroup", lambda **_: (OK, {}))  # not in the emulator
    session.events.register("after-call.rds.DescribeDBParameters", lambda parsed, **_: _without(parsed, resets))
    up(GROUP)

    fewer = RdsParameterGroup(GROUP.name, "postgres16", {"rds.force_ssl": "1"})
    up(fewer)

    assert [parameter["ParameterName"] for parameter in resets[0]["Parameters"]] == ["log_min_duration_statement"]
    assert up(fewer)[fewer.address].action is Action.NO_OP


def test_another_parameter_family_is_an_error(up: Up) -> None:
    up(GROUP)

    with pytest.raises(Unfinished, match="DBParameterGroupFamily cannot be changed") as refusal:
        up(RdsParameterGroup(GROUP.name, "postgres17"))

    assert "another name" in refusal.value.hint


@pytest.mark.parametrize("call", range(6))
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    with power_cut("rds", after=call), pytest.raises(PowerCut):
        up(GROUP)

    up(GROUP)

    assert up(GROUP)[GROUP.address].action is Action.NO_OP


def test_the_resource_is_read_again_after_a_lost_answer(up: Up, lose_answer: Fault) -> None:
    with lose_answer("rds", "CreateDBParameterGroup"):
        assert up(GROUP)[GROUP.address].action is Action.CREATE


def _with_apply_types(parsed: dict[str, Any], **_: Any) -> None:
    types = {"max_connections": "static", "log_statement": "dynamic"}
    told = [{"ParameterName": name, "ApplyType": kind} for name, kind in types.items()]
    parsed["Parameters"] = [*parsed.get("Parameters", []), *told]


def _without(parsed: dict[str, Any], resets: list[dict[str, Any]]) -> None:
    gone = {parameter["ParameterName"] for reset in resets for parameter in reset["Parameters"]}
    parsed["Parameters"] = [
        parameter for parameter in parsed.get("Parameters", []) if parameter["ParameterName"] not in gone
    ]

"""Logs of web ACLs."""

from __future__ import annotations

from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.engine.inventory import Inventory
from orderops.engine.step import Action
from orderops.frozen import replace
from orderops.resources.logs_group import LogsGroup
from orderops.resources.wafv2_logging import Wafv2Logging
from support.contract import Up, keeps_its_promises
from support.declared_firewall import ACL, GROUP, LOGGING, acl_in
from support.faults import Fault, PowerCut


def in_aws(aws: Aws) -> dict[str, Any]:
    arn = acl_in(aws.wafv2)["ARN"]
    found: dict[str, Any] = aws.wafv2.get_logging_configuration(ResourceArn=arn)["LoggingConfiguration"]
    return found


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(LOGGING, aws, up, redacted_headers=("cookie",))


def test_blocked_and_counted_requests_are_logged_without_the_values_of_secret_headers(aws: Aws, up: Up) -> None:
    up(LOGGING)
    found = in_aws(aws)

    assert found["LogDestinationConfigs"][0].endswith(f":log-group:{GROUP.name}")
    assert [field["SingleHeader"]["Name"] for field in found["RedactedFields"]] == ["authorization", "cookie"]
    assert found["LoggingFilter"]["DefaultBehavior"] == "DROP"
    [kept] = found["LoggingFilter"]["Filters"]
    actions = [condition["ActionCondition"]["Action"] for condition in kept["Conditions"]]
    assert (kept["Behavior"], kept["Requirement"], actions) == (
        "KEEP",
        "MEETS_ANY",
        ["BLOCK", "COUNT", "EXCLUDED_AS_COUNT"],
    )


def test_the_suffix_of_a_log_group_and_capitals_are_no_difference(aws: Aws, up: Up) -> None:
    up(LOGGING)
    found = in_aws(aws)
    headers = [{"SingleHeader": {"Name": name}} for name in ("Cookie", "Authorization")]
    changed = {"LogDestinationConfigs": [f"{found['LogDestinationConfigs'][0]}:*"], "RedactedFields": headers}
    aws.wafv2.put_logging_configuration(LoggingConfiguration={**found, **changed})

    assert up(LOGGING)[LOGGING.address].action is Action.NO_OP


def test_a_field_redacted_by_hand_is_drift(aws: Aws, up: Up) -> None:
    up(LOGGING)
    found = in_aws(aws)
    fields = [*found["RedactedFields"], {"QueryString": {}}]
    aws.wafv2.put_logging_configuration(LoggingConfiguration={**found, "RedactedFields": fields})

    assert up(LOGGING)[LOGGING.address].changes["RedactedHeaders"] == (
        ["QueryString", "authorization", "cookie"],
        ["authorization", "cookie"],
    )


def test_the_log_follows_another_group(aws: Aws, up: Up) -> None:
    up(LOGGING)
    other = LogsGroup("aws-waf-logs-orderops-dev-other", 30)

    assert list(up(replace(LOGGING, group=other))[LOGGING.address].changes) == ["LogDestinationConfigs"]
    assert in_aws(aws)["LogDestinationConfigs"][0].endswith(other.name)
    # What is not changed is sent again, since WAF replaces the whole.
    assert len(in_aws(aws)["RedactedFields"]) == 2


@pytest.mark.parametrize("call", range(4))
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    up(ACL, GROUP)
    with power_cut("wafv2", after=call), pytest.raises(PowerCut):
        up(LOGGING)

    up(LOGGING)

    assert {step.action for step in up(LOGGING).values()} == {Action.NO_OP}


def test_what_firewall_manager_has_set_is_not_ours(aws: Aws, up: Up) -> None:
    up(LOGGING)
    managed = {**in_aws(aws), "ManagedByFirewallManager": True}
    aws.wafv2.put_logging_configuration(LoggingConfiguration=managed)

    assert list(Inventory(aws, "dev", [Wafv2Logging]).owned()) == []

"""IP sets of AWS WAF."""

from __future__ import annotations

from typing import Any

import pytest
from moto.wafv2.models import FakeIPSet

from orderops.aws.client import Aws
from orderops.engine.step import Action
from orderops.errors import Unfinished
from orderops.frozen import replace
from orderops.resources.wafv2_ip_set import Wafv2IpSet
from support.contract import Up, keeps_its_promises
from support.declared_firewall import RANGES
from support.faults import Fault, PowerCut


@pytest.fixture(autouse=True)
def _whole_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lock tokens as long as those of AWS, which the call checker wants; moto's have six characters."""

    def read(ip_set: Any) -> str:
        return f"{ip_set.short_token}00-0000-4000-8000-000000000000"

    def write(ip_set: Any, token: str) -> None:
        ip_set.short_token = token

    monkeypatch.setattr(FakeIPSet, "lock_token", property(read, write), raising=False)


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(RANGES, aws, up, addresses=("192.0.2.0/24",))


def test_a_set_may_become_empty(aws: Aws, up: Up) -> None:
    up(RANGES)

    assert up(replace(RANGES, addresses=()))[RANGES.address].changes["Addresses"][1] == []
    assert up(replace(RANGES, addresses=()))[RANGES.address].action is Action.NO_OP


def test_another_version_of_ip_is_refused_with_the_way(aws: Aws, up: Up) -> None:
    up(RANGES)

    with pytest.raises(Unfinished, match="IPAddressVersion cannot be changed"):
        up(Wafv2IpSet(RANGES.name, ("2001:db8::/32",), 6))


@pytest.mark.parametrize("call", range(4))
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    with power_cut("wafv2", after=call), pytest.raises(PowerCut):
        up(RANGES)

    up(RANGES)

    assert {step.action for step in up(RANGES).values()} == {Action.NO_OP}
    assert len(aws.wafv2.list_ip_sets(Scope="REGIONAL")["IPSets"]) == 1


def test_a_lost_answer_makes_no_second_set(aws: Aws, up: Up, lose_answer: Fault) -> None:
    with lose_answer("wafv2", "CreateIPSet"):
        assert up(RANGES)[RANGES.address].action is Action.CREATE

    assert len(aws.wafv2.list_ip_sets(Scope="REGIONAL")["IPSets"]) == 1

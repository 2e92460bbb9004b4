"""Listings of AWS WAF, which botocore does not turn the pages of."""

from __future__ import annotations

from typing import Any

from orderops.aws.client import Aws
from orderops.engine.step import Action
from support.contract import Up
from support.declared_firewall import RANGES
from support.faults import Faults


def test_a_set_beyond_the_first_page_is_found(aws: Aws, up: Up, the_faults: Faults) -> None:
    empty: dict[str, Any] = {"IPAddressVersion": "IPV4", "Addresses": [], "Tags": [{"Key": "a", "Value": "b"}]}
    for number in range(101):
        aws.wafv2.create_ip_set(Name=f"other-{number}", Scope="REGIONAL", **empty)
    up(RANGES)
    the_faults.calls.clear()

    assert up(RANGES)[RANGES.address].action is Action.NO_OP
    assert the_faults.calls.count("wafv2.ListIPSets") == 2


def test_an_empty_account_takes_one_call(aws: Aws, up: Up, the_faults: Faults) -> None:
    up(RANGES, dry_run=True)

    assert the_faults.calls.count("wafv2.ListIPSets") == 1

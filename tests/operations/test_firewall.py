"""A firewall on a running environment: put up, changed, damaged and taken away, and nothing to do after each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.command_line import Orderops
from support.faulty_proxy import Proxy
from support.repository import ENVIRONMENTS

pytest_plugins = ["support.dev_accounts"]

DEV = (ENVIRONMENTS / "dev.toml").read_text()
FIRST = """
[waf]
enabled = true
blocked_cidrs = ["203.0.113.0/24", "2001:db8::/32"]
trusted_cidrs = ["198.51.100.7/32"]
blocked_countries = ["KP"]
managed_groups = ["common", "sql-injection", "bots"]

[waf.exceptions.SizeRestrictions_BODY]
paths = ["/orders*", "/import"]
reason = "large orders"
"""
SECOND = """
[waf]
enabled = true
mode = "block"
blocked_cidrs = ["192.0.2.0/24"]
rate_limit = 500
max_body_bytes = 4096
log_days = 90
redacted_headers = ["cookie"]
"""

# End to end.
pytestmark = pytest.mark.slow


@pytest.fixture
def orderops(capsys: pytest.CaptureFixture[str], proxy: Proxy, dev_released: bytes, tmp_path: Path) -> Orderops:
    proxy.bring_back(dev_released)
    return Orderops(capsys, "--env", "dev", "--environments", str(tmp_path))


def declare(folder: Path, text: str) -> None:
    (folder / "dev.toml").write_text(f"{DEV}{text}")


def differences(orderops: Orderops) -> list[str]:
    planned = orderops("infra", "plan", "--json")
    changed = [step["address"] for step in planned.json["steps"] if step["action"] != "no-op"]
    assert planned.json["unclaimed"] == []
    assert planned.code == (3 if changed else 0)
    return changed


def test_a_plan_has_nothing_to_do_after_each_change(
    orderops: Orderops, proxy: Proxy, tmp_path: Path, client: Callable[[str], Any]
) -> None:
    declare(tmp_path, "")
    assert differences(orderops) == []

    declare(tmp_path, FIRST)
    assert orderops("infra", "apply", "--yes").code == 0
    assert differences(orderops) == []

    declare(tmp_path, SECOND)
    planned = orderops("infra", "plan")
    assert planned.code == 3
    # What passed before may be blocked now.
    assert "interrupts" in planned.out
    assert orderops("infra", "apply", "--yes", "--prune").code == 0
    assert differences(orderops) == []
    waf = client("wafv2")
    assert [one["Name"] for one in waf.list_ip_sets(Scope="REGIONAL")["IPSets"]] == ["orderops-dev-blocked-v4"]

    waf.disassociate_web_acl(ResourceArn=balancer(client))
    assert differences(orderops) == ["wafv2-association/orderops-dev-balancer"]
    assert orderops("infra", "apply", "--yes").code == 0
    assert differences(orderops) == []

    declare(tmp_path, "")
    proxy.forget()
    assert orderops("infra", "apply", "--yes", "--prune").code == 0
    assert differences(orderops) == []
    assert waf.list_web_acls(Scope="REGIONAL")["WebACLs"] == waf.list_ip_sets(Scope="REGIONAL")["IPSets"] == []
    groups = client("logs").describe_log_groups(logGroupNamePrefix="aws-waf-logs-")["logGroups"]
    assert groups == []


def balancer(client: Callable[[str], Any]) -> str:
    [found] = client("elbv2").describe_load_balancers()["LoadBalancers"]
    return str(found["LoadBalancerArn"])


def test_an_environment_with_a_firewall_is_taken_down_as_a_whole(
    orderops: Orderops, tmp_path: Path, client: Callable[[str], Any]
) -> None:
    declare(tmp_path, FIRST)
    assert orderops("infra", "apply", "--yes").code == 0

    said = orderops("down", "--yes", "--confirm", "orderops-dev-database")

    assert said.code == 0, said.err
    waf = client("wafv2")
    assert waf.list_web_acls(Scope="REGIONAL")["WebACLs"] == waf.list_ip_sets(Scope="REGIONAL")["IPSets"] == []
    assert waf.list_logging_configurations(Scope="REGIONAL")["LoggingConfigurations"] == []

"""A name whose zone another company serves: what to create is printed and waited for, also by a later run."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.command_line import Orderops
from support.faulty_proxy import Proxy
from support.killable_process import Victim
from support.proof import FIRST, LATER
from support.repository import ENVIRONMENTS

pytest_plugins = ["support.dev_accounts"]

# End to end.
pytestmark = pytest.mark.slow

Client = Callable[[str], Any]
DOMAIN = """
[domain]
name = "orders.example.com"
zone = "elsewhere"
names = ["shop.example.com"]
"""
RECORD = re.compile(r"(_\w+\.(?:orders|shop)\.example\.com\.) CNAME (_[\w.-]+\.)")


def test_records_to_make_by_hand_are_printed_and_waited_for_also_after_a_kill(
    proxy: Proxy,
    dev_released: bytes,
    client: Client,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ORDEROPS_BAKE", "0")
    proxy.bring_back(dev_released)
    (tmp_path / "dev.toml").write_text((ENVIRONMENTS / "dev.toml").read_text() + DOMAIN)
    where = ("--env", "dev", "--environments", str(tmp_path))
    argv = ("up", "--yes", "--image", FIRST, *where)

    first = Victim(*argv)
    assert first.says("create at your DNS provider"), first.said
    first.kill()
    proxy.settle()
    proxy.later(LATER)
    [summary] = client("acm").list_certificates()["CertificateSummaryList"]
    second = Victim(*argv)
    assert second.says("create at your DNS provider"), second.said
    printed = dict(RECORD.findall(re.sub(r"\s+", " ", second.said)))
    # HTTP answers while the certificate is waited for.
    assert redirects(client) == []
    assert second.alive

    create_by_hand(client, printed)

    assert second.ended() == 0, second.said
    assert [name.partition(".")[2] for name in sorted(printed)] == ["orders.example.com.", "shop.example.com."]
    # The one that the killed run had requested.
    assert [one["CertificateArn"] for one in client("acm").list_certificates()["CertificateSummaryList"]] == [
        summary["CertificateArn"]
    ]
    # Of the listener, of the service, and of the further name.
    assert len(redirects(client)) == 3
    proxy.forget()
    orderops = Orderops(capsys, *where)
    planned = orderops("infra", "plan", "--json")
    assert planned.code == 0, planned.out
    assert planned.json["steps"] == []
    assert proxy.changing == []


def create_by_hand(client: Client, records: dict[str, str]) -> None:
    """The records in the zone that another company serves."""
    zone = client("route53").create_hosted_zone(Name="example.com", CallerReference="theirs")["HostedZone"]["Id"]
    changes = [
        {
            "Action": "CREATE",
            "ResourceRecordSet": {"Name": name, "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": value}]},
        }
        for name, value in records.items()
    ]
    client("route53").change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})


def redirects(client: Client) -> list[str]:
    """The listeners and rules for HTTP that send requests on to HTTPS."""
    elb = client("elbv2")
    [balancer] = elb.describe_load_balancers()["LoadBalancers"]
    listeners = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    rules = [rule for one in listeners for rule in elb.describe_rules(ListenerArn=one["ListenerArn"])["Rules"]]
    return [rule["RuleArn"] for rule in rules if rule["Actions"][0]["Type"] == "redirect"]

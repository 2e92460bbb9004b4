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
API = '\n[api]\ntype = "http"\nbalancer = "both"\n'
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


def test_names_of_an_api_wait_for_the_records_too_and_are_then_led_to_by_hand(
    proxy: Proxy,
    dev_released: bytes,
    client: Client,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ORDEROPS_BAKE", "0")
    proxy.bring_back(dev_released)
    (tmp_path / "dev.toml").write_text((ENVIRONMENTS / "dev.toml").read_text() + DOMAIN + API)
    where = ("--env", "dev", "--environments", str(tmp_path))
    apis = client("apigatewayv2")

    run = Victim("up", "--yes", "--image", FIRST, *where)
    assert run.says("create at your DNS provider"), run.said
    printed = dict(RECORD.findall(re.sub(r"\s+", " ", run.said)))
    # A domain name needs the certificate.
    assert apis.get_domain_names()["Items"] == []
    assert run.alive

    create_by_hand(client, printed)

    assert run.ended() == 0, run.said
    [api] = apis.get_apis()["Items"]
    hosts = {
        name["DomainName"]: name["DomainNameConfigurations"][0]["ApiGatewayDomainName"]
        for name in apis.get_domain_names()["Items"]
    }
    assert sorted(hosts) == ["orders.example.com", "shop.example.com"]
    for name in hosts:
        [mapping] = apis.get_api_mappings(DomainName=name)["Items"]
        assert (mapping["ApiId"], mapping["Stage"]) == (api["ApiId"], "$default")
    # The records that lead there are made by hand as well: none but those of the certificate is in the zone.
    assert zone_records(client) == set(printed)
    orderops = Orderops(capsys, *where)
    outputs = orderops("infra", "outputs", "--json").json
    assert (outputs["api_url"], outputs["api_names"]) == ("https://orders.example.com", hosts)
    proxy.forget()
    planned = orderops("infra", "plan", "--json")
    assert planned.code == 0, planned.out
    assert (planned.json["steps"], planned.json["unclaimed"]) == ([], [])
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


def zone_records(client: Client) -> set[str]:
    """The names in the zone, apart from those that every zone has."""
    [zone] = client("route53").list_hosted_zones()["HostedZones"]
    found = client("route53").list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
    return {str(one["Name"]) for one in found if one["Type"] not in ("NS", "SOA")}

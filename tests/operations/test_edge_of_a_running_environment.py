"""A name, an API and an API's name on a running environment: added, changed, taken away; nothing to do after each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from support.command_line import Orderops
from support.faulty_proxy import Proxy
from support.proof import FIRST
from support.repository import ENVIRONMENTS

pytest_plugins = ["support.dev_accounts"]

# End to end.
pytestmark = pytest.mark.slow

Client = Callable[[str], Any]
DEV = (ENVIRONMENTS / "dev.toml").read_text()
UP = ("up", "--yes", "--image", FIRST)
NAMED = '\n[domain]\nname = "orders.example.com"\nzone = "example.com"\n'
JWT = '[api.jwt]\nissuer = "https://login.example.com/"\naudience = ["orders"]\n'


def api(keys: str, more: str = "") -> str:
    return f'\n[api]\ntype = "http"\n{keys}\n{more}'


BOTH = 'balancer = "both"'
NAMES: Sequence[tuple[str, str, bool]] = (
    ("a name", NAMED, False),
    ("another name and HSTS", f'{NAMED}names = ["shop.example.com"]\nhsts_seconds = 3600\n', True),
    ("another port", f"{NAMED}port = 8443\n", True),
    ("another first name", NAMED.replace("orders.example.com", "shop.example.com"), True),
    ("none", "", True),
)
APIS: Sequence[tuple[str, str, bool]] = (
    ("an API beside the balancer", api(BOTH), False),
    ("tokens", api(f'{BOTH}\nauthorization = "jwt"', JWT), False),
    ("other limits", api(f"{BOTH}\nrequests_per_second = 50\nburst = 60\ntimeout_seconds = 10"), True),
    ("a route of its own limits", api(BOTH, '[api.routes."GET /orders"]\nrequests_per_second = 5\nburst = 6\n'), False),
    ("the API alone", api("access_log_days = 7"), True),
    ("both again", api(BOTH), False),
    ("none", "", True),
)
REST = '\n[api]\ntype = "rest"\n'
NAMED_APIS: Sequence[tuple[str, str, bool]] = (
    ("a name of the balancer", NAMED, False),
    ("an API beside it", NAMED + api(BOTH), False),
    ("the API alone", NAMED + api("burst = 900"), True),
    ("another name", f'{NAMED}names = ["shop.example.com"]\n' + api("burst = 900"), True),
    ("both again", NAMED + api(BOTH), True),
    ("the balancer alone", NAMED, True),
    ("none", "", True),
)
NAMED_REST_APIS: Sequence[tuple[str, str, bool]] = (
    ("a REST API", f"{REST}{BOTH}\n", True),
    ("its name", f"{NAMED}{REST}{BOTH}\n", False),
    ("the API alone", NAMED + REST, True),
    ("an HTTP API in its place", NAMED + api("burst = 900"), True),
    ("both again", f"{NAMED}{REST}{BOTH}\n", True),
    ("no name", f"{REST}{BOTH}\n", True),
    ("none", "", True),
)
"""What is declared one after the other, and whether what is not declared any more is taken away."""


@pytest.fixture
def orderops(
    capsys: pytest.CaptureFixture[str],
    proxy: Proxy,
    dev_released: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Orderops:
    monkeypatch.setenv("ORDEROPS_BAKE", "0")
    proxy.bring_back(dev_released)
    return Orderops(capsys, "--env", "dev", "--environments", str(tmp_path))


def declare(folder: Path, text: str) -> None:
    (folder / "dev.toml").write_text(f"{DEV}{text}")


def carried_out(orderops: Orderops, folder: Path, step: tuple[str, str, bool]) -> list[str]:
    """The addresses that a step changed; fails unless nothing is left to do after it."""
    name, text, prune = step
    declare(folder, text)
    argv = (*UP, "--json")
    said = orderops(*argv)
    assert said.code == 0, f"{name}: {said.err}"
    changed = [one["address"] for one in said.json["steps"] if one["action"] != "no-op"]
    if prune:
        pruned = orderops(*argv, "--prune")
        assert pruned.code == 0, f"{name}: {pruned.err}"
    planned = orderops("infra", "plan", "--json")
    differing = [one["address"] for one in planned.json["steps"] if one["action"] != "no-op"]
    assert (planned.code, differing, planned.json["unclaimed"]) == (0, [], []), name
    return changed


def test_a_name_is_added_changed_and_taken_away(orderops: Orderops, client: Client, tmp_path: Path) -> None:
    zone = client("route53").create_hosted_zone(Name="example.com", CallerReference="ours")["HostedZone"]["Id"]

    changed = {step[0]: carried_out(orderops, tmp_path, step) for step in NAMES}

    assert all(changed.values())
    assert "route53-alias/shop.example.com" in changed["another name and HSTS"]
    assert "elbv2-listener/orderops-dev-balancer:8443" in changed["another port"]
    records = client("route53").list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    assert {record["Type"] for record in records} == {"NS", "SOA"}
    assert client("acm").list_certificates()["CertificateSummaryList"] == []
    [balancer] = client("elbv2").describe_load_balancers()["LoadBalancers"]
    listeners = client("elbv2").describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    assert [(listener["Port"], listener["DefaultActions"][0]["Type"]) for listener in listeners] == [
        (80, "fixed-response")
    ]


def test_an_api_is_added_changed_and_taken_away(orderops: Orderops, client: Client, tmp_path: Path) -> None:
    changed = {step[0]: carried_out(orderops, tmp_path, step) for step in APIS}

    assert all(changed.values())
    assert "apigatewayv2-authorizer/orderops-dev-api-jwt" in changed["tokens"]
    assert "apigatewayv2-stage/orderops-dev-api:default" in changed["other limits"]
    assert "apigatewayv2-stage/orderops-dev-api:default" in changed["a route of its own limits"]
    assert "ecs-service/orderops-dev-order-processor" in changed["the API alone"]
    assert client("apigatewayv2").get_apis()["Items"] == client("apigatewayv2").get_vpc_links()["Items"] == []
    balancers = client("elbv2").describe_load_balancers()["LoadBalancers"]
    assert [(one["LoadBalancerName"], one["Scheme"]) for one in balancers] == [
        ("orderops-dev-balancer", "internet-facing")
    ]


@pytest.mark.parametrize(
    ("steps", "led_by", "back_by"),
    [
        (NAMED_APIS, "an API beside it", "the balancer alone"),
        (NAMED_REST_APIS, "its name", "no name"),
    ],
    ids=["HTTP API", "REST API"],
)
def test_the_name_of_an_api_is_added_changed_and_taken_away(
    orderops: Orderops,
    client: Client,
    tmp_path: Path,
    steps: Sequence[tuple[str, str, bool]],
    led_by: str,
    back_by: str,
) -> None:
    zone = client("route53").create_hosted_zone(Name="example.com", CallerReference="ours")["HostedZone"]["Id"]
    led = {}
    for step in steps:
        changed = carried_out(orderops, tmp_path, step)
        assert changed, step[0]
        records = client("route53").list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
        led[step[0]] = {one["Name"]: one["AliasTarget"]["DNSName"] for one in records if "AliasTarget" in one}
        if step[0] == led_by:
            alias = changed.index("route53-alias/orders.example.com")
            assert alias > changed.index("apigatewayv2-mapping/orders.example.com")
            # Tasks that are not behind the API yet join it before the name leads there.
            assert all(changed.index(one) < alias for one in changed if one.startswith("ecs-service/"))
        if "[domain]" in step[1] and "[api]" in step[1]:
            outputs = orderops("infra", "outputs", "--json").json
            assert outputs["api_url"] == "https://orders.example.com", step[0]

    assert ".execute-api." in led[led_by]["orders.example.com."]
    assert ".execute-api." in led["the API alone"]["orders.example.com."]
    assert ".execute-api." not in led[back_by].get("orders.example.com.", "")
    assert led["none"] == {}
    assert client("apigatewayv2").get_domain_names()["Items"] == []
    assert client("acm").list_certificates()["CertificateSummaryList"] == []

"""The firewall of an API on the laptop: it refuses clients at the port of a REST API, or behind an HTTP API."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from support.laptop import until
from support.order_client import LaptopEnvironment, laptop_environment

pytestmark = pytest.mark.slow

TABLES = """
[waf]
enabled = true
mode = "block"
rate_limit = {rate}
rate_window_seconds = 60
max_body_bytes = 16384
managed_groups = []

[waf.exceptions.rate]
paths = ["/ready"]
reason = "a test"

[api]
waf = true
"""
BEHIND_HTTP = TABLES.replace("waf = true", 'type = "http"').replace("16384", "8192")
FORBIDDEN = (403, '{"message":"Forbidden"}')


@pytest.fixture(scope="module")
def laptop() -> Iterator[LaptopEnvironment]:
    with laptop_environment() as environment:
        yield environment


def up(laptop: LaptopEnvironment, tables: str) -> str:
    """Bring the environment to what tables declare, and return the URL for callers."""
    laptop.declare(tables)
    laptop("up", "--prune")
    assert laptop("infra", "plan").code == 0
    return str(laptop("infra", "outputs", "--json").json["api_url"])


@pytest.fixture(scope="module")
def api(laptop: LaptopEnvironment) -> str:
    """The URL of the API, whose rate no client reaches."""
    return up(laptop, TABLES.format(rate=100_000))


def ask(url: str, address: str = "127.0.0.2", body: bytes | None = None) -> tuple[int, str]:
    """Ask as a client with an address of this machine."""
    transport = httpx.HTTPTransport(local_address=address, verify=False)  # loads no certificates
    with httpx.Client(transport=transport, trust_env=False, timeout=10) as client:
        answer = client.post(url, content=body) if body is not None else client.get(url)
        return answer.status_code, answer.text


def test_the_choice_of_a_rest_api_is_explained(laptop: LaptopEnvironment, api: str) -> None:
    assert "[api] is a REST API, for AWS WAF on the API" in laptop("env", "check", "local").err


def test_a_body_is_refused_above_the_size_of_the_file(api: str) -> None:
    until(lambda: ask(f"{api}/orders", body=b"x" * 16_385) == FORBIDDEN, what="the firewall judges bodies")

    # The service refuses it, since it is no order.
    assert ask(f"{api}/orders", body=b"x" * 16_384)[0] != 403


def test_an_address_above_the_rate_is_refused_and_others_are_not(laptop: LaptopEnvironment, api: str) -> None:
    assert up(laptop, TABLES.format(rate=20)) == api

    until(lambda: ask(f"{api}/version") == FORBIDDEN, what="the rate is reached")

    assert ask(f"{api}/version", address="127.0.0.3")[0] == 200
    # A path that the rule leaves out, written without the stage.
    assert ask(f"{api}/ready")[0] == 200
    rules = {rule["rule"]: rule for rule in laptop("waf", "report", "--json").json["rules"]}
    assert rules["rate"]["blocked"] >= 1
    assert "/version" in [one["path"] for one in rules["rate"]["paths"]]
    assert "/orders" in [one["path"] for one in rules["body-size"]["paths"]]


def test_without_the_firewall_the_api_answers_everybody(laptop: LaptopEnvironment, api: str) -> None:
    assert up(laptop, '\n[api]\ntype = "rest"\n') == api

    until(lambda: ask(f"{api}/version")[0] == 200, what="the address is no longer refused")
    waf = laptop.client("wafv2")
    assert waf.list_web_acls(Scope="REGIONAL")["WebACLs"] == []


def test_behind_an_http_api_an_address_above_the_rate_is_refused_and_others_are_not(laptop: LaptopEnvironment) -> None:
    url = up(laptop, BEHIND_HTTP.format(rate=20))

    until(lambda: ask(f"{url}/version")[0] == 403, what="the rate is reached")

    assert ask(f"{url}/version", address="127.0.0.3")[0] == 200
    [rate] = [rule for rule in laptop("waf", "report", "--json").json["rules"] if rule["rule"] == "rate"]
    assert "127.0.0.2" in [one["address"] for one in rate["addresses"]]

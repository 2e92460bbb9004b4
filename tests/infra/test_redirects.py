"""Where requests by HTTP are sent on to, by the rules of an environment with names, as a load balancer reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orderops.config.environment import Environment, load_environment
from orderops.engine.resource import Observed, Outputs
from orderops.errors import UsageError
from orderops.infra.domain import public_url
from orderops.infra.readiness import asked_service
from orderops.infra.stack import Stack, stack
from orderops.local.elb.routing import HttpRequest, Listener, RoutingRule, redirect_to
from orderops.resources.elbv2_rule import Elbv2Rule
from support.repository import ENVIRONMENTS

MANY = [f"shop{number}.example.com" for number in range(7)]
AWS_NAME = "orderops-dev-balancer-1.ap-southeast-2.elb.amazonaws.com"


def declared(names: list[str], **service: Any) -> Stack:
    domain = {"name": "orders.example.com", "zone": "example.com", "names": names, "port": 8443}
    small = {"max_tasks": 1}
    services = {"shop": {**small, **service}, "invoices": {**small, "paths": ["/invoices/*"], "priority": 10}}
    table = {"name": "dev", "database": {}, "services": services, "domain": domain}
    return stack(Environment.model_validate(table), "1" * 12)


def listener_for_http(found: Stack) -> Listener:
    """The listener as the emulator would read it."""
    rules = [one for one in found.infra if isinstance(one, Elbv2Rule) and one.listener is found.listeners.listener]
    routing = []
    for rule in rules:
        outputs = Outputs()
        outputs[rule.listener] = Observed("", arn="listener")
        wanted = rule.desired(outputs)
        conditions = []
        if wanted["PathPatterns"]:
            conditions.append({"Field": "path-pattern", "PathPatternConfig": {"Values": wanted["PathPatterns"]}})
        if wanted["Hosts"]:
            conditions.append({"Field": "host-header", "HostHeaderConfig": {"Values": wanted["Hosts"]}})
        if not wanted["Header"]:
            routing.append(RoutingRule(wanted["Priority"], tuple(conditions), tuple(wanted["TargetGroupArns"])))
    assert found.listeners.listener.redirect
    default = RoutingRule(float("inf"), (), (found.listeners.listener.redirect.action(),))
    return Listener("listener", "balancer", 80, (*sorted(routing, key=lambda one: one.priority), default))


def location(names: list[str], host: str, path: str, **service: Any) -> str:
    request = HttpRequest("GET", host, path, "a=b", {})
    http = listener_for_http(declared(names, **service))
    status, url = redirect_to(http.action(request), request, 80)
    assert status == 301
    return url


@pytest.mark.parametrize("path", ["/orders/7", "/invoices/7"])
@pytest.mark.parametrize("strategy", ["rolling", "blue-green"])
@pytest.mark.parametrize("host", ["orders.example.com", "shop0.example.com", "shop4.example.com", "shop6.example.com"])
def test_each_name_is_redirected_to_itself(host: str, path: str, strategy: str) -> None:
    assert location(MANY, host, path, strategy=strategy) == f"https://{host}:8443{path}?a=b"


@pytest.mark.parametrize("host", [AWS_NAME, "192.0.2.7", "other.example.com"])
def test_what_is_no_name_of_the_environment_is_redirected_to_the_first_one(host: str) -> None:
    assert location(MANY, host, "/orders/7") == "https://orders.example.com:8443/orders/7?a=b"


def test_a_rule_has_no_more_values_than_a_load_balancer_takes() -> None:
    rules = [one for one in declared(MANY).infra if isinstance(one, Elbv2Rule) and one.hosts]

    assert sorted(len(rule.hosts) for rule in rules) == [2, 5]
    assert len({rule.priority for rule in rules}) == 2
    assert max(rule.priority for rule in rules) < 10


def test_one_name_needs_no_rule_of_its_own() -> None:
    assert not [one for one in declared([]).infra if isinstance(one, Elbv2Rule) and one.hosts]


def test_names_without_a_free_priority_before_all_services_are_a_mistake_in_the_file(tmp_path: Path) -> None:
    text = (ENVIRONMENTS / "dev.toml").read_text()
    head = "[services.order-processor]\n"
    domain = '\n[domain]\nname = "orders.example.com"\nzone = "example.com"\nnames = ["shop.example.com"]\n'

    (tmp_path / "dev.toml").write_text(text.replace(head, f"{head}priority = 1\n") + domain)
    with pytest.raises(UsageError, match="which leave no priority: set theirs higher"):
        load_environment("dev", tmp_path)

    (tmp_path / "dev.toml").write_text(text.replace(head, f"{head}priority = 2\n") + domain)
    assert load_environment("dev", tmp_path).domain.names == ["shop.example.com"]


@pytest.mark.parametrize("strategy", ["rolling", "blue-green"])
def test_a_service_with_a_name_of_its_own_gets_only_the_requests_for_it(strategy: str) -> None:
    found = declared(["shop.example.com"], hosts=["shop.example.com"], strategy=strategy)

    rules = {one.name: one for one in found.infra if isinstance(one, Elbv2Rule) and one.listener.certificate}
    assert {name: rule.hosts for name, rule in rules.items() if "shop" in name} == {
        name: ("shop.example.com",) for name in rules if "shop" in name
    }
    assert rules["orderops-dev-invoices:8443"].hosts == ()
    assert public_url(found.environment, AWS_NAME) == "https://orders.example.com:8443"
    assert public_url(found.environment, AWS_NAME, "shop") == "https://shop.example.com:8443"
    assert public_url(found.environment, AWS_NAME, "invoices") == "https://orders.example.com:8443"
    assert asked_service(found.environment) is None
    assert location(["shop.example.com"], "shop.example.com", "/a", hosts=["shop.example.com"]) == (
        "https://shop.example.com:8443/a?a=b"
    )

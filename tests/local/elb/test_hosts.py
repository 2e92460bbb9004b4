"""Hosts that a balancer of the laptop answers for: a page whose name resolves to this machine reads nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from orderops.local.elb.routing import HttpRequest, Listener, RoutingRule
from support.laptop import Laptop, Stack, until


def listener(*patterns: str) -> Listener:
    conditions: tuple[dict[str, Any], ...] = (
        {"Field": "host-header", "HostHeaderConfig": {"Values": list(patterns)}},
        {"Field": "path-pattern", "Values": ["/evil.example"]},
    )
    return Listener("arn", "lb", 8080, (RoutingRule(1, conditions if patterns else (), ()),))


@pytest.mark.parametrize(
    ("host", "answered"),
    [
        ("localhost:8080", True),
        ("LOCALHOST:8080", True),
        ("localhost", True),
        ("shop.localhost:8080", True),
        ("127.0.0.1:8080", True),
        ("127.0.1.1:8080", True),
        ("[::1]:8080", True),
        ("evil.example", False),
        ("evil.example:8080", False),
        ("localhost.evil.example:8080", False),
        ("evillocalhost:8080", False),
        ("127.0.0.1.evil.example:8080", False),
        ("0.0.0.0:8080", False),
        ("192.168.1.7:8080", False),
        ("[::ffff:7f00:1]:8080", False),
        ("", False),
        ("evil.example:8080:localhost", False),
    ],
)
def test_only_names_of_this_machine_are_answered(host: str, answered: bool) -> None:
    assert listener().answers(host) is answered


@pytest.mark.parametrize(
    ("pattern", "host", "answered"),
    [
        ("shop.example", "shop.example:8080", True),
        ("Shop.Example", "SHOP.example", True),
        ("*.shop.example", "eu.shop.example", True),
        ("*.shop.example", "shop.example", False),
        ("shop.example", "evil.example", False),
        # These name no host at all.
        ("*", "evil.example", False),
        ("*.*", "evil.example", False),
    ],
)
def test_hosts_that_a_rule_declares_are_answered(pattern: str, host: str, answered: bool) -> None:
    assert listener(pattern).answers(host) is answered


def test_a_host_condition_and_a_redirect_see_the_name_without_its_port() -> None:
    rule = listener("shop.example").rules[0]

    request = HttpRequest("GET", "Shop.example:8080", "/evil.example", "", {})

    assert rule.matches(request)


@pytest.fixture(scope="module")
def stack(laptop: Laptop) -> Iterator[Stack]:
    yield Stack(laptop, desired=1)


def test_a_foreign_host_gets_no_answer_of_the_service(stack: Stack) -> None:
    stack.laptop.client("elbv2").create_rule(
        ListenerArn=stack.listener,
        Priority=1,
        Conditions=[{"Field": "host-header", "HostHeaderConfig": {"Values": ["shop.example"]}}],
        Actions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200", "MessageBody": "shop"}}],
    )

    until(lambda: _get(stack, "shop.example")[0] == 200, what="the rule")
    # There is no target, so the balancer itself answers.
    assert _get(stack, "localhost")[0] == 503
    status, text = _get(stack, "evil.example")
    assert (status, "answers for localhost" in text) == (421, True)


def _get(stack: Stack, host: str) -> tuple[int, Any]:
    try:
        return stack.get(headers={"Host": f"{host}:{stack.port}"})
    except OSError:
        return 0, ""

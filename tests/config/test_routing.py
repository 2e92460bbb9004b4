"""Priorities of routing rules, and the second target group of a service."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from orderops.config.routing import Routing
from orderops.config.service import ServiceConfig


def routing(services: Mapping[str, Mapping[str, Any]]) -> Routing:
    return Routing({name: ServiceConfig(**declared) for name, declared in services.items()})


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        ({"shop": {"strategy": "blue-green"}}, {"shop": 99}),
        ({"shop": {"strategy": "canary", "priority": 3}, "rest": {"priority": 2}}, {"shop": 1}),
        (
            {
                "shop": {"strategy": "blue-green", "priority": 11},
                "rest": {"strategy": "blue-green", "priority": 10, "paths": ["/rest/*"]},
            },
            {"rest": 9, "shop": 8},
        ),
        (
            {
                "shop": {"strategy": "blue-green", "priority": 7},
                "rest": {"strategy": "blue-green", "priority": 6, "paths": ["/rest/*"]},
                "other": {"priority": 5, "paths": ["/other/*"]},
            },
            {"rest": 4, "shop": 3},
        ),
    ],
)
def test_the_rule_of_a_test_has_a_free_priority_before_the_service(
    services: Mapping[str, Mapping[str, Any]], expected: Mapping[str, int]
) -> None:
    found = routing(services)

    assert {name: found.test_priority(name) for name in expected} == expected
    assert all(found.test_priority(name) < found.priority(name) for name in expected)


def test_a_service_without_a_free_priority_before_it_is_refused() -> None:
    mistakes = list(routing({"shop": {"strategy": "blue-green", "priority": 1}}).mistakes())

    assert [mistake.key for mistake in mistakes] == [("services", "shop", "priority")]
    assert "leaves no free priority before it" in mistakes[0].allowed


def test_the_name_of_a_second_group_that_another_service_has_is_refused() -> None:
    services = {"shop": {"strategy": "blue-green", "paths": ["/shop/*"]}, "shop-alt": {}}

    assert [mistake.key for mistake in routing(services).mistakes()] == [("services", "shop", "strategy")]


def test_rolling_services_need_no_second_priority() -> None:
    assert list(routing({"shop": {"priority": 1}}).mistakes()) == []


SHOP, ORDERS = "shop.example.com", "orders.example.com"


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        ({"hosts": [SHOP]}, {}, None),
        ({"hosts": [SHOP]}, {"hosts": [ORDERS]}, None),
        ({"hosts": [SHOP, ORDERS]}, {"hosts": [SHOP]}, "is also a path of first"),
        ({}, {"hosts": [SHOP]}, "is also a path of first"),
        ({}, {"hosts": [SHOP], "paths": ["/shop/*"]}, "first gets all of these requests first, at priority 100"),
        ({"hosts": [SHOP]}, {"paths": ["/shop/*"]}, None),
        ({"hosts": [SHOP], "paths": ["/a", "/b", "/c", "/d"]}, {}, None),
    ],
)
def test_a_service_gets_the_same_paths_under_another_name(
    first: dict[str, Any], second: dict[str, Any], why: str | None
) -> None:
    found = [mistake.allowed for mistake in routing({"first": first, "second": second}).mistakes()]

    assert [rule.partition(";")[0] for rule in found] == ([why] if why else [])


def test_only_names_of_the_environment_lead_to_a_service() -> None:
    declared = routing({"shop": {"hosts": [SHOP, "www.example.org"]}})

    assert [mistake.allowed for mistake in declared.unknown_hosts([ORDERS, SHOP])] == [
        "is no name of the environment: add it to names under [domain]",
    ]
    assert [mistake.allowed for mistake in routing({"shop": {"hosts": [SHOP]}}).unknown_hosts([])] == [
        "is no name of the environment: declare it as name under [domain]"
    ]


@pytest.mark.parametrize(
    ("declared", "why"),
    [
        ({"hosts": [SHOP], "paths": ["/a", "/b", "/c", "/d"]}, None),
        ({"hosts": [SHOP, ORDERS], "paths": ["/a", "/b", "/c", "/d"]}, "and paths may be at most 5 together"),
        (
            {"hosts": [SHOP], "paths": ["/a", "/b", "/c", "/d"], "strategy": "canary"},
            "and paths may be at most 4 together with strategy canary, whose tests need a header, too",
        ),
        (
            {"paths": ["/a", "/b", "/c", "/d", "/e"], "strategy": "canary"},
            "may be at most 4 with strategy canary, whose tests need a header, too",
        ),
    ],
)
def test_a_rule_has_room_for_five_values(declared: dict[str, Any], why: str | None) -> None:
    if why is None:
        ServiceConfig(**declared)
        return
    with pytest.raises(ValidationError, match=re.escape(why)):
        ServiceConfig(**declared)

"""Priorities of routing rules, and the second target group of a service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

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

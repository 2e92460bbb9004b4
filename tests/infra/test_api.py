"""An API in front: what it consists of, and which load balancer is reached from where."""

from __future__ import annotations

from typing import Any

import pytest

from orderops.config.environment import Environment
from orderops.engine.resource import Observed, Outputs
from orderops.infra.address import outputs_of, service_url
from orderops.infra.stack import Stack, stack
from orderops.resources.ec2_security_group import Ec2SecurityGroup
from orderops.resources.ecs_service import EcsService
from orderops.resources.ecs_task_definition import EcsTaskDefinition
from orderops.resources.elbv2_load_balancer import Elbv2LoadBalancer


def declared(api: dict[str, Any], name: str = "shop", **service: Any) -> Stack:
    table = {"name": "dev", "database": {}, "services": {name: service}, "api": api}
    return stack(Environment.model_validate(table), "1" * 12)


NONE, BOTH, ALONE = declared({}), declared({"type": "http", "balancer": "both"}), declared({"type": "http"})


def balancers(whole: Stack) -> dict[str, bool]:
    found = [resource for resource in whole.infra if isinstance(resource, Elbv2LoadBalancer)]
    return {balancer.name: balancer.internal for balancer in found}


def entrances(whole: Stack) -> list[str]:
    return [
        rule.source.name if isinstance(rule.source, Ec2SecurityGroup) else rule.source
        for rule in whole.entrance.ingress
    ]


def of_kind(whole: Stack, kind: type) -> Any:
    (found,) = [resource for resource in whole.release({}) if isinstance(resource, kind)]
    return found


def test_without_an_api_the_load_balancer_is_public() -> None:
    assert balancers(NONE) == {"orderops-dev-balancer": False}
    assert entrances(NONE) == ["0.0.0.0/0"]


def test_while_clients_move_there_are_two() -> None:
    assert balancers(BOTH) == {"orderops-dev-balancer": False, "orderops-dev-internal": True}
    assert entrances(BOTH) == ["0.0.0.0/0", "orderops-dev-api"]
    service = of_kind(BOTH, EcsService)
    groups = [rule.target_group.name for rule in (service.rule, service.also)]
    assert groups == ["orderops-dev-shop", "orderops-dev-shop-int"]


def test_behind_an_api_alone_only_the_api_reaches_the_load_balancer() -> None:
    assert balancers(ALONE) == {"orderops-dev-internal": True}
    assert entrances(ALONE) == ["orderops-dev-api"]
    service = of_kind(ALONE, EcsService)
    assert service.rule.target_group.name == "orderops-dev-shop-int"
    assert service.also is None
    assert ALONE.balancer.subnets == ALONE.network.private


def test_the_tasks_trust_the_header_only_where_no_client_can_write_it() -> None:
    named = [
        of_kind(whole, EcsTaskDefinition).environment.get("CLIENT_ADDRESS_HEADER") for whole in (NONE, BOTH, ALONE)
    ]

    assert named == [None, None, "X-Client-Ip"]


def test_every_target_group_has_a_name_of_its_own_that_aws_takes() -> None:
    name = "a-service-with-a-n"
    two = declared({"type": "http", "balancer": "both"}, name)
    other = declared({"type": "http"}, name, strategy="blue-green")

    names = [
        group.name
        for routing in (two.services[name].routing, two.services[name].routing.also, other.services[name].routing)  # type: ignore[union-attr]
        for group in routing.target_groups  # type: ignore[union-attr]
    ]

    assert len(set(names)) == 3
    assert all(len(name) <= 32 for name in names)


@pytest.mark.parametrize(
    ("whole", "url", "api"),
    [
        (NONE, "http://lb.example.com", None),
        (BOTH, "https://api.example.com", "https://api.example.com"),
        (ALONE, "https://api.example.com", "https://api.example.com"),
    ],
    ids=["none", "both", "alone"],
)
def test_callers_are_led_to_the_api_where_there_is_one(whole: Stack, url: str, api: str | None) -> None:
    outputs = Outputs("ap-southeast-2", "1" * 12)
    outputs[whole.balancer] = Observed("lb", {"DNSName": "lb.example.com"})
    if whole.api:
        outputs[whole.api.api] = Observed("api", {"ApiEndpoint": "https://api.example.com"})

    assert service_url(whole, outputs) == url
    told = outputs_of(whole, outputs)
    assert (told["api_url"], told["load_balancer_url"]) == (api, "http://lb.example.com")

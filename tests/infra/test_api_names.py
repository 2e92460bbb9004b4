"""The names of an environment with an API: where they lead, in which order, and which URLs are told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from orderops.config.environment import Environment
from orderops.engine.resource import Observed, Outputs, Resource
from orderops.infra.address import outputs_of, service_url
from orderops.infra.left_out import ServicesLeftOut
from orderops.infra.stack import Stack, stack
from orderops.resources.acm_certificate import AcmCertificate
from orderops.resources.apigatewayv2_domain_name import Apigatewayv2DomainName
from orderops.resources.elbv2_listener import Elbv2Listener
from orderops.resources.elbv2_rule import Elbv2Rule
from orderops.resources.route53_alias import Route53Alias

NAMES = ("orders.example.com", "shop.example.com")


def declared(api: dict[str, Any], zone: str = "example.com") -> Stack:
    domain = {"name": NAMES[0], "names": [NAMES[1]], "zone": zone}
    table = {"name": "dev", "database": {}, "services": {"shop": {}}, "api": api, "domain": domain}
    return stack(Environment.model_validate(table), "1" * 12)


NONE, BOTH, ALONE = declared({}), declared({"type": "http", "balancer": "both"}), declared({"type": "http"})
REST = declared({"type": "rest"})


def of_kind(whole: Stack, kind: type[Resource]) -> list[Any]:
    return [resource for resource in whole.infra if isinstance(resource, kind)]


def needs(resource: Resource) -> Iterator[Resource]:
    for need in resource.needs():
        yield need
        yield from needs(need)


@pytest.mark.parametrize("whole", [BOTH, ALONE, REST], ids=["both", "alone", "REST"])
def test_every_name_leads_to_the_api_after_its_mapping_stage_and_certificate(whole: Stack) -> None:
    aliases = of_kind(whole, Route53Alias)

    assert [alias.name for alias in aliases] == list(NAMES)
    for alias in aliases:
        kinds = {need.kind for need in needs(alias)}
        stage = "apigateway-stage" if whole is REST else "apigatewayv2-stage"
        assert {"apigatewayv2-domain-name", "apigatewayv2-mapping", stage, "acm-certificate"} <= kinds
        assert "elbv2-rule" not in kinds


def test_without_an_api_the_names_lead_to_the_load_balancer() -> None:
    assert {alias.target for alias in of_kind(NONE, Route53Alias)} == {NONE.balancer}
    assert of_kind(NONE, Apigatewayv2DomainName) == []
    assert NONE.listeners.after_release == ()


def test_beside_the_api_the_load_balancer_keeps_https_and_its_redirects() -> None:
    ports = {listener.port: listener.redirect for listener in of_kind(BOTH, Elbv2Listener) if listener.certificate}
    redirects = [rule for rule in of_kind(BOTH, Elbv2Rule) if rule.redirect]

    assert ports == {443: None}
    assert len(redirects) == 2
    assert all(set(of_kind(BOTH, Route53Alias)) <= set(rule.needs()) for rule in redirects)


def test_behind_the_api_alone_nothing_of_the_load_balancer_is_for_https() -> None:
    assert {listener.port for listener in of_kind(ALONE, Elbv2Listener)} == {80}
    assert not any(rule.redirect for rule in of_kind(ALONE, Elbv2Rule))
    assert len(of_kind(ALONE, AcmCertificate)) == 1


def test_clients_are_led_to_the_api_after_the_release_that_its_tasks_need() -> None:
    late = [resource.kind for resource in BOTH.listeners.after_release]

    assert late.count("route53-alias") == 2
    assert {"elbv2-listener", "elbv2-rule"} <= set(late)
    assert "apigatewayv2-mapping" not in late
    waiting = ServicesLeftOut(unreleased=["shop"]).late(BOTH)
    assert waiting == {resource.address for resource in BOTH.listeners.after_release}
    assert ServicesLeftOut().late(BOTH) == set()


def test_with_a_zone_elsewhere_no_record_is_made_and_the_redirects_wait_for_the_mappings() -> None:
    by_hand = declared({"type": "http", "balancer": "both"}, "elsewhere")

    assert of_kind(by_hand, Route53Alias) == []
    assert set(by_hand.listeners.mappings) <= set(by_hand.listeners.listener.needs())


def test_the_certificate_of_an_api_is_watched() -> None:
    for whole in (BOTH, ALONE):
        assert [alarm.name for alarm in whole.alarms if "certificate" in alarm.name] == [
            "orderops-dev-certificate-expires",
            "orderops-dev-certificate-not-renewed",
        ]


@pytest.mark.parametrize("whole", [BOTH, ALONE, REST], ids=["both", "alone", "REST"])
def test_callers_are_told_the_name_and_the_address_at_api_gateway_that_it_leads_to(whole: Stack) -> None:
    outputs = Outputs("ap-southeast-2", "1" * 12)
    outputs[whole.balancer] = Observed("lb", {"DNSName": "lb.example.com"})
    assert whole.api
    outputs[whole.api.api] = Observed("api", {"ApiEndpoint": "https://api1.example.com/live"})
    before = service_url(whole, outputs)
    for number, domain in enumerate(of_kind(whole, Apigatewayv2DomainName)):
        properties = {"Url": f"https://{domain.name}", "ApiGatewayDomainName": f"d-{number}.example.com"}
        outputs[domain] = Observed(domain.name, properties)

    told = outputs_of(whole, outputs)

    assert before == "https://api1.example.com/live"
    assert told["api_url"] == service_url(whole, outputs) == "https://orders.example.com"
    assert told["api_names"] == {"orders.example.com": "d-0.example.com", "shop.example.com": "d-1.example.com"}
    assert told["load_balancer_url"] == "http://lb.example.com"

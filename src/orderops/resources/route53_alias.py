"""Alias record of Route 53: a name of the environment that leads to its load balancer, or to its API."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.features import Feature
from orderops.engine.names import NameRule
from orderops.engine.resource import Observed, Outputs, Properties, Resource
from orderops.errors import NotOurs, OrderopsError
from orderops.resources.acm_certificate import FEATURE, AcmCertificate
from orderops.resources.apigatewayv2_domain_name import Apigatewayv2DomainName, domain_name
from orderops.resources.apigatewayv2_mapping import Apigatewayv2Mapping
from orderops.resources.elbv2_load_balancer import Elbv2LoadBalancer
from orderops.resources.elbv2_rule import Elbv2Rule
from orderops.resources.route53_zones import absolute, change_records, record_of, zone_id, zones_above

API_HOST = ".execute-api."
"""In the name of every host of API Gateway."""


class Route53Alias(Resource):
    """Named as the record, which leads to `target` once HTTPS is answered there: by all rules, or by the mapping.

    A record has no tags: one that leads to the load balancer of an environment, or to its own name at API Gateway,
    belongs to that environment.
    """

    target: Elbv2LoadBalancer | Apigatewayv2DomainName
    certificate: AcmCertificate
    after: tuple[Elbv2Rule, ...] | tuple[Apigatewayv2Mapping, ...]
    zone: str

    kind: ClassVar[str] = "route53-alias"
    untagged: ClassVar[bool] = True
    # Those of an environment are found by the names on its certificates, and one of a deleted certificate by its own.
    lists_late: ClassVar[bool] = True
    name_rule: ClassVar[NameRule | None] = NameRule(253, r"[a-z0-9.-]+", "a domain name")
    feature: ClassVar[Feature | None] = FEATURE
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        {
            "PriorRequestNotComplete",
            "InvalidChangeBatch: already exists",
            "InvalidChangeBatch: not found",
            "InvalidChangeBatch: do not match the current values",
        }
    )

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for name in [owner.name] if owner.name else _names_of(aws, owner):
            for zone in zones_above(aws, name):
                found = record_of(aws, zone, name, "A")
                if found and _is_of(aws, found, owner.environment):
                    yield _observed(found, zone, owner)

    def occupant(self, aws: Aws, desired: Properties) -> Observed | None:
        zone = zone_id(aws, self.zone)
        # A CNAME of that name, or an address of another host, may serve clients now.
        found = record_of(aws, zone, self.name, "A") or record_of(aws, zone, self.name, "CNAME")
        return _observed(found, zone) if found else None

    def desired(self, outputs: Outputs) -> Properties:
        properties = outputs[self.target].properties
        if isinstance(self.target, Apigatewayv2DomainName):
            target, zone = properties["ApiGatewayDomainName"], properties["HostedZoneId"]
        else:
            target, zone = properties["DNSName"], properties["CanonicalHostedZoneId"]
        return {
            "DNSName": absolute(target),
            "Type": "A",
            "AliasHostedZoneId": zone,
            "EvaluateTargetHealth": isinstance(self.target, Elbv2LoadBalancer),
        }

    def refusal(self, observed: Observed, key: str, desired: Any, environment: str) -> OrderopsError | None:
        record = observed.properties["Record"]
        # Only what the listing found has the owner's tags.
        if observed.tags or _leads_to_balancer(record, environment):
            return None
        values = [value["Value"] for value in record.get("ResourceRecords", ())]
        target = record.get("AliasTarget", {}).get("DNSName") or ", ".join(values)
        return NotOurs(
            f"{self.name} leads to {target} already, which may serve clients",
            f"make that record an alias of {desired} in Route 53, which leads clients here at once, or delete it; "
            "then re-run this command"
            if key == "DNSName"
            else "delete that record in Route 53, then re-run this command",
        )

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        change_records(aws, zone_id(aws, self.zone), ("CREATE", _record(self.name, desired)))

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        zone = zone_id(aws, self.zone)
        wanted = ("UPSERT", _record(self.name, {**observed.properties, **changed}))
        change_records(aws, zone, wanted)

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        change_records(aws, observed.properties["Zone"], ("DELETE", observed.properties["Record"]))


def _names_of(aws: Aws, owner: Ownership) -> list[str]:
    """The names on the certificates of an environment."""
    certificates = AcmCertificate.listing(aws, Ownership(owner.environment))
    return sorted({name for observed in certificates for name in observed.properties["Names"]})


def _is_of(aws: Aws, raw: Mapping[str, Any], environment: str) -> bool:
    """Whether a record leads to the load balancer of an environment, or to its own name at API Gateway."""
    return _leads_to_balancer(raw, environment) or _leads_to_api(aws, raw, environment)


def _leads_to_balancer(raw: Mapping[str, Any], environment: str) -> bool:
    """Whether a record leads to the load balancer of an environment, whose DNS name begins with its name."""
    return re.match(rf"orderops-{re.escape(environment)}-balancer-\d+\.", _target(raw)) is not None


def _leads_to_api(aws: Aws, raw: Mapping[str, Any], environment: str) -> bool:
    """Whether a record leads to the domain name of that name, if it belongs to an environment."""
    target = _target(raw)
    # Asked only where it can be: an environment without an API makes no call to API Gateway.
    found = domain_name(aws, raw["Name"].rstrip(".")) if API_HOST in target else None
    if not found or not Ownership(environment).has(found.tags or {}):
        return False
    return absolute(str(found.properties["ApiGatewayDomainName"])) == absolute(target)


def _target(raw: Mapping[str, Any]) -> str:
    return str(raw.get("AliasTarget", {}).get("DNSName", "")).lower().removeprefix("dualstack.")


def _observed(raw: Mapping[str, Any], zone: str, owner: Ownership | None = None) -> Observed:
    alias, name = raw.get("AliasTarget", {}), raw["Name"].rstrip(".")
    return Observed(
        f"{zone}/{name}",
        {
            "Type": raw["Type"],
            "AliasHostedZoneId": alias.get("HostedZoneId"),
            "DNSName": absolute(alias["DNSName"]).removeprefix("dualstack.") if alias else None,
            "EvaluateTargetHealth": alias.get("EvaluateTargetHealth"),
            "Zone": zone,
            "Record": dict(raw),
        },
        tags=owner.named(Route53Alias.kind, name) if owner else {},
        name=name,
    )


def _record(name: str, properties: Properties) -> dict[str, Any]:
    return {
        "Name": absolute(name),
        "Type": properties["Type"],
        "AliasTarget": {
            "HostedZoneId": properties["AliasHostedZoneId"],
            "DNSName": properties["DNSName"],
            "EvaluateTargetHealth": properties["EvaluateTargetHealth"],
        },
    }

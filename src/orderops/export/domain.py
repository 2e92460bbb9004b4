"""Domain: the certificate, the records that prove its names, and the records that lead to the environment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orderops.export.hcl import Expression, blocks
from orderops.export.part import Found, Part
from orderops.resources.acm_certificate import AcmCertificate
from orderops.resources.route53_alias import Route53Alias

PROOF = "proof"
CONFIGURATION = "domain_name_configuration[0]"
TARGETS = {
    "apigatewayv2-domain-name": (f"{CONFIGURATION}.target_domain_name", f"{CONFIGURATION}.hosted_zone_id"),
    "elbv2-load-balancer": ("dns_name", "zone_id"),
}
"""The attributes of what a record leads to: its name and its zone."""


def certificate(found: Found) -> Iterator[Part]:
    """A certificate, and the record for each of its names that is in the hosted zone."""
    resource, properties = found.resource, found.properties
    assert isinstance(resource, AcmCertificate)
    body = {
        "domain_name": resource.names[0],
        "subject_alternative_names": properties["Names"],
        "validation_method": "DNS",
        "key_algorithm": properties["KeyAlgorithm"],
        "tags": found.tags,
    }
    yield Part("aws_acm_certificate", found.observed.arn, body)
    # Names may share a record.
    proofs = {record["Name"]: record for record in properties["Proofs"].values()}
    for number, record in enumerate(proofs.values(), start=1):
        suffix = PROOF if len(proofs) == 1 else f"{PROOF}_{number}"
        yield _proof(properties["Zone"], record, suffix)


def _proof(zone: str, record: dict[str, Any], suffix: str) -> Part:
    name, kind = record["Name"].rstrip("."), record["Type"]
    body = {
        "zone_id": zone,
        "name": name,
        "type": kind,
        "ttl": record.get("TTL"),
        "records": [value["Value"] for value in record["ResourceRecords"]],
    }
    return Part("aws_route53_record", f"{zone}_{name}_{kind}", body, suffix)


def alias(found: Found) -> Iterator[Part]:
    """A record that leads to the load balancer, or to the API."""
    resource, properties = found.resource, found.properties
    assert isinstance(resource, Route53Alias)
    target = found.references.by_address.get(resource.target.address)
    name, zone = TARGETS[resource.target.kind]
    alias = {
        "name": Expression(f"{target}.{name}") if target else properties["DNSName"],
        "zone_id": Expression(f"{target}.{zone}") if target else properties["AliasHostedZoneId"],
        "evaluate_target_health": properties["EvaluateTargetHealth"],
    }
    body = {
        "zone_id": properties["Zone"],
        "name": found.name,
        "type": properties["Type"],
        "alias": blocks(alias),
    }
    yield Part("aws_route53_record", f"{properties['Zone']}_{found.name}_{properties['Type']}", body)

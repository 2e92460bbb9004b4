"""Domain names: with an issued certificate of the same region that covers the name, and updating for a while.

From the API Gateway V2 API reference (CreateDomainName, UpdateDomainName) and the developer guide, "Custom domain names
for HTTP APIs".
"""

from __future__ import annotations

import re
import time
from functools import partial

from orderops.local.apigateway.rest_store import rest_records
from orderops.local.apigateway.store import Json, api_records, domain_records, domain_status, new_id
from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.strict.apigatewayv2.answers import (
    answer,
    bad,
    conflict,
    deleted,
    given,
    listed,
    not_found,
    now,
    segments,
)
from orderops.local.strict.interfaces import backend

NAME = re.compile(r"(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")
# Each region has a zone of its own for these hosts; which one it is, AWS documents in a table.
ZONE = "Z1EXAMPLEGATEWAY"
# Quota "Custom domain names per account per Region", regional ones.
MOST = 120


def create_domain(seconds: float, request: Request) -> Response:
    sent, names = given(request), domain_records(request.region)
    name = sent.get("domainName", "")
    if not NAME.fullmatch(name):
        raise bad(f"The domain name {name} is not valid")
    if name in names:
        raise conflict("The domain name you provided already exists.")
    if len(names) >= MOST:
        raise bad("Maximum number of domain names has been reached")
    host = f"d-{new_id()}.execute-api.{request.region}.amazonaws.com"
    configuration = {**_configuration(request, name), "apiGatewayDomainName": host, "hostedZoneId": ZONE}
    domain: Json = {
        "domainName": name,
        "domainNameConfigurations": [configuration],
        "apiMappingSelectionExpression": "$request.basepath",
        "routingMode": "API_MAPPING_ONLY",
        "tags": sent.get("tags", {}),
    }
    names[name] = {"domain": domain, "mappings": {}, "_ready_at": time.time() + seconds}
    return answer(_described(names[name]), 201)


def get_domain(request: Request) -> Response:
    return answer(_described(domain_of(request)))


def get_domains(request: Request) -> Response:
    return listed(request, [_described(record) for record in domain_records(request.region).values()])


def update_domain(seconds: float, request: Request) -> Response:
    record = domain_of(request)
    if domain_status(record) != "AVAILABLE":
        raise bad("The domain name cannot be updated while it is being updated")
    configuration = _configuration(request, record["domain"]["domainName"])
    record["domain"]["domainNameConfigurations"][0] |= configuration
    record["_ready_at"] = time.time() + seconds
    return answer(_described(record))


def delete_domain(request: Request) -> Response:
    """Delete a name together with its mappings: AWS declares no error for one that has some."""
    domain_of(request)
    del domain_records(request.region)[segments(request)[1]]
    return deleted()


create_domain_now, update_domain_now = partial(create_domain, 0.0), partial(update_domain, 0.0)


def domain_of(request: Request) -> Json:
    """Return the record of the domain name that the path has."""
    name = segments(request)[1]
    if name not in domain_records(request.region):
        raise not_found("domain name", name)
    found: Json = domain_records(request.region)[name]
    return found


def stages_of(region: str, api: str) -> set[str] | None:
    """Return the stages of an HTTP or REST API; None if there is no such API."""
    for records in (api_records(region), rest_records(region)):
        if api in records:
            return set(records[api]["stages"])
    return None


def _described(record: Json) -> Json:
    [configuration] = record["domain"]["domainNameConfigurations"]
    return {
        **record["domain"],
        "domainNameConfigurations": [{**configuration, "domainNameStatus": domain_status(record)}],
    }


def _configuration(request: Request, name: str) -> Json:
    configurations = given(request).get("domainNameConfigurations", [])
    if len(configurations) != 1:
        raise bad("A domain name needs exactly one configuration")
    if "mutualTlsAuthentication" in given(request):
        raise ApiError("NotEmulated", "domain names without mutual TLS alone are emulated on the laptop")
    [sent] = configurations
    if sent.get("endpointType") != "REGIONAL":
        raise bad("Only REGIONAL endpoints are supported for domain names of HTTP APIs")
    if sent.get("securityPolicy", "TLS_1_2") != "TLS_1_2":
        raise bad("Only TLS_1_2 is supported for domain names of HTTP APIs")
    _check_certificate(request.region, sent.get("certificateArn", ""), name)
    return {
        "certificateArn": sent["certificateArn"],
        "certificateUploadDate": now(),
        "endpointType": "REGIONAL",
        "securityPolicy": "TLS_1_2",
        "ipAddressType": sent.get("ipAddressType", "ipv4"),
    }


def _check_certificate(region: str, arn: str, name: str) -> None:
    if f":acm:{region}:" not in arn:
        raise bad(f"The certificate of a regional domain name must be in {region}: {arn}")
    certificate = backend("acm", region)._certificates.get(arn)
    if certificate is None or certificate.status != "ISSUED":
        raise bad(f"The certificate {arn} does not exist, or is not issued")
    described = certificate.describe()["Certificate"]
    covered = {described["DomainName"], *described.get("SubjectAlternativeNames", ())}
    if not covered & {name, f"*.{name.partition('.')[2]}"}:
        raise bad(f"The domain name {name} is not covered by the certificate {arn}")

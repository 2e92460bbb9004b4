"""ACM: a certificate is issued once its records are in the DNS, and stays while a listener or a domain name uses it.

From the ACM API reference (RequestCertificate, DescribeCertificate, DeleteCertificate) and the user guide, "DNS
validation".
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace

from moto import settings

from orderops.local.apigateway.store import domain_records
from orderops.local.emulator.partition import global_backend
from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.interfaces import backend

TOKEN = re.compile(r"\w{1,32}", re.ASCII)
# "Quotas" in the user guide: domain names per certificate, and the length of the first one.
MOST_NAMES = 10
LONGEST_FIRST = 64
READS = ("DescribeCertificate", "ListCertificates", "GetCertificate")


def register(emulator: Emulator, delays: Delays) -> None:
    """Issue certificates as AWS does, and reject what AWS rejects."""
    # moto issues a pending certificate after this time, whatever the DNS holds.
    settings.ACM_VALIDATION_WAIT = float("inf")

    def issue(request: Request) -> None:
        issue_proven(request.region, delays.certificate)

    def hide_new_records(request: Request, response: Response) -> Response:
        return _hidden(request, response, delays.certificate)

    emulator.on_before("acm", "RequestCertificate", _check_request)
    for action in READS:
        emulator.on_before("acm", action, issue)
    for action in ("CreateListener", "ModifyListener"):
        emulator.on_before("elasticloadbalancing", action, issue)
    # "There can be a delay of several seconds" before the record to make is shown.
    emulator.on_after("acm", "DescribeCertificate", hide_new_records)
    emulator.on_before("acm", "DeleteCertificate", _check_unused)


def issue_proven(region: str, delay: float) -> None:
    """Issue pending certificates whose records have all been in a public zone for `delay` seconds."""
    found = set(_public_cnames(region))
    for certificate in backend("acm", region)._certificates.values():
        if certificate.status != "PENDING_VALIDATION":
            continue
        options = certificate.describe()["Certificate"]["DomainValidationOptions"]
        records = [option["ResourceRecord"] for option in options]
        if all((record["Name"], record["Value"]) in found for record in records):
            certificate.proven_at = getattr(certificate, "proven_at", time.time())
            if time.time() - certificate.proven_at >= delay:
                certificate.status = "ISSUED"
        else:
            vars(certificate).pop("proven_at", None)


def _public_cnames(region: str) -> Iterator[tuple[str, str]]:
    for zone in global_backend("route53", region).zones.values():
        for record in zone.rrsets if not zone.private_zone else ():
            if record.type == "CNAME":
                yield from ((record.name.lower(), value.rstrip(".") + ".") for value in record.records)


def _check_request(request: Request) -> None:
    token, names = request.json.get("IdempotencyToken"), _names(request)
    if token is not None and not TOKEN.fullmatch(token):
        raise ApiError("ValidationException", f"1 validation error detected: Value '{token}' at 'idempotencyToken'")
    if len(request.json["DomainName"]) > LONGEST_FIRST:
        raise ApiError("InvalidDomainValidationOptionsException", "The first domain name exceeds 64 bytes")
    if len(names) > MOST_NAMES:
        raise ApiError("LimitExceededException", f"{len(names)} domain names exceed the quota of {MOST_NAMES}")
    acm = backend("acm", request.region)
    # moto fails at the token of a certificate that was deleted.
    tokens = acm._idempotency_tokens
    for known in [known for known, entry in tokens.items() if entry["arn"] not in acm._certificates]:
        del tokens[known]


def _names(request: Request) -> set[str]:
    return {request.json["DomainName"], *(request.json.get("SubjectAlternativeNames") or ())}


def _hidden(request: Request, response: Response, delay: float) -> Response:
    certificate = backend("acm", request.region)._certificates[request.json["CertificateArn"]]
    if time.time() - certificate.created_at.timestamp() >= delay:
        return response
    document = json.loads(response.body)
    for option in document["Certificate"].get("DomainValidationOptions", ()):
        option.pop("ResourceRecord", None)
    return replace(response, body=json.dumps(document).encode())


def _check_unused(request: Request) -> None:
    arn = request.json["CertificateArn"]
    users = [
        balancer.arn
        for balancer in backend("elbv2", request.region).load_balancers.values()
        for listener in balancer.listeners.values()
        if arn in str(listener.certificates)
    ]
    users += [
        name
        for name, record in domain_records(request.region).items()
        if arn == record["domain"]["domainNameConfigurations"][0]["certificateArn"]
    ]
    if users:
        raise ApiError("ResourceInUseException", f"Certificate {arn} is in use by {users[0]}")

"""Certificates: issued when their record is in the DNS, and kept while a listener uses them."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.interfaces import backend

LOOKS = ("DescribeCertificate", "ListCertificates", "GetCertificate")


def take_part(emulator: Emulator, pace: Delays) -> None:
    """Let a certificate wait for its record, and refuse to delete one in use."""

    def requested(call: Request, answer: Response) -> None:
        made = backend("acm", call.region)._certificates[json.loads(answer.body)["CertificateArn"]]
        made.record_at = time.time() + pace.changes

    emulator.on_after("acm", "RequestCertificate", requested)
    for action in LOOKS:
        emulator.on_before("acm", action, lambda call: look(call.region))
    emulator.on_after("acm", "DescribeCertificate", _described)
    emulator.on_before("acm", "DeleteCertificate", _unused)


def look(region: str) -> None:
    """Issue what has its records by now, and note who uses what."""
    for arn, certificate in backend("acm", region)._certificates.items():
        certificate.in_use_by = _users(region, arn)
        if certificate.status == "PENDING_VALIDATION" and _wanted(certificate) <= _records():
            certificate.status = "ISSUED"


def _users(region: str, arn: str) -> list[str]:
    return [
        balancer.arn
        for balancer in backend("elbv2", region).load_balancers.values()
        if any(arn in listener.certificates for listener in balancer.listeners.values())
    ]


def _wanted(certificate: Any) -> set[tuple[str, str]]:
    options = certificate.describe()["Certificate"].get("DomainValidationOptions", ())
    return {(one["ResourceRecord"]["Name"].rstrip("."), one["ResourceRecord"]["Value"].rstrip(".")) for one in options}


def _records() -> set[tuple[str, str]]:
    return {
        (record.name.rstrip("."), str(value).rstrip("."))
        for zone in get_backend("route53")[DEFAULT_ACCOUNT_ID]["aws"].zones.values()
        for record in zone.rrsets
        if record.type == "CNAME"
        for value in record.records or ()
    }


def _described(call: Request, answer: Response) -> Response | None:
    told = json.loads(answer.body)
    certificate = told["Certificate"]
    known = backend("acm", call.region)._certificates[certificate["CertificateArn"]]
    if certificate["Status"] != "ISSUED":
        certificate.pop("IssuedAt", None)
    if getattr(known, "record_at", 0.0) > time.time():
        for option in certificate.get("DomainValidationOptions", ()):
            option.pop("ResourceRecord", None)
    return replace(answer, body=json.dumps(told).encode())


def _unused(call: Request) -> None:
    arn = str(call.json.get("CertificateArn"))
    if _users(call.region, arn):
        raise ApiError("ResourceInUseException", f"Certificate {arn} in account {DEFAULT_ACCOUNT_ID} is in use.")

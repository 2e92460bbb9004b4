"""Service Quotas: the limits of a new account."""

from __future__ import annotations

import json
from typing import Any

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays

# Name and default, from "Service endpoints and quotas" in the AWS General Reference and from the Fargate guide.
DEFAULTS: dict[tuple[str, str], tuple[str, float]] = {
    ("ec2", "L-0263D0A3"): ("EC2-VPC Elastic IPs", 5.0),
    ("fargate", "L-3032A538"): ("Fargate On-Demand vCPU resource count", 6.0),
    ("rds", "L-7B6409FD"): ("DB instances", 40.0),
    ("vpc", "L-F678F1CE"): ("VPCs per Region", 5.0),
    ("vpc", "L-FE5A380F"): ("NAT gateways per Availability Zone", 5.0),
}
# AWS sets these for each account; the others have a default only, until an increase is granted.
APPLIED = {("fargate", "L-3032A538")}


def register(emulator: Emulator, delays: Delays) -> None:
    """Answer for the quotas above."""
    emulator.instead["servicequotas", "GetServiceQuota"] = _applied
    emulator.instead["servicequotas", "GetAWSDefaultServiceQuota"] = _default


def _applied(request: Request) -> Response:
    if _key(request) not in APPLIED:
        raise _missing()
    return _default(request)


def _default(request: Request) -> Response:
    service, code = _key(request)
    if (service, code) not in DEFAULTS:
        raise _missing()
    name, value = DEFAULTS[service, code]
    quota: dict[str, Any] = {"ServiceCode": service, "QuotaCode": code, "QuotaName": name, "Value": value}
    headers = [("Content-Type", "application/x-amz-json-1.1")]
    return Response(200, json.dumps({"Quota": {**quota, "Adjustable": True}}).encode(), headers)


def _key(request: Request) -> tuple[str, str]:
    return request.json.get("ServiceCode", ""), request.json.get("QuotaCode", "")


def _missing() -> ApiError:
    return ApiError("NoSuchResourceException", "The request failed because the specified quota does not exist.")

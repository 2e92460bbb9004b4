"""Web ACLs and IP sets: names, scopes and rules are checked, an update replaces, and what is used stays.

moto accepts any rule and any scope, keeps what an update leaves out, and deletes what is used.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

from orderops.local.emulator.protocol import ApiError, Request, Response, json_answer
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.wafv2.errors import SERVICE, absent, duplicate, in_use, invalid, of
from orderops.local.strict.wafv2.statements import MOST_CAPACITY, capacity_of, check_rules, parts_of

NAME = re.compile(r"[\w-]{1,128}")
RESERVED_METRICS = ("All", "Default_Action")
HOME = "us-east-1"
NEW = "associable_at"
# Members that UpdateWebACL empties if they are left out, by the name of moto's attribute; None where moto has none.
REPLACED = {
    "Description": "description",
    "CustomResponseBodies": "custom_response_bodies",
    "CaptchaConfig": "captcha_config",
    "ChallengeConfig": "challenge_config",
    "TokenDomains": "token_domains",
    "AssociationConfig": "association_config",
}
PROTECTION = "OnSourceDDoSProtectionConfig"
BALANCER = ":loadbalancer/app/"


def register(emulator: Emulator, delays: Delays) -> None:
    """Reject what AWS rejects."""
    for action in ("CreateWebACL", "CreateIPSet", "ListWebACLs", "ListIPSets", "GetWebACL", "GetIPSet"):
        emulator.on_before(SERVICE, action, _check_scope)
    emulator.on_before(SERVICE, "CreateWebACL", _check_new_acl)
    for action in ("CreateWebACL", "UpdateWebACL"):
        emulator.on_before(SERVICE, action, _check_acl)
    emulator.on_after(SERVICE, "CreateWebACL", _created(delays))
    emulator.on_after(SERVICE, "UpdateWebACL", _replace)
    emulator.on_after(SERVICE, "GetWebACL", _with_protection)
    emulator.on_before(SERVICE, "DeleteWebACL", _check_unused_acl)
    emulator.on_after(SERVICE, "DeleteWebACL", _drop_logging)
    emulator.instead[SERVICE, "CheckCapacity"] = _capacity
    emulator.on_before(SERVICE, "CreateIPSet", _check_new_set)
    emulator.on_before(SERVICE, "UpdateIPSet", _check_set)
    for action, key in (("CreateIPSet", "Summary"), ("UpdateIPSet", "")):
        emulator.on_after(SERVICE, action, _with_whole_token(key))
    emulator.on_after(SERVICE, "GetIPSet", _in_full)
    emulator.on_before(SERVICE, "DeleteIPSet", _check_unused_set)
    for action in ("TagResource", "UntagResource", "ListTagsForResource"):
        emulator.on_before(SERVICE, action, _check_tagged)


def acl_by_id(request: Request) -> Any:
    """The web ACL that a request names; None if there is none."""
    return next((acl for acl in of(request).wacls.values() if acl.id == request.json.get("Id")), None)


def _check_scope(request: Request) -> None:
    if request.json.get("Scope") == "CLOUDFRONT" and request.region != HOME:
        raise invalid("SCOPE_VALUE", "CLOUDFRONT", "The scope is not valid.")


def _check_new_acl(request: Request) -> None:
    _check_name(request)
    if any(acl.name == request.json["Name"] for acl in of(request).wacls.values()):
        raise duplicate()


def _check_acl(request: Request) -> None:
    parameters = request.json
    if len(parameters["DefaultAction"]) != 1:
        raise invalid("DEFAULT_ACTION", sorted(parameters["DefaultAction"]))
    rules = parameters.get("Rules", [])
    for visibility in (parameters["VisibilityConfig"], *(rule["VisibilityConfig"] for rule in rules)):
        if visibility["MetricName"] in RESERVED_METRICS or not NAME.fullmatch(visibility["MetricName"]):
            raise invalid("METRIC_NAME", visibility["MetricName"])
    check_rules(rules, of(request).ip_sets)
    if capacity_of(rules) > MOST_CAPACITY:
        raise ApiError(
            "WAFLimitsExceededException", "AWS WAF couldn't perform the operation because you exceeded your limit."
        )


def _created(delays: Delays) -> Callable[[Request, Response], None]:
    def created(request: Request, _answer: Response) -> None:
        acl = next(acl for acl in of(request).wacls.values() if acl.name == request.json["Name"])
        acl.capacity = capacity_of(request.json.get("Rules", []))
        setattr(acl, NEW, time.time() + delays.web_acl)

    return created


def _replace(request: Request, _answer: Response) -> None:
    """Empty what the request leaves out; moto keeps it."""
    acl, parameters = acl_by_id(request), request.json
    for member, attribute in REPLACED.items():
        if member not in parameters:
            setattr(acl, attribute, "" if member == "Description" else None)
    if not parameters.get("Rules"):
        acl.rules = []
    acl.capacity = capacity_of(parameters.get("Rules", []))
    acl.protection = parameters.get(PROTECTION)


def _with_protection(request: Request, response: Response) -> Response | None:
    """Add what AWS sets by itself as soon as a load balancer has the ACL, or what was sent instead."""
    document = json.loads(response.body)
    acl = of(request).wacls[document["WebACL"]["ARN"]]
    protection = getattr(acl, "protection", None)
    if protection is None and any(BALANCER in arn for arn in acl.associated_resources):
        protection = {"ALBLowReputationMode": "ACTIVE_UNDER_DDOS"}
    if protection is None:
        return None
    document["WebACL"][PROTECTION] = protection
    return Response(response.status, json.dumps(document).encode(), response.headers)


def _check_unused_acl(request: Request) -> None:
    acl = acl_by_id(request)
    if acl is None:
        raise absent()
    # That nothing uses it any more is known a while after it is so.
    if acl.associated_resources or getattr(acl, "used_until", 0.0) > time.time():
        raise in_use()


def _drop_logging(request: Request, _answer: Response) -> None:
    configurations = of(request).logging_configurations
    for arn in [arn for arn in configurations if arn.endswith(f"/{request.json['Id']}")]:
        del configurations[arn]


def _capacity(request: Request) -> Response:
    _check_scope(request)
    rules = request.json["Rules"]
    check_rules(rules, of(request).ip_sets)
    return json_answer({"Capacity": capacity_of(rules)})


def _check_new_set(request: Request) -> None:
    _check_name(request)
    if any(one.name == request.json["Name"] for one in of(request).ip_sets.values()):
        raise duplicate()
    _check_addresses(request.json["Addresses"], request.json["IPAddressVersion"])


def _check_set(request: Request) -> None:
    found = next((one for one in of(request).ip_sets.values() if one.ip_set_id == request.json["Id"]), None)
    if found is None:
        raise absent()
    _check_addresses(request.json["Addresses"], found.ip_address_version)


def _check_addresses(addresses: list[str], version: str) -> None:
    for text in addresses:
        try:
            network = ip_network(text)
        except ValueError:
            raise invalid("IP_ADDRESS", text) from None
        if "/" not in text or network.prefixlen == 0 or f"IPV{network.version}" != version:
            raise invalid("IP_ADDRESS", text)


def _with_whole_token(key: str) -> Callable[[Request, Response], Response]:
    """Lengthen the lock token of a set: AWS's are UUIDs, moto's the first six characters of one."""

    def lengthen(request: Request, response: Response) -> Response:
        document = json.loads(response.body)
        token = str(uuid.uuid4())
        name = request.json["Name"]
        next(one for one in of(request).ip_sets.values() if one.name == name).lock_token = token
        if key:
            document[key]["LockToken"] = token
        else:
            document["NextLockToken"] = token
        return Response(response.status, json.dumps(document).encode(), response.headers)

    return lengthen


def _in_full(request: Request, response: Response) -> Response:
    """Write ranges of IPv6 as WAF does: every group with all its zeros."""
    document = json.loads(response.body)
    networks = [ip_network(text) for text in document["IPSet"]["Addresses"]]
    document["IPSet"]["Addresses"] = [network.exploded for network in networks]
    return Response(response.status, json.dumps(document).encode(), response.headers)


def _check_unused_set(request: Request) -> None:
    found = next((arn for arn, one in of(request).ip_sets.items() if one.ip_set_id == request.json["Id"]), "")
    for acl in of(request).wacls.values():
        for rule in acl.rules:
            if any(body.get("ARN") == found for _, body in parts_of(rule.statement)):
                raise in_use()


def _check_name(request: Request) -> None:
    if not NAME.fullmatch(request.json["Name"]):
        raise invalid("ENTITY_NAME", request.json["Name"])


def _check_tagged(request: Request) -> None:
    arn = request.json["ResourceARN"]
    if arn not in of(request).wacls and arn not in of(request).ip_sets:
        raise absent()

"""Web ACLs of load balancers and stages of REST APIs, and their logs: each has one, and both have to exist."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable

from orderops.local.apigateway.rest_store import rest_records
from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.elbv2.balancers import provisioning
from orderops.local.strict.interfaces import backend
from orderops.local.strict.wafv2.acls import BALANCER, NEW
from orderops.local.strict.wafv2.errors import SERVICE, absent, invalid, of, unavailable

STAGE = re.compile(r"arn:[\w-]+:apigateway:[\w-]+::/restapis/([^/]+)/stages/([^/]+)")
LOG_PREFIX = "aws-waf-logs-"


def register(emulator: Emulator, delays: Delays) -> None:
    """Reject what AWS rejects."""
    emulator.on_before(SERVICE, "AssociateWebACL", _associate)
    emulator.on_before(SERVICE, "DisassociateWebACL", _disassociate(delays))
    emulator.on_before(SERVICE, "GetWebACLForResource", _check_resource)
    # A balancer takes its association along, without a word.
    emulator.on_before("elasticloadbalancing", "DeleteLoadBalancer", _forget)
    emulator.on_before(SERVICE, "PutLoggingConfiguration", _check_logging)
    for action in ("PutLoggingConfiguration", "GetLoggingConfiguration"):
        emulator.on_after(SERVICE, action, _with_scope)
    emulator.on_after(SERVICE, "ListLoggingConfigurations", _with_scopes)


def _associate(request: Request) -> None:
    exists = _exists(request)
    acl = of(request).wacls.get(request.json["WebACLArn"])
    if acl is None:
        raise absent()
    if not exists or _is_provisioning(request) or getattr(acl, NEW, 0.0) > time.time():
        raise unavailable()
    # A resource has one ACL: the new one takes the place of the other.
    _leave(request, request.json["ResourceArn"])


def _disassociate(delays: Delays) -> Callable[[Request], None]:
    def disassociate(request: Request) -> None:
        if not _exists(request):
            raise absent()
        for acl in of(request).wacls.values():
            if request.json["ResourceArn"] in acl.associated_resources:
                acl.used_until = time.time() + delays.web_acl

    return disassociate


def _check_resource(request: Request) -> None:
    if not _exists(request):
        raise absent()


def _exists(request: Request) -> bool:
    """Tell whether what a request names is there; HTTP APIs have no web ACL, and other resources are not emulated."""
    arn = request.json["ResourceArn"]
    if stage := STAGE.fullmatch(arn):
        api = rest_records(request.region).get(stage[1])
        return api is not None and stage[2] in api["stages"]
    if BALANCER not in arn:
        raise invalid("RESOURCE_ARN", arn, "The ARN isn't valid")
    return arn in backend("elbv2", request.region).load_balancers


def _is_provisioning(request: Request) -> bool:
    balancer = backend("elbv2", request.region).load_balancers.get(request.json["ResourceArn"])
    return balancer is not None and provisioning(balancer)


def _forget(request: Request) -> None:
    balancer = backend("elbv2", request.region).load_balancers.get(request.form.get("LoadBalancerArn"))
    if balancer is not None and balancer.attrs.get("deletion_protection.enabled") != "true":
        _leave(request, balancer.arn)


def _leave(request: Request, arn: str) -> None:
    for acl in of(request).wacls.values():
        acl.associated_resources = [other for other in acl.associated_resources if other != arn]


def _check_logging(request: Request) -> None:
    configuration = request.json["LoggingConfiguration"]
    if configuration["ResourceArn"] not in of(request).wacls:
        raise absent()
    destinations = configuration["LogDestinationConfigs"]
    if len(destinations) != 1:
        raise invalid("LOG_DESTINATION", destinations)
    [arn] = destinations
    name = arn.removesuffix(":*").rpartition(":")[2]
    if ":log-group:" not in arn or not name.startswith(LOG_PREFIX):
        raise invalid("LOG_DESTINATION", arn, "The ARN isn't valid")
    if name not in backend("logs", request.region).groups:
        raise ApiError(
            "WAFLogDestinationPermissionIssueException",
            "The operation failed because you don't have the permissions that your logging configuration requires.",
        )


def _with_scope(request: Request, response: Response) -> Response:
    document = json.loads(response.body)
    document["LoggingConfiguration"]["LogScope"] = "CUSTOMER"
    return Response(response.status, json.dumps(document).encode(), response.headers)


def _with_scopes(request: Request, response: Response) -> Response:
    document = json.loads(response.body)
    for configuration in document["LoggingConfigurations"]:
        configuration["LogScope"] = "CUSTOMER"
    return Response(response.status, json.dumps(document).encode(), response.headers)

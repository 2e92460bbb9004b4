"""Web ACLs: not on a balancer that is not ready, and none goes while something is behind it."""

from __future__ import annotations

from orderops.local.emulator.protocol import ApiError, Request
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.elbv2.balancers import provisioning
from orderops.local.strict.interfaces import backend

BALANCER = ":loadbalancer/app/"


def take_part(emulator: Emulator, _pace: Delays) -> None:
    """Refuse what AWS refuses."""
    emulator.on_before("wafv2", "CreateWebACL", _name_is_free)
    emulator.on_before("wafv2", "AssociateWebACL", _ready)
    emulator.on_before("wafv2", "DeleteWebACL", _unused)
    emulator.on_before("wafv2", "PutLoggingConfiguration", _named_for_logs)


def _name_is_free(call: Request) -> None:
    if any(one.name == call.json.get("Name") for one in backend("wafv2", call.region).wacls.values()):
        raise ApiError(
            "WAFDuplicateItemException",
            "AWS WAF couldn't perform the operation because some resource in your request is a duplicate "
            "of an existing one.",
        )


def _ready(call: Request) -> None:
    arn = str(call.json.get("ResourceArn"))
    balancer = backend("elbv2", call.region).load_balancers.get(arn)
    if BALANCER in arn and (balancer is None or provisioning(balancer)):
        raise ApiError(
            "WAFUnavailableEntityException",
            "AWS WAF couldn't retrieve a resource that you specified in your request. Retry your request.",
        )
    acls = backend("wafv2", call.region).wacls
    for one in acls.values() if call.json.get("WebACLArn") in acls else ():
        if arn in one.associated_resources:  # a resource has one ACL: the new one takes its place
            one.associated_resources.remove(arn)


def _unused(call: Request) -> None:
    for one in backend("wafv2", call.region).wacls.values():
        if one.id == call.json.get("Id") and one.associated_resources:
            raise ApiError(
                "WAFAssociatedItemException",
                "AWS WAF couldn't perform the operation because your resource is being used by another resource "
                "or it's associated with another resource.",
            )


def _named_for_logs(call: Request) -> None:
    for arn in call.json.get("LoggingConfiguration", {}).get("LogDestinationConfigs", ()):
        if not str(arn).rpartition("/")[2].rpartition(":")[2].startswith("aws-waf-logs-"):
            raise ApiError(
                "WAFInvalidParameterException",
                "Error reason: The ARN isn't valid. A valid ARN begins with arn: and includes other information "
                f"separated by colons or slashes., field: LOG_DESTINATION, parameter: {arn}",
            )

"""Web ACLs of stages: told with the stage, and gone with it."""

from __future__ import annotations

from moto.utilities.utils import get_partition

from orderops.local.apigateway.store import Json
from orderops.local.strict.interfaces import backend


def with_web_acl(region: str, api: str, stage: Json) -> Json:
    """Return a stage with the ARN of its web ACL, if it has one."""
    arn = _arn(region, api, stage["stageName"])
    found = [acl for acl, one in backend("wafv2", region).wacls.items() if arn in one.associated_resources]
    return {**stage, "webAclArn": found[0]} if found else stage


def forget_web_acl(region: str, api: str, stage: str) -> None:
    """Take the association of a deleted stage away."""
    arn = _arn(region, api, stage)
    for acl in backend("wafv2", region).wacls.values():
        acl.associated_resources = [other for other in acl.associated_resources if other != arn]


def _arn(region: str, api: str, stage: str) -> str:
    return f"arn:{get_partition(region)}:apigateway:{region}::/restapis/{api}/stages/{stage}"

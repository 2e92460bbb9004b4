"""Stage of an HTTP API: its limits, its access log, and the deployment that AWS makes of every change."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from orderops.aws.client import Aws, if_found
from orderops.aws.ownership import Ownership, Tags
from orderops.engine.features import Feature
from orderops.engine.resource import Observed, Outputs, Properties, Resource
from orderops.frozen import Frozen, field
from orderops.resources.apigatewayv2_api import FEATURE, RETRYABLE, Apigatewayv2Api, apis, arn_of
from orderops.resources.apigatewayv2_parts import parts
from orderops.resources.apigatewayv2_route import Apigatewayv2Route
from orderops.resources.logs_group import LogsGroup

DEFAULT = "$default"
"""The stage whose name is no part of the URL, nor of the path that the service gets."""
LOGGED = (
    "requestId",
    "ip",
    "requestTime",
    "routeKey",
    "status",
    "responseLength",
    "responseLatency",
    "integrationStatus",
    "integrationLatency",
    "integrationErrorMessage",
    "authorizer.error",
)
"""The variables of a request that its line in the access log has, which is a JSON object."""


class RouteLimit(Frozen):
    """At most `rate` requests a second, and `burst` at once, of all callers together."""

    rate: float
    burst: int

    def settings(self) -> dict[str, Any]:
        """As API Gateway writes it; the two only together, since a rate without a burst lets nothing through."""
        return {"ThrottlingRateLimit": float(self.rate), "ThrottlingBurstLimit": self.burst}


class Apigatewayv2Stage(Resource):
    """The stage `$default`, which AWS deploys after every change. Named `<api>:default`.

    `limits` has those of single routes by their keys. It is made after the routes, which its settings name.
    """

    api: Apigatewayv2Api
    routes: tuple[Apigatewayv2Route, ...]
    log_group: LogsGroup
    limit: RouteLimit
    limits: Mapping[str, RouteLimit] = field(default_factory=dict)

    kind: ClassVar[str] = "apigatewayv2-stage"
    feature: ClassVar[Feature | None] = FEATURE
    retryable_errors: ClassVar[frozenset[str]] = RETRYABLE
    result_properties: ClassVar[frozenset[str]] = frozenset({"LastDeployment"})

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for api in apis(aws, owner):
            for raw in parts(aws, "get_stages", api):
                name = f"{api.name}:{raw['StageName'].removeprefix('$')}"
                if owner.name in ("", name):
                    yield _observed(aws, api, name, raw)

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.apigatewayv2.tag_resource(ResourceArn=observed.arn, Tags=dict(tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {
            "ApiId": outputs[self.api].id,
            "AutoDeploy": True,
            "DefaultRouteSettings": self.limit.settings(),
            "RouteSettings": {key: limit.settings() for key, limit in sorted(self.limits.items())},
            "AccessLogSettings": {"DestinationArn": outputs[self.log_group].arn, "Format": log_format()},
            "LastDeployment": "done",
        }

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        given = {key: value for key, value in desired.items() if key not in self.result_properties}
        aws.apigatewayv2.create_stage(StageName=DEFAULT, **given, Tags=owner.tags)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        where = {"ApiId": observed.properties["ApiId"], "StageName": observed.id.rpartition("/")[2]}
        given = {key: value for key, value in changed.items() if key not in (*self.result_properties, "ApiId")}
        if "RouteSettings" in given:
            # An update merges, so the limits of a route go by a call of their own.
            for key in observed.properties["RouteSettings"].keys() - given["RouteSettings"].keys():
                if_found(aws.apigatewayv2.delete_route_settings, "NotFoundException", **where, RouteKey=key)
        # Also without a change: AWS deploys again.
        aws.apigatewayv2.update_stage(**where, **{"AutoDeploy": True, **given})

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        api, _, name = observed.id.partition("/")
        aws.apigatewayv2.delete_stage(ApiId=api, StageName=name)


def log_format(**others: str) -> str:
    """One line of the access log, with `others` beside or in place of the variables of an HTTP API."""
    return json.dumps({**{name: f"$context.{name}" for name in LOGGED}, **others}, separators=(",", ":"))


def _observed(aws: Aws, api: Observed, name: str, raw: Mapping[str, Any]) -> Observed:
    logs, stage = raw.get("AccessLogSettings", {}), raw["StageName"]
    properties = {
        "ApiId": api.id,
        "AutoDeploy": raw.get("AutoDeploy", False),
        "DefaultRouteSettings": _limits(raw.get("DefaultRouteSettings", {})),
        "RouteSettings": {key: _limits(value) for key, value in sorted(raw.get("RouteSettings", {}).items())},
        "AccessLogSettings": {key: logs.get(key) for key in ("DestinationArn", "Format")},
        "LastDeployment": _last_deployment(raw.get("LastDeploymentStatusMessage", "")),
    }
    # AWS documents no encoding of the `$` in an ARN; botocore encodes it where it is part of a path.
    arn = arn_of(aws, f"apis/{api.id}/stages/{stage}")
    return Observed(f"{api.id}/{stage}", properties, tags=raw.get("Tags", {}), name=name, arn=arn)


def _limits(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {key: raw.get(key) for key in ("ThrottlingRateLimit", "ThrottlingBurstLimit")}


def _last_deployment(message: str) -> str:
    """`done`, or why AWS could not deploy the last change, which it says nowhere else."""
    return "done" if not message or message.lower().startswith("successfully") else message

"""Stage of a REST API: the deployment that callers reach, its limits, and its access log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from orderops.aws.client import Aws, every, if_found
from orderops.aws.ownership import Ownership
from orderops.engine.features import Feature
from orderops.engine.resource import Observed, Outputs, Properties, Resource
from orderops.frozen import field, replace
from orderops.resources.apigateway_account import ApigatewayAccount
from orderops.resources.apigateway_rest_api import STAGE, ApigatewayRestApi, rest_apis
from orderops.resources.apigatewayv2_api import FEATURE, RETRYABLE, arn_of
from orderops.resources.apigatewayv2_stage import RouteLimit, log_format
from orderops.resources.logs_group import LogsGroup

EVERY_METHOD = "*/*"
KEPT = 10
"""Deployments that are kept to look at; older ones are deleted."""
SETTINGS = {"ThrottlingRateLimit": "throttlingRateLimit", "ThrottlingBurstLimit": "throttlingBurstLimit"}
PATHS = {"ThrottlingRateLimit": "throttling/rateLimit", "ThrottlingBurstLimit": "throttling/burstLimit"}


class ApigatewayStage(Resource):
    """Named `<api>:live`. A deployment is a copy of the API; its description tells of which definition.

    `limits` has those of single routes by their keys. `account` lets API Gateway write the access log.
    """

    api: ApigatewayRestApi
    log_group: LogsGroup
    account: ApigatewayAccount
    limit: RouteLimit
    limits: Mapping[str, RouteLimit] = field(default_factory=dict)

    kind: ClassVar[str] = "apigateway-stage"
    feature: ClassVar[Feature | None] = FEATURE
    # The call that makes it takes no tags; the API that it belongs to has them.
    untagged: ClassVar[bool] = True
    # The role of the account, where it was set a moment ago.
    retryable_errors: ClassVar[frozenset[str]] = RETRYABLE | {"BadRequestException: CloudWatch Logs role"}

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for api in rest_apis(aws, owner):
            found = if_found(aws.apigateway.get_stages, "NotFoundException", restApiId=api.id)
            for raw in (found or {}).get("item", ()):
                name = f"{api.name}:{raw['stageName']}"
                if owner.name in ("", name):
                    yield _observed(aws, api, name, raw, owner.named(cls.kind, name))

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        api, _, _ = observed.id.partition("/")
        of = {"restApiId": api, "deploymentId": observed.properties["DeploymentId"]}
        found = if_found(aws.apigateway.get_deployment, "NotFoundException", **of)
        return replace(observed, properties={**observed.properties, "Deployment": (found or {}).get("description", "")})

    def desired(self, outputs: Outputs) -> Properties:
        limits = {EVERY_METHOD: self.limit, **{_setting(key): limit for key, limit in sorted(self.limits.items())}}
        return {
            "ApiId": outputs[self.api].id,
            "Deployment": self.api.definition(outputs),
            "MethodSettings": {key: limit.settings() for key, limit in limits.items()},
            "AccessLogSettings": {
                "destinationArn": outputs[self.log_group].arn,
                "format": log_format(
                    routeKey="$context.httpMethod $context.resourcePath", error="$context.error.message"
                ),
            },
        }

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.apigateway.create_deployment(restApiId=desired["ApiId"], stageName=STAGE, description=desired["Deployment"])

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        api, _, stage = observed.id.partition("/")
        # The limits first: a new deployment is never open for more than they say.
        if patches := list(_patches(observed.properties, changed)):
            aws.apigateway.update_stage(restApiId=api, stageName=stage, patchOperations=patches)
        if "Deployment" in changed:
            aws.apigateway.create_deployment(restApiId=api, stageName=stage, description=changed["Deployment"])
            _delete_old(aws, api)

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        api, _, stage = observed.id.partition("/")
        aws.apigateway.delete_stage(restApiId=api, stageName=stage)


def _observed(aws: Aws, api: Observed, name: str, raw: Mapping[str, Any], tags: Mapping[str, str]) -> Observed:
    logs = raw.get("accessLogSettings", {})
    properties = {
        "ApiId": api.id,
        "DeploymentId": raw.get("deploymentId", ""),
        "MethodSettings": {
            _plain(key): {ours: value.get(theirs) for ours, theirs in SETTINGS.items()}
            for key, value in sorted(raw.get("methodSettings", {}).items())
        },
        # As AWS names them, for other tools.
        "MethodPaths": {_plain(key): key for key in raw.get("methodSettings", {})},
        "AccessLogSettings": {key: logs.get(key) for key in ("destinationArn", "format")},
    }
    id = f"{api.id}/{raw['stageName']}"
    return Observed(
        id, properties, tags=tags, name=name, arn=arn_of(aws, f"restapis/{api.id}/stages/{raw['stageName']}")
    )


def _setting(key: str) -> str:
    """The key of the settings of a route, such as `orders/{id}/GET`."""
    method, _, path = key.partition(" ")
    return f"{path.strip('/')}/{method}"


def _plain(key: str) -> str:
    """A key as `_setting` writes it, whether or not AWS gives it in the form of a patch."""
    path, _, method = key.replace("~1", "/").rpartition("/")
    return f"{path.strip('/')}/{method}"


def _patch_path(key: str) -> str:
    """The path of a setting in a patch: slashes of the route's own path are `~1`, the first one among them."""
    if key == EVERY_METHOD:
        return "/*/*"
    path, _, method = key.rpartition("/")
    return f"/~1{path.replace('/', '~1')}/{method}"


def _patches(observed: Properties, changed: Properties) -> Iterator[dict[str, str]]:
    wanted, there = changed.get("MethodSettings"), observed["MethodSettings"]
    if wanted is not None:
        for key in there.keys() - wanted.keys():
            yield {"op": "remove", "path": _patch_path(key)}
        for key, limits in wanted.items():
            for name, value in limits.items():
                if there.get(key, {}).get(name) != value:
                    yield {"op": "replace", "path": f"{_patch_path(key)}/{PATHS[name]}", "value": str(value)}
    for key, value in changed.get("AccessLogSettings", {}).items():
        yield {"op": "replace", "path": f"/accessLogSettings/{key}", "value": value}


def _delete_old(aws: Aws, api: str) -> None:
    """Delete all but the newest deployments; the stage has just taken the newest of them."""
    found = sorted(every(aws.apigateway.get_deployments, "items", restApiId=api), key=lambda one: one["createdDate"])
    for old in found[:-KEPT]:
        if_found(aws.apigateway.delete_deployment, "NotFoundException", restApiId=api, deploymentId=old["id"])

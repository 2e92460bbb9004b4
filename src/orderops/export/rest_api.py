"""REST API: its definition, the deployment that callers reach, its limits, its usage plan and its keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from orderops.engine.resource import Observed
from orderops.export.hcl import Json, blocks
from orderops.export.part import Found, Part, ignoring
from orderops.frozen import replace
from orderops.resources.apigateway_definition import RestRoute, document
from orderops.resources.apigateway_keys import ApiKey
from orderops.resources.apigateway_rest_api import ApigatewayRestApi
from orderops.resources.apigateway_stage import EVERY_METHOD, ApigatewayStage
from orderops.resources.apigateway_usage_plan import ApigatewayUsagePlan

ACCOUNT_ID = "api-gateway-account"
"""The provider's id of the one account resource of a region."""
STAGE, DEPLOYMENT, KEY = "aws_api_gateway_stage", "aws_api_gateway_deployment", "aws_api_gateway_api_key"
KEYS = "ApiKeys"


def account(found: Found) -> Iterator[Part]:
    """The role of the account by which REST APIs log. The role itself belongs to no environment."""
    yield Part("aws_api_gateway_account", ACCOUNT_ID, {"cloudwatch_role_arn": found.observed.arn})


def api(found: Found) -> Iterator[Part]:
    """A REST API with its definition, which an import does not read."""
    properties = found.properties
    body = {
        "name": properties["Name"],
        "disable_execute_api_endpoint": properties["DisableExecuteApiEndpoint"],
        "endpoint_configuration": blocks({"types": ["REGIONAL"]}),
        "body": _definition(found),
        "tags": found.tags,
        "lifecycle": ignoring("body"),
    }
    yield Part("aws_api_gateway_rest_api", found.observed.id, body)


def _definition(found: Found) -> Json | None:
    resource, properties = found.resource, found.properties
    assert isinstance(resource, ApigatewayRestApi)
    observed = properties["Integration"]
    if not observed:
        return None
    # Where the methods differ, it is that of each.
    integration = observed if "uri" in observed else next(iter(observed.values()))
    schemas = {route.model: route.schema for route in resource.routes if route.model}
    routes = [_route(key, admits, schemas) for key, admits in properties["Routes"].items()]
    return Json(found.place(document(properties["Name"], routes, integration, properties["Version"])))


def _route(key: str, admits: str, schemas: Mapping[str, Any]) -> RestRoute:
    authorization, *words = admits.split()
    model = next((word for word in words if word in schemas), "")
    return RestRoute(key, "apiKeyRequired" in words, authorization == "AWS_IAM", model, schemas.get(model))


def stage(found: Found) -> Iterator[Part]:
    """A stage, the deployment that it has, and its limits."""
    resource, properties = found.resource, found.properties
    assert isinstance(resource, ApigatewayStage)
    api_id, deployment = properties["ApiId"], properties["DeploymentId"]
    name = found.observed.id.partition("/")[2]
    logs = properties["AccessLogSettings"]
    log = {"destination_arn": found.place(logs["destinationArn"]), "format": logs["format"]}
    body = {
        "rest_api_id": found.place(api_id),
        "stage_name": name,
        "deployment_id": found.references.part(resource.address, DEPLOYMENT, "id", deployment),
        "access_log_settings": blocks(log if logs["destinationArn"] else None),
    }
    yield Part(STAGE, f"{api_id}/{name}", body)
    deployed = {
        "rest_api_id": found.place(api_id),
        "description": properties["Deployment"] or None,
        # A stage needs one at any time.
        "lifecycle": blocks({"create_before_destroy": True}),
    }
    yield Part(DEPLOYMENT, f"{api_id}/{deployment}", deployed)
    for key, limits in properties["MethodSettings"].items():
        # The provider looks for the path that AWS answers with.
        path = properties["MethodPaths"][key]
        settings = {
            "throttling_rate_limit": limits["ThrottlingRateLimit"],
            "throttling_burst_limit": limits["ThrottlingBurstLimit"],
        }
        method = {
            "rest_api_id": found.place(api_id),
            "stage_name": found.references.part(resource.address, STAGE, "stage_name", name),
            "method_path": path,
            "settings": blocks(settings),
        }
        suffix = "every_method" if key == EVERY_METHOD else key
        yield Part("aws_api_gateway_method_settings", f"{api_id}/{name}/{path}", method, suffix)


def usage_plan(found: Found) -> Iterator[Part]:
    """A usage plan with the keys that belong to it."""
    properties = found.properties
    throttle, quota = properties["Throttle"], properties["Quota"]
    body = {
        "name": properties["Name"],
        "api_stages": blocks(*(_stage_of(found, one) for one in properties["ApiStages"])),
        "throttle_settings": blocks(
            throttle and {"rate_limit": throttle["rateLimit"], "burst_limit": throttle["burstLimit"]}
        ),
        "quota_settings": blocks(quota and {"limit": quota["limit"], "period": quota["period"]}),
        "tags": found.tags,
    }
    yield Part("aws_api_gateway_usage_plan", found.observed.id, body)
    keys: list[ApiKey] = properties.get(KEYS, [])
    named = Counter(key.name for key in keys)
    for key in keys:
        yield from _key(found, key, key.name if named[key.name] == 1 else f"{key.name}_{key.id}")


def _stage_of(found: Found, stage: str) -> dict[str, Any]:
    """A stage that the keys of a plan open, from `api:name`."""
    resource = found.resource
    assert isinstance(resource, ApigatewayUsagePlan)
    api_id, _, name = stage.partition(":")
    return {
        "api_id": found.place(api_id),
        "stage": found.references.part(resource.stage.address, STAGE, "stage_name", name),
    }


def _key(found: Found, key: ApiKey, suffix: str) -> Iterator[Part]:
    plan, address = found.observed.id, found.resource.address
    tags = {name: key.tags[name] for name in sorted(key.tags) if not name.startswith("aws:")}
    # Its value is left out: the provider keeps the one that an import reads.
    body = {"name": key.name, "enabled": key.enabled, "tags": tags or None, "lifecycle": ignoring("description")}
    yield Part(KEY, key.id, body, suffix)
    if key.in_plan:
        belongs = {
            "usage_plan_id": found.place(plan),
            "key_id": found.references.part(address, KEY, "id", key.id, suffix),
            "key_type": "API_KEY",
        }
        yield Part("aws_api_gateway_usage_plan_key", f"{plan}/{key.id}", belongs, suffix)


def with_keys(plan: Observed, keys: Iterable[ApiKey]) -> Observed:
    """A usage plan with the keys of its environment, which no plan of changes reads."""
    return replace(plan, properties={**plan.properties, KEYS: list(keys)})

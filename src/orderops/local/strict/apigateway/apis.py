"""REST APIs, their definition, their tags, and the role for the logs of all."""

from __future__ import annotations

import json
import time
from urllib.parse import parse_qs

from orderops.local.apigateway.rest_store import account_settings, api_keys, rest_records, usage_plans
from orderops.local.apigateway.store import Json, new_id
from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.strict.apigateway.answers import answer, api_of, listed, patches, query, segments, wrong_patch
from orderops.local.strict.apigateway.documents import imported
from orderops.local.strict.apigateway.web_acls import forget_web_acl
from orderops.local.strict.apigatewayv2.answers import bad, check_unmapped, deleted, not_found
from orderops.local.strict.iam.roles import not_yet_known, role_by_arn

MOST_TAGS = 50
LARGEST = 6 * 1024 * 1024


def create_rest_api(request: Request) -> Response:
    sent = request.json
    if not 1 <= len(sent.get("name", "")) <= 1024:
        raise bad("The name of an API has 1 to 1024 characters")
    id = new_id()
    api: Json = {
        "id": id,
        "name": sent["name"],
        **{key: sent[key] for key in ("description", "version") if sent.get(key)},
        "createdDate": time.time(),
        "apiKeySource": "HEADER",
        "endpointConfiguration": {"types": sent.get("endpointConfiguration", {}).get("types", ["EDGE"])},
        "disableExecuteApiEndpoint": sent.get("disableExecuteApiEndpoint", False),
        "rootResourceId": new_id(),
        "tags": sent.get("tags", {}),
    }
    root = {"/": {"id": api["rootResourceId"], "path": "/"}}
    rest_records(request.region)[id] = {"api": api, "resources": root, "deployments": {}, "stages": {}}
    return answer(api, 201)


def get_rest_api(request: Request) -> Response:
    return answer(api_of(request).record["api"])


def get_rest_apis(request: Request) -> Response:
    return listed(request, [record["api"] for record in rest_records(request.region).values()])


def update_rest_api(request: Request) -> Response:
    api = api_of(request).record["api"]
    for op, pieces, value in patches(request):
        match op, pieces:
            case "replace", ["name" | "description" | "version" as key]:
                api[key] = value
            case "replace", ["disableExecuteApiEndpoint"]:
                api["disableExecuteApiEndpoint"] = value == "true"
            case _:
                raise wrong_patch(op, pieces)
    return answer(api)


def put_rest_api(request: Request) -> Response:
    """Import a document in place of the definition. Stages keep what they have deployed."""
    api = api_of(request)
    if query(request).get("mode") != "overwrite":
        raise ApiError("NotEmulated", "only imports that overwrite are emulated on the laptop")
    if len(request.body) > LARGEST:
        raise bad("The document is larger than 6 MB")
    try:
        document = json.loads(request.body)
    except ValueError:
        raise bad("Invalid OpenAPI input.") from None
    resources = imported(request.region, document)
    resources["/"]["id"] = api.record["api"]["rootResourceId"]
    for resource in resources.values():
        resource["parentId"] = resource.get("parentId")
    api.record["resources"] = resources
    info = document.get("info", {})
    api.record["api"] |= {"name": info.get("title", api.record["api"]["name"]), "version": info.get("version", "")}
    return answer(api.record["api"])


def get_resources(request: Request) -> Response:
    wanted = "methods" in parse_qs(request.environ.get("QUERY_STRING", "")).get("embed", ())
    shown = []
    for resource in api_of(request).resources.values():
        methods = resource.get("resourceMethods", {})
        plain = {name: {k: v for k, v in one.items() if k[0] != "_"} if wanted else {} for name, one in methods.items()}
        fields = {key: value for key, value in resource.items() if key != "resourceMethods" and value is not None}
        shown.append({**fields, **({"resourceMethods": plain} if plain else {})})
    return listed(request, shown)


def delete_rest_api(pause: float, request: Request) -> Response:
    """Delete an API with its parts; AWS lets an account delete one in 30 seconds."""
    api, settings = api_of(request), account_settings(request.region)
    check_unmapped(request.region, api.id)
    if settings.get("_deleted_at", 0.0) + pause > time.time():
        raise ApiError("TooManyRequestsException", "Too Many Requests", 429)
    settings["_deleted_at"] = time.time()
    for stage in api.stages:
        forget_web_acl(api.region, api.id, stage)
    del rest_records(request.region)[api.id]
    for plan in usage_plans(request.region).values():
        plan["apiStages"] = [one for one in plan["apiStages"] if one["apiId"] != api.id]
    return Response(202, b"", [])


def get_account(request: Request) -> Response:
    limits = {"burstLimit": 5000, "rateLimit": 10000.0}
    settings = account_settings(request.region)
    return answer({**settings, "throttleSettings": limits, "features": ["UsagePlans"], "apiKeyVersion": "4"})


def update_account(request: Request) -> Response:
    settings = account_settings(request.region)
    for op, pieces, value in patches(request):
        if (op, pieces) != ("replace", ["cloudwatchRoleArn"]):
            raise wrong_patch(op, pieces)
        if not value:
            settings.pop("cloudwatchRoleArn", None)
            continue
        role = role_by_arn(value)
        if (
            role is None
            or not_yet_known(role)
            or "apigateway.amazonaws.com" not in str(role.assume_role_policy_document)
        ):
            raise bad("The role ARN does not have required permissions set to API Gateway")
        settings["cloudwatchRoleArn"] = value
    return get_account(request)


def get_tags(request: Request) -> Response:
    return answer({"tags": _tags(request)})


def tag_resource(request: Request) -> Response:
    tags, added = _tags(request), request.json.get("tags", {})
    if len(tags | added) > MOST_TAGS:
        raise bad(f"A resource has at most {MOST_TAGS} tags")
    tags |= added
    return deleted()


def untag_resource(request: Request) -> Response:
    tags = _tags(request)
    for key in parse_qs(request.environ.get("QUERY_STRING", "")).get("tagKeys", ()):
        tags.pop(key, None)
    return deleted()


def _tags(request: Request) -> dict[str, str]:
    """Return the tags of the resource whose ARN the path has, which ends in `::/restapis/ID`."""
    arn, region = "/".join(segments(request)[1:]), request.region
    records = {
        "restapis": {id: record["api"] for id, record in rest_records(region).items()},
        "usageplans": usage_plans(region),
        "apikeys": api_keys(region),
    }
    match arn.partition("::/")[2].split("/"):
        case [kind, id] if id in records.get(kind, {}) and f":apigateway:{region}:" in arn:
            found: dict[str, str] = records[kind][id]["tags"]
            return found
        case _:
            raise not_found("resource", arn)

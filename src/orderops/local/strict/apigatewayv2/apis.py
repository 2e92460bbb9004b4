"""HTTP APIs, and the tags of APIs, stages, domain names and VPC links."""

from __future__ import annotations

from urllib.parse import parse_qs

from orderops.local.apigateway.store import Json, api_records, domain_records, link_records, new_id
from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.strict.apigatewayv2.answers import (
    answer,
    api_of,
    bad,
    check_unmapped,
    deleted,
    given,
    listed,
    not_found,
    now,
    segments,
)

MOST_TAGS = 50
CHANGEABLE = ("name", "description", "version", "disableExecuteApiEndpoint", "ipAddressType", "corsConfiguration")


def create_api(request: Request) -> Response:
    sent = given(request)
    if sent.get("protocolType") != "HTTP" or sent.keys() & {"target", "routeKey"}:
        raise ApiError("NotEmulated", "only HTTP APIs without a quick create are emulated on the laptop")
    _check_name(sent.get("name", ""))
    _check_cors(sent)
    id = new_id()
    api = {
        # What AWS adds by itself.
        "routeSelectionExpression": "${request.method} ${request.path}",
        "apiKeySelectionExpression": "$request.header.x-api-key",
        "disableExecuteApiEndpoint": False,
        "ipAddressType": "ipv4",
        **sent,
        "apiId": id,
        "apiEndpoint": f"https://{id}.execute-api.{request.region}.amazonaws.com",
        "createdDate": now(),
        "tags": sent.get("tags", {}),
    }
    record: Json = {"api": api, "authorizers": {}, "integrations": {}, "routes": {}, "stages": {}}
    api_records(request.region)[id] = record
    return answer(api, 201)


def get_api(request: Request) -> Response:
    return answer(api_of(request).record["api"])


def get_apis(request: Request) -> Response:
    return listed(request, [record["api"] for record in api_records(request.region).values()])


def update_api(request: Request) -> Response:
    api, sent = api_of(request).record["api"], given(request)
    if "name" in sent:
        _check_name(sent["name"])
    _check_cors(sent)
    api |= {key: sent[key] for key in CHANGEABLE if key in sent}
    return answer(api)


def delete_api(request: Request) -> Response:
    """Delete an API together with its parts."""
    api = api_of(request)
    check_unmapped(request.region, api.id)
    del api_records(request.region)[api.id]
    return deleted()


def get_tags(request: Request) -> Response:
    return answer({"tags": _tags(request)})


def tag_resource(request: Request) -> Response:
    tags = _tags(request)
    added = given(request).get("tags", {})
    if len(tags | added) > MOST_TAGS:
        raise bad(f"A resource has at most {MOST_TAGS} tags")
    tags |= added
    return answer({}, 201)


def untag_resource(request: Request) -> Response:
    tags = _tags(request)
    for key in parse_qs(request.environ.get("QUERY_STRING", "")).get("tagKeys", ()):
        tags.pop(key, None)
    return deleted()


def _tags(request: Request) -> dict[str, str]:
    """Return the tags of the resource whose ARN the path has, which ends in `::/apis/ID/stages/NAME`."""
    arn = "/".join(segments(request)[1:])
    parts = arn.partition("::/")[2].split("/")
    if f":apigateway:{request.region}:" not in arn:
        raise bad(f"Invalid ARN {arn}")
    match parts:
        case ["apis", id] if id in api_records(request.region):
            record = api_records(request.region)[id]["api"]
        case ["apis", id, "stages", name] if name in api_records(request.region).get(id, {}).get("stages", {}):
            record = api_records(request.region)[id]["stages"][name]
        case ["domainnames", name] if name in domain_records(request.region):
            record = domain_records(request.region)[name]["domain"]
        case ["vpclinks", id] if id in link_records(request.region):
            record = link_records(request.region)[id]
        case _:
            raise not_found("resource", arn)
    tags: dict[str, str] = record["tags"]
    return tags


def _check_name(name: str) -> None:
    if not 1 <= len(name) <= 128:
        raise bad("The name of an API has 1 to 128 characters")


def _check_cors(sent: Json) -> None:
    cors = sent.get("corsConfiguration", {})
    if cors.get("allowCredentials") and "*" in cors.get("allowOrigins", ()):
        raise bad("allowCredentials is not supported for origin *")

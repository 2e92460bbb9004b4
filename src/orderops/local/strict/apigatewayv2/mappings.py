"""API mappings: each key once, to a stage that exists."""

from __future__ import annotations

from orderops.local.apigateway.store import Json, new_id
from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.strict.apigatewayv2.answers import (
    answer,
    bad,
    conflict,
    deleted,
    given,
    listed,
    not_found,
    segments,
)
from orderops.local.strict.apigatewayv2.domains import domain_of, stages_of

# Quota "API mappings per domain".
MOST = 200


def create_mapping(request: Request) -> Response:
    mappings, sent = domain_of(request)["mappings"], given(request)
    if len(mappings) >= MOST:
        raise bad("Maximum number of API mappings for this domain name has been reached")
    mapping: Json = {"apiMappingKey": "", **sent}
    _check(request, mapping)
    if any(other["apiMappingKey"] == mapping["apiMappingKey"] for other in mappings.values()):
        raise conflict("ApiMapping key already exists for this domain name")
    mapping["apiMappingId"] = new_id(6)
    mappings[mapping["apiMappingId"]] = mapping
    return answer(mapping, 201)


def get_mapping(request: Request) -> Response:
    return answer(_mapping(request))


def get_mappings(request: Request) -> Response:
    return listed(request, domain_of(request)["mappings"].values())


def update_mapping(request: Request) -> Response:
    mapping, sent = _mapping(request), given(request)
    if "apiId" not in sent:
        raise bad("ApiId is required")
    merged = {**mapping, **sent}
    _check(request, merged)
    others = (one for one in domain_of(request)["mappings"].values() if one is not mapping)
    if any(other["apiMappingKey"] == merged["apiMappingKey"] for other in others):
        raise conflict("ApiMapping key already exists for this domain name")
    mapping |= merged
    return answer(mapping)


def delete_mapping(request: Request) -> Response:
    del domain_of(request)["mappings"][_mapping(request)["apiMappingId"]]
    return deleted()


def _mapping(request: Request) -> Json:
    id, mappings = segments(request)[3], domain_of(request)["mappings"]
    if id not in mappings:
        raise not_found("ApiMapping", id)
    found: Json = mappings[id]
    return found


def _check(request: Request, mapping: Json) -> None:
    if mapping["apiMappingKey"]:
        raise ApiError("NotEmulated", "mappings of all paths of a name alone are emulated on the laptop")
    stages = stages_of(request.region, mapping.get("apiId", ""))
    if stages is None:
        raise bad("Invalid API identifier specified")
    if mapping.get("stage") not in stages:
        raise bad("Invalid stage identifier specified")

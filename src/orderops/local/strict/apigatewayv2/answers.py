"""Requests and answers of API Gateway's REST protocol, and its errors."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote

from orderops.local.apigateway.store import HttpApi, Json, api_records, mapped
from orderops.local.emulator.protocol import ApiError, Request, Response

PAGE = 100
"""Entries of a page at most."""


def segments(request: Request) -> list[str]:
    """Return the decoded pieces of the path after `/v2/`."""
    path = request.environ.get("RAW_URI", request.path).partition("?")[0]
    return [unquote(piece) for piece in path.removeprefix("/v2/").rstrip("/").split("/")]


def api_of(request: Request) -> HttpApi:
    """Return the API that the path names."""
    id = segments(request)[1]
    record = api_records(request.region).get(id)
    if record is None:
        raise not_found("API", id)
    return HttpApi(request.region, record)


def entry_of(request: Request, entries: Mapping[str, Json], what: str) -> Json:
    """Return the part of an API that the path names."""
    id = segments(request)[3]
    if id not in entries:
        raise not_found(what, id)
    return entries[id]


def given(request: Request) -> Json:
    """Return the members of the body that were sent with a value."""
    return {key: value for key, value in request.json.items() if value is not None}


def answer(value: Mapping[str, Any], status: int = 200) -> Response:
    """Answer with a resource, without what is the emulator's own."""
    return _response({key: item for key, item in value.items() if not key.startswith("_")}, status)


def listed(request: Request, items: Iterable[Mapping[str, Any]]) -> Response:
    """Answer with one page of a listing."""
    query = parse_qs(request.environ.get("QUERY_STRING", ""))
    start, size = int(query.get("nextToken", ["0"])[0]), min(PAGE, int(query.get("maxResults", [str(PAGE)])[0]))
    shown = [{key: value for key, value in item.items() if not key.startswith("_")} for item in items]
    document: Json = {"items": shown[start : start + size]}
    if start + size < len(shown):
        document["nextToken"] = str(start + size)
    return _response(document, 200)


def deleted() -> Response:
    """Answer without a body."""
    return Response(204, b"", [])


def now() -> str:
    """Return the time in the form of API Gateway's answers."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def not_found(what: str, id: str) -> ApiError:
    return ApiError("NotFoundException", f"Invalid {what} identifier specified {id}", 404)


def bad(message: str) -> ApiError:
    return ApiError("BadRequestException", message, 400)


def conflict(message: str) -> ApiError:
    return ApiError("ConflictException", message, 409)


def check_unmapped(region: str, api: str, stage: str = "") -> None:
    """Reject the deletion of an API, or of a stage, to which a domain name leads."""
    if names := mapped(region, api, stage):
        raise bad(f"Please remove all API mappings that lead to it first: it has those of {', '.join(names)}")


def _response(value: Mapping[str, Any], status: int) -> Response:
    return Response(status, json.dumps(value).encode(), [("Content-Type", "application/json")])

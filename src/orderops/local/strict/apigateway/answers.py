"""Requests and answers of the protocol of REST APIs, and patches."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote

from orderops.local.apigateway.rest_store import RestApi, rest_records
from orderops.local.apigateway.store import Json
from orderops.local.emulator.protocol import Request, Response
from orderops.local.strict.apigatewayv2.answers import bad, not_found

PAGE = 25
"""Entries of a page, unless the request asks for another number."""


def segments(request: Request) -> list[str]:
    """Return the decoded pieces of the path."""
    path = request.environ.get("RAW_URI", request.path).partition("?")[0]
    return [unquote(piece) for piece in path.strip("/").split("/")]


def query(request: Request) -> dict[str, str]:
    """Return the first value of each parameter of the query."""
    return {key: values[0] for key, values in parse_qs(request.environ.get("QUERY_STRING", "")).items()}


def api_of(request: Request) -> RestApi:
    """Return the API that the path names."""
    id = segments(request)[1]
    if id not in rest_records(request.region):
        raise not_found("API", id)
    return RestApi(request.region, rest_records(request.region)[id])


def answer(value: Mapping[str, Any], status: int = 200) -> Response:
    """Answer with a resource, without what is the emulator's own."""
    shown = {key: item for key, item in value.items() if not key.startswith("_")}
    return Response(status, json.dumps(shown).encode(), [("Content-Type", "application/json")])


def listed(request: Request, items: Iterable[Mapping[str, Any]]) -> Response:
    """Answer with one page of a listing."""
    wanted = query(request)
    start, size = int(wanted.get("position", "0")), min(500, int(wanted.get("limit", PAGE)))
    shown = [{key: value for key, value in item.items() if not key.startswith("_")} for item in items]
    document: Json = {"item": shown[start : start + size]}
    if start + size < len(shown):
        document["position"] = str(start + size)
    return answer(document)


def patches(request: Request) -> Iterator[tuple[str, list[str], str]]:
    """Yield operation, pieces of the path, and value of each patch; `~1` in a path is a slash of a piece."""
    for patch in request.json.get("patchOperations", ()):
        path = patch.get("path", "")
        if not path.startswith("/") or patch.get("op") not in ("add", "remove", "replace"):
            raise bad(f"Invalid patch operation: {patch.get('op')} {path}")
        pieces = [piece.replace("~1", "/").replace("~0", "~") for piece in path[1:].split("/")]
        yield patch["op"], pieces, patch.get("value", "")


def wrong_patch(op: str, pieces: list[str]) -> Exception:
    return bad(f"Invalid patch path  '/{'/'.join(pieces)}' specified for op '{op}'.")

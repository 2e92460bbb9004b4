"""Description of the paths for programs, in OpenAPI."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from orderops.service.order_routes import CURSOR_PATTERN, DEFAULT_LIMIT, LARGEST_LIMIT
from orderops.service.orders import KEY_PATTERN, Order
from orderops.service.settings import ProcessRole, Settings

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
_TIME: Json = {"type": "string", "format": "date-time"}
_NUMBER: Json = {"type": "integer"}
_QUEUED = (
    "An order is `queued` from the answer to its POST until it is `processed` or `failed`. What is known of a queued "
    "order is kept in the database, and not in the queue. So an order that was accepted while the database did not "
    "answer is unknown (404) until it is processed, a few seconds after the database is back."
)
_OLD = (
    "A list may be some seconds old: what was known at `read_at` is in it. With `Cache-Control: no-cache`, it is read "
    "anew from the database that is written to, as `GET /orders/{id}` always is."
)
_KEY = (
    "Names the order, so that it can be sent again when no answer came: the same key with the same order gets the same "
    "id, and the order is written once. The same key with another order is refused (409), or, while the first is "
    "accepted and not known yet, accepted with another id: one of the two is `processed`, the other `failed`. Without "
    "the header, each request is an order of its own."
)


def description(settings: Settings) -> Json:
    """Return the OpenAPI document of this process."""
    paths: Json = {**_about_paths(), **(_users_path() if settings.demonstration else {})}
    if settings.role is not ProcessRole.WORKER:
        paths |= _order_paths(pages=settings.demonstration, token=settings.token_secret is not None)
    document: Json = {
        "openapi": "3.1.0",
        "info": {"title": "Order processor", "version": settings.version},
        "paths": paths,
        "components": {"schemas": _schemas()},
    }
    if settings.token_secret:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return document


def _about_paths() -> Json:
    page = _content(_ref("About"), html=True)
    return {
        "/": _get("The state of the dependencies, and the paths", {"200": page}),
        "/health": _get("Whether this process lives", {"200": _content(_object(status={"const": "alive"}))}),
        "/ready": _get(
            "Whether database and queue answer, and why not",
            {"200": _content(_ref("Ready")), "503": _content(_ref("Ready"))},
        ),
        "/version": _get("What runs here and since when", {"200": _content(_ref("Version"))}),
        "/openapi.json": _get("This document", {"200": _content({"type": "object"})}),
    }


def _users_path() -> Json:
    answers = {"200": _content({"type": "object"}, html=True), "503": _content({"type": "object"})}
    return {"/users": _get("A demonstration: the depth of the queue, and the newest users", answers)}


def _order_paths(*, pages: bool, token: bool) -> Json:
    refusals = ("401", "503") if token else ("503",)
    security: Json = {"security": [{"token": []}]} if token else {}
    place = {
        "summary": "Place an order",
        "parameters": [_header("Idempotency-Key", _KEY, {"type": "string", "pattern": KEY_PATTERN})],
        "requestBody": {"required": True, "content": {"application/json": {"schema": _ref("Order")}}},
        "responses": {
            "202": {
                **_content(_ref("Accepted"), "The order is in the queue"),
                "headers": {"Location": {"description": "Where to follow the order", "schema": _TEXT}},
            },
            **_problems("400", "409", "413", "415", "422", *refusals),
        },
        **security,
    }
    listing = {
        "summary": "List orders, newest first",
        "parameters": [
            _query("limit", "The most orders of this page", {**_NUMBER, "minimum": 1, "maximum": LARGEST_LIMIT}),
            _query("before", "From the `next` of another page", {"type": "string", "pattern": CURSOR_PATTERN}),
            _header("Cache-Control", "`no-cache` for what is true now", _TEXT),
        ],
        "description": f"Without `limit`, a page has {DEFAULT_LIMIT} orders. {_OLD} {_QUEUED}",
        "responses": {"200": _content(_ref("OrderList"), html=pages), **_problems("400", *refusals)},
        **security,
    }
    identifier = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}
    follow = {
        "summary": "Follow an order",
        "description": _QUEUED,
        "parameters": [identifier],
        "responses": {"200": _content(_ref("OrderState"), html=pages), **_problems("404", *refusals)},
        **security,
    }
    return {"/orders": {"get": listing, "post": place}, "/orders/{id}": {"get": follow}}


def _ready(checks: Json) -> Json:
    migrations = {**_object(version=_NUMBER, applied=_NUMBER), "type": ["object", "null"]}
    schema = {**_object(handed_over={"type": "boolean"}, others=_NUMBER), "type": ["object", "null"]}
    database = {"type": ["string", "null"]}
    return _object(ready={"type": "boolean"}, checks=checks, database=database, migrations=migrations, schema=schema)


def _schemas() -> Json:
    order = Order.model_json_schema(ref_template="#/components/schemas/{model}")
    check = _object(ok={"type": "boolean"}, detail=_TEXT)
    about = ("service", "version", "release", "commit", "environment", "role", "started_at", "python")
    version = dict.fromkeys(about, _TEXT)
    checks = {"type": "object", "additionalProperties": check}
    status = {"enum": ["queued", "processed", "failed"]}
    state = {
        "reason": {**_TEXT, "description": "Why it failed"},
        "processed_at": _TIME,
        "customer": _NUMBER,
        "currency": _TEXT,
        "total": _NUMBER,
        "items": {"type": "array", "items": _ref("Item")},
    }
    return {
        **order.pop("$defs"),
        "Order": order,
        "Accepted": _object(id=_TEXT, status=status, href=_TEXT),
        "OrderState": _object(state, id=_TEXT, href=_TEXT, status=status, placed_at=_TIME),
        "OrderList": _object(
            orders={"type": "array", "items": _ref("OrderState")}, next={"type": ["string", "null"]}, read_at=_TIME
        ),
        "Version": _object(**version),
        "About": _object(**version, ready={"type": "boolean"}, checks=checks, links={"type": "array", "items": _TEXT}),
        "Ready": _ready(checks),
        "Problem": _object(
            {"problems": {"type": "object", "additionalProperties": _TEXT}},
            type=_TEXT,
            title=_TEXT,
            status=_NUMBER,
            detail=_TEXT,
            instance=_TEXT,
            request_id=_TEXT,
        ),
    }


def _get(summary: str, responses: Json) -> Json:
    return {"get": {"summary": summary, "responses": responses}}


def _content(schema: Json, words: str = "", *, html: bool = False) -> Json:
    page: Json = {"text/html": {"schema": _TEXT}} if html else {}
    return {"description": words or "The answer", "content": {"application/json": {"schema": schema}, **page}}


def _problems(*codes: str) -> Json:
    problem = {"application/problem+json": {"schema": _ref("Problem")}, "text/html": {"schema": _TEXT}}
    return {code: {"description": "The reason, as a problem document", "content": problem} for code in codes}


def _object(optional: Json | None = None, **required: Json) -> Json:
    names: Iterable[str] = required
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(names),
        "additionalProperties": False,
    }


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _header(name: str, words: str, schema: Json) -> Json:
    return {"name": name, "in": "header", "required": False, "description": words, "schema": schema}


def _query(name: str, words: str, schema: Json) -> Json:
    return {"name": name, "in": "query", "required": False, "description": words, "schema": schema}

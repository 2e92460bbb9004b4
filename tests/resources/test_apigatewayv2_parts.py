"""Listings of what belongs to an HTTP API."""

from __future__ import annotations

import json

import pytest

from orderops.engine.resource import Observed
from orderops.errors import AwsError
from orderops.resources.apigatewayv2_parts import parts
from support.fake_answers import AnsweredSession


def test_every_page_is_read() -> None:
    pages = [(200, json.dumps({"items": [{"routeId": "one"}], "nextToken": "more"}))]
    pages.append((200, json.dumps({"items": [{"routeId": "two"}]})))

    found = parts(AnsweredSession(*pages).aws, "get_routes", Observed("api"))

    assert [route["RouteId"] for route in found] == ["one", "two"]


def test_an_api_deleted_meanwhile_has_no_parts() -> None:
    gone = (404, json.dumps({"__type": "NotFoundException", "message": "Invalid API identifier specified"}))

    assert list(parts(AnsweredSession(gone).aws, "get_stages", Observed("api"))) == []


def test_every_other_error_is_raised() -> None:
    denied = (403, json.dumps({"__type": "AccessDeniedException", "message": "no"}))

    with pytest.raises(AwsError, match="no"):
        list(parts(AnsweredSession(denied).aws, "get_stages", Observed("api")))

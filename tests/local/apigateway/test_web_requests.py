"""The web ACL of an API on the laptop: what it refuses before anything else is looked at."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from orderops.local.apigateway.account import ServedApi
from orderops.local.apigateway.gateway import Gateways
from orderops.local.elb.firewall import Firewall, WebAcl
from orderops.local.ports import free_port
from support.gateway_routes import route
from support.laptop import until

GROUP = "arn:aws:logs:ap-southeast-2:123456789012:log-group:aws-waf-logs-a"
ROUTE = route("POST /orders", needs_key=True, reachable=False)
# What is not blocked meets the missing key.
LET_IN = (403, {"message": "Forbidden"}, "API key: Forbidden")
BLOCKED = (403, {"message": "Forbidden"}, "Forbidden")


def larger_than(size: int) -> dict[str, Any]:
    return {
        "SizeConstraintStatement": {
            "FieldToMatch": {"Body": {"OversizeHandling": "MATCH"}},
            "ComparisonOperator": "GT",
            "Size": size,
            "TextTransformations": [{"Priority": 0, "Type": "NONE"}],
        }
    }


def path(text: str) -> dict[str, Any]:
    return {
        "ByteMatchStatement": {
            "FieldToMatch": {"UriPath": {}},
            "PositionalConstraint": "EXACTLY",
            "SearchString": b64encode(text.encode()).decode(),
            "TextTransformations": [{"Priority": 0, "Type": "NONE"}],
        }
    }


class Guarded:
    """An API with the stage `live` behind a web ACL with one rule."""

    def __init__(self) -> None:
        self.firewall = Firewall()
        self.gateways = Gateways(lambda _: None, lambda *_: True, self.firewall)
        api = ServedApi(
            "a1", "ap-southeast-2", free_port(), (ROUTE,), "access", '{"why":"$context.error.message"}', "live"
        )
        self.gateways.update([api])
        self.url = f"http://127.0.0.1:{api.port}/live"
        until(lambda: self.ask() == LET_IN, what="the API answers")

    def block(self, statement: dict[str, Any]) -> None:
        rule = {"Name": "rule", "Statement": statement, "Action": {"Block": {}}}
        acl = WebAcl("arn:aws:wafv2:a:b:regional/webacl/front/1", "123456789012:a1:live", (rule,), log_group=GROUP)
        self.firewall.acls = {"a1/live": replace(acl, source_name="APIGW", seen=16_384)}

    def ask(self, path: str = "/orders", size: int = 1) -> tuple[int, Any, str]:
        """Return the status and the answer, and why, as the access log says."""
        self.gateways.take_lines()
        request = urllib.request.Request(f"{self.url}{path}", b"x" * size)
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
                raise AssertionError(response.status)
        except urllib.error.HTTPError as error:
            with error:
                answer = json.loads(error.read())
            [line] = self.gateways.take_lines()
            return error.code, answer, json.loads(line[3])["why"]
        except urllib.error.URLError:
            return 0, None, ""


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    guarded = Guarded()
    yield guarded
    guarded.gateways.close()


def test_a_blocked_request_is_forbidden_before_its_key_is_looked_at(guarded: Guarded) -> None:
    guarded.block({"RateBasedStatement": {"Limit": 1, "EvaluationWindowSec": 60, "AggregateKeyType": "IP"}})

    assert [guarded.ask() for _ in range(3)] == [LET_IN, BLOCKED, BLOCKED]


def test_a_request_to_no_route_is_judged_too(guarded: Guarded) -> None:
    guarded.block({"NotStatement": {"Statement": path("/live/orders")}})

    assert guarded.ask("/nowhere") == BLOCKED
    assert guarded.ask() == LET_IN


def test_a_body_is_seen_up_to_sixteen_kilobytes(guarded: Guarded) -> None:
    guarded.block(larger_than(16_384))

    assert guarded.ask(size=16_384) == LET_IN
    assert guarded.ask(size=16_385) == BLOCKED
    guarded.block(larger_than(9000))
    assert guarded.ask(size=9000) == LET_IN
    assert guarded.ask(size=9001) == BLOCKED


def test_the_record_of_a_request_names_the_stage_and_the_path_as_it_was_sent(guarded: Guarded) -> None:
    guarded.firewall.taken()
    guarded.block(path("/live/orders"))
    guarded.ask()

    [record] = [json.loads(one.message) for one in guarded.firewall.taken()]
    assert (record["httpSourceName"], record["httpSourceId"]) == ("APIGW", "123456789012:a1:live")
    assert (record["action"], record["httpRequest"]["uri"]) == ("BLOCK", "/live/orders")

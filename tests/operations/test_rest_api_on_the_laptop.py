"""A REST API in front on the laptop: keys, plans and validation for a client, from `up` to `destroy`."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from support.laptop import until
from support.order_client import LaptopEnvironment, laptop_environment

pytestmark = pytest.mark.slow

TABLE = """
[api]
api_keys = true
validate_requests = true

[api.plan]
requests_per_second = 50
burst = 50
quota = {quota}
period = "day"

[api.routes."GET /orders"]
requests_per_second = 1
burst = 3
"""
ORDER = {"customer": 1, "currency": "AUD", "items": [{"sku": "tea", "quantity": 1, "unit_price": 100}]}


@pytest.fixture(scope="module")
def laptop() -> Iterator[LaptopEnvironment]:
    with laptop_environment() as environment:
        yield environment


@pytest.fixture(scope="module")
def api(laptop: LaptopEnvironment) -> str:
    """The URL of the API."""
    laptop.declare(TABLE.format(quota=1000))
    laptop("up", "--prune")
    return str(laptop("infra", "outputs", "--json").json["api_url"])


@pytest.fixture(scope="module")
def key(laptop: LaptopEnvironment, api: str) -> str:
    value = laptop("api", "keys", "create", "shop").out.strip()
    until(lambda: ask(f"{api}/users", key=value)[0] == 200, what="the key is known")
    return value


def ask(url: str, body: Any = None, key: str = "") -> tuple[int, Any]:
    headers = {"x-api-key": key} if key else {}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {**headers, "content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_a_plan_has_nothing_left_to_do_and_says_why_the_api_is_a_rest_api(laptop: LaptopEnvironment, api: str) -> None:
    plan = laptop("infra", "plan")

    assert plan.code == 0
    assert "[api] is a REST API, for keys of clients" in plan.err
    assert "[api] is a REST API" in laptop("env", "check", "local").err


def test_status_asks_by_the_api(laptop: LaptopEnvironment, api: str) -> None:
    status = laptop("status", "--json").json

    assert status["urls"]["url"] == api
    assert status["readiness"]["state"] == "ready"


def test_without_a_key_only_open_routes_answer(api: str, key: str) -> None:
    assert ask(f"{api}/version")[0] == 200
    for wrong in ("", "no-such-key"):
        assert ask(f"{api}/users", key=wrong) == (403, {"message": "Forbidden"})
    assert ask(f"{api}/users", key=key)[0] == 200


def test_an_order_is_validated_before_the_service_and_the_right_one_is_accepted(api: str, key: str) -> None:
    wrong = {**ORDER, "currency": "dollars"}
    assert ask(f"{api}/orders", wrong, key) == (400, {"message": "Invalid request body"})
    assert ask(f"{api}/orders", {**ORDER, "more": 1}, key)[0] == 400

    status, accepted = ask(f"{api}/orders", ORDER, key)

    assert status == 202
    until(lambda: ask(f"{api}{accepted['href']}", key=key)[1]["status"] == "processed", what="the order is processed")


def test_a_route_above_its_limit_is_refused(api: str, key: str) -> None:
    time.sleep(3)

    answers = [ask(f"{api}/orders", key=key) for _ in range(8)]

    assert [status for status, _ in answers[:3]] == [200, 200, 200]
    assert (429, {"message": "Too Many Requests"}) in answers


def test_a_used_up_quota_is_refused_until_the_plan_allows_more(laptop: LaptopEnvironment, api: str, key: str) -> None:
    laptop.declare(TABLE.format(quota=3))
    assert "apigateway-usage-plan/orderops-local-api updated" in laptop("up").err
    until(lambda: ask(f"{api}/users", key=key) == (429, {"message": "Limit Exceeded"}), what="the quota is used up")

    laptop.declare(TABLE.format(quota=5000))
    laptop("up")

    until(lambda: ask(f"{api}/users", key=key)[0] == 200, what="the quota is larger")


def test_a_changed_route_reaches_callers_by_the_same_up(laptop: LaptopEnvironment, api: str) -> None:
    laptop.declare(TABLE.format(quota=5000) + '\n[api.routes."GET /users"]\napi_key = false\n')
    laptop("up")

    until(lambda: ask(f"{api}/users")[0] == 200, what="the route is open")
    assert laptop("infra", "plan").code == 0
    laptop.declare(TABLE.format(quota=5000))
    laptop("up")
    until(lambda: ask(f"{api}/users")[0] == 403, what="the route needs a key again")


def test_each_request_is_in_the_access_log_and_no_key_is(laptop: LaptopEnvironment, api: str, key: str) -> None:
    ask(f"{api}/users", key="no-such-key")

    def found() -> list[dict[str, str]]:
        events = laptop.client("logs").filter_log_events(logGroupName="/orderops/local/api-access")["events"]
        assert key not in json.dumps(events)
        lines = [json.loads(event["message"]) for event in events]
        return [line for line in lines if (line["routeKey"], line["status"]) == ("GET /users", "403")]

    assert until(found, what="the line of a refused request")[-1]["error"] == "API key: Forbidden"


def test_the_api_and_its_keys_survive_a_restart(laptop: LaptopEnvironment, api: str, key: str) -> None:
    laptop("local", "stop")
    laptop("local", "start")

    until(lambda: _answers(f"{api}/users", key), what="the API answers again", timeout=60)


def _answers(url: str, key: str) -> bool:
    try:
        return ask(url, key=key)[0] == 200
    except (OSError, ValueError):
        # The load balancer has no healthy target yet, and says so without JSON.
        return False


def test_a_revoked_key_is_refused_and_the_api_is_taken_away_with_all_that_it_has(
    laptop: LaptopEnvironment, api: str, key: str
) -> None:
    laptop("api", "keys", "create", "other")
    laptop("api", "keys", "revoke", "shop", "--yes")
    until(lambda: ask(f"{api}/users", key=key)[0] == 403, what="the key is refused")

    laptop.declare("")
    laptop("up", "--prune")
    apis = laptop.client("apigateway")
    # A key that a client has is not lost by a change of the file, nor is the API that it opens.
    assert [key["name"] for key in apis.get_api_keys()["items"]] == ["other"]

    name = "orderops-local-api"
    laptop("down", "--yes", "--only", f"apigateway-usage-plan/{name}", "--confirm", name)
    laptop("up", "--prune")

    assert apis.get_rest_apis()["items"] == []
    assert apis.get_usage_plans()["items"] == []
    assert apis.get_api_keys()["items"] == []
    assert laptop("infra", "plan").code == 0
    public = laptop("infra", "outputs", "--json").json["load_balancer_url"]
    assert ask(f"{public}/version")[0] == 200

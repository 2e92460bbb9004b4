"""An API in front on the laptop: who gets through, how often, and how requests move to it and back."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from orderops.local.directories import DataDirectory
from support.laptop import until
from support.order_client import LaptopEnvironment, laptop_environment
from support.page_traffic import page_traffic
from support.token_issuer import TokenIssuer, token_issuer

pytestmark = pytest.mark.slow

REGION = "ap-southeast-2"
TABLE = """
[api]
type = "http"
balancer = "{balancer}"
authorization = "jwt"

[api.jwt]
issuer = "{issuer}"
audience = ["orders"]

[api.routes."GET /orders"]
scopes = ["orders/read"]

[api.routes."GET /"]
authorization = "iam"

[api.routes."GET /users"]
authorization = "none"
requests_per_second = 1
burst = 3
"""


@pytest.fixture(scope="module")
def issuer() -> Iterator[TokenIssuer]:
    with token_issuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def laptop() -> Iterator[LaptopEnvironment]:
    with laptop_environment() as environment:
        yield environment


@pytest.fixture(scope="module")
def api(laptop: LaptopEnvironment, issuer: TokenIssuer) -> str:
    """The URL of the API, which alone leads to the service."""
    text = file_of(laptop)
    for balancer, more in (("both", ()), ("internal", ("--prune",))):
        write(laptop, text + TABLE.format(balancer=balancer, issuer=issuer.url))
        laptop("up", *more)
    write(laptop, text + TABLE.format(balancer="internal", issuer=issuer.url))
    return str(laptop("infra", "outputs", "--json").json["api_url"])


def file_of(laptop: LaptopEnvironment) -> str:
    return (laptop.folder / "environments" / "local.toml").read_text()


def write(laptop: LaptopEnvironment, text: str) -> None:
    (laptop.folder / "environments" / "local.toml").write_text(text)


def ask(url: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data=body, headers=named, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_no_request_is_lost_while_clients_move_to_the_api_and_back(
    laptop: LaptopEnvironment, issuer: TokenIssuer
) -> None:
    text = file_of(laptop)
    public = laptop("infra", "outputs", "--json").json["load_balancer_url"]
    both = text + TABLE.format(balancer="both", issuer=issuer.url)
    with page_traffic(f"{public}/version") as by_balancer:
        write(laptop, both)
        laptop("up")
    api = laptop("infra", "outputs", "--json").json["api_url"]
    with page_traffic(f"{api}/version") as by_api:
        write(laptop, text + TABLE.format(balancer="internal", issuer=issuer.url))
        laptop("up", "--prune")
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(f"{public}/version", timeout=5)
        write(laptop, both)
        laptop("up")
    again = laptop("infra", "outputs", "--json").json["load_balancer_url"]
    with page_traffic(f"{again}/version") as back:
        write(laptop, text)
        laptop("up", "--prune")
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(f"{api}/version", timeout=5)

    assert [traffic.failed for traffic in (by_balancer, by_api, back)] == [[], [], []]
    assert all(traffic.answered > 20 for traffic in (by_balancer, by_api, back))
    assert laptop("infra", "plan").code == 0


def test_a_plan_has_nothing_left_to_do_and_status_asks_by_the_api(laptop: LaptopEnvironment, api: str) -> None:
    assert laptop("infra", "plan").code == 0
    status = laptop("status", "--json").json
    assert status["urls"]["url"] == api
    assert status["readiness"]["state"] == "ready"


def test_a_token_of_the_issuer_opens_its_routes(api: str, issuer: TokenIssuer) -> None:
    allowed = f"Bearer {issuer.token(scope='openid orders/read')}"

    status, document = ask(f"{api}/orders", Authorization=allowed)

    assert status == 200
    assert "orders" in document
    order = {"user_id": 1, "currency": "EUR", "items": [{"sku": "a", "quantity": 1, "unit_price_cents": 100}]}
    body = json.dumps(order).encode()
    status, accepted = ask(f"{api}/orders", "POST", body, Authorization=allowed, Content_Type="application/json")
    assert status in (202, 422), accepted
    assert ask(f"{api}/openapi.json")[0] == 200


def wrong_tokens(issuer: TokenIssuer) -> Mapping[str, tuple[str, int]]:
    scoped: dict[str, Any] = {"scope": "orders/read"}
    return {
        "none": ("", 401),
        "no token": ("Bearer abc", 401),
        "expired": (f"Bearer {issuer.token(exp=1, **scoped)}", 401),
        "without an end": (f"Bearer {issuer.token(exp=None, **scoped)}", 401),
        "not valid yet": (f"Bearer {issuer.token(nbf=9e9, **scoped)}", 401),
        "another audience": (f"Bearer {issuer.token(aud='reports', **scoped)}", 401),
        "another issuer": (f"Bearer {issuer.token(iss='https://example.com', **scoped)}", 401),
        "another key": (f"Bearer {issuer.token(key=generate_private_key(65537, 2048), **scoped)}", 401),
        "an unknown key": (f"Bearer {issuer.token(header={'kid': 'two'}, **scoped)}", 401),
        "another algorithm": (f"Bearer {issuer.token(header={'alg': 'none'}, **scoped)}", 401),
        "without the scope": (f"Bearer {issuer.token(scope='orders/write')}", 403),
    }


def test_every_other_token_is_refused(api: str, issuer: TokenIssuer) -> None:
    cases = wrong_tokens(issuer)

    answered = {name: ask(f"{api}/orders", Authorization=given)[0] for name, (given, _) in cases.items()}

    assert answered == {name: status for name, (_, status) in cases.items()}


def signed(laptop: LaptopEnvironment, url: str, service: str = "execute-api", secret: str = "") -> dict[str, Any]:
    """The headers of a request that is signed with the key of the laptop's operator."""
    key = DataDirectory(laptop.folder / "data").keep_key()
    request = AWSRequest("GET", url)
    SigV4Auth(Credentials(key.id, secret or key.secret), service, REGION).add_auth(request)
    return {name.replace("-", "_"): value for name, value in request.headers.items()}


def test_a_route_with_iam_takes_signatures_for_the_api_alone(laptop: LaptopEnvironment, api: str) -> None:
    url = f"{api}/"

    answered = {
        "none": ask(url)[0],
        "signed": ask(url, **signed(laptop, url))[0],
        "another secret": ask(url, **signed(laptop, url, secret="other"))[0],
        "another service": ask(url, **signed(laptop, url, service="sqs"))[0],
        "another path": ask(url, **signed(laptop, f"{api}/orders"))[0],
    }

    assert answered == {"none": 403, "signed": 200, "another secret": 403, "another service": 403, "another path": 403}


def test_an_unknown_route_is_not_found(api: str) -> None:
    assert ask(f"{api}/nothing") == (404, {"message": "Not Found"})
    assert ask(f"{api}/ready", "DELETE") == (404, {"message": "Not Found"})


def test_more_requests_than_the_limit_are_answered_with_429(api: str) -> None:
    answered = [ask(f"{api}/users")[0] for _ in range(12)]

    # Three at once, less what an earlier test has used, and one more for each second that passes meanwhile.
    assert 1 <= answered.count(200) <= 8
    assert answered.count(429) == 12 - answered.count(200)


def test_every_request_is_a_line_in_the_access_log(laptop: LaptopEnvironment, api: str) -> None:
    ask(f"{api}/orders")
    ask(f"{api}/nothing")
    key = DataDirectory(laptop.folder / "data").keep_key()
    url = json.loads((laptop.folder / "data" / "daemon.json").read_text())["url"]
    session = boto3.Session(key.id, key.secret, region_name=REGION)
    logs = session.client("logs", endpoint_url=url)

    def lines() -> list[dict[str, str]]:
        events = logs.filter_log_events(logGroupName="/orderops/local/api-access")["events"]
        return [json.loads(event["message"]) for event in events]

    def found() -> list[dict[str, str]]:
        refused = [line for line in lines() if (line["routeKey"], line["status"]) == ("GET /orders", "401")]
        # Other tests have sent tokens of several faults.
        return [line for line in refused if line["authorizer.error"] == "this is no token"]

    refused = until(found, what="the line of a refused request")[-1]
    assert refused["ip"] == "127.0.0.1"
    assert any((line["routeKey"], line["status"]) == ("-", "404") for line in lines())

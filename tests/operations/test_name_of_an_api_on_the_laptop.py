"""The name of an API on the laptop: it answers over TLS, leads to an HTTP or a REST API, and is taken away."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from orderops.infra.https import https_connection
from support.laptop import until
from support.order_client import LaptopEnvironment, laptop_environment

pytestmark = pytest.mark.slow

NAME = "orders.localhost"
DOMAIN = f'\n[domain]\nname = "{NAME}"\nzone = "localhost"\nport = {{port}}\n'
HTTP = '\n[api]\ntype = "http"\n'
REST = '\n[api]\ntype = "rest"\n'


@pytest.fixture(scope="module")
def laptop() -> Iterator[LaptopEnvironment]:
    with laptop_environment() as environment, pytest.MonkeyPatch.context() as patch:
        # Where the authority of this laptop is, for the client of this test.
        patch.setenv("ORDEROPS_LOCAL_DIRECTORY", str(environment.folder / "data"))
        yield environment


def up(laptop: LaptopEnvironment, table: str) -> str:
    """Bring the environment to what a table declares, and return the URL for callers."""
    laptop.declare(DOMAIN.format(port=8443) + table)
    laptop("up", "--prune")
    assert laptop("infra", "plan").code == 0
    return str(laptop("infra", "outputs", "--json").json["api_url"])


def answer(url: str, path: str) -> tuple[int, str]:
    port = int(url.rpartition(":")[2])
    connection = https_connection(NAME, port, 5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def answers(url: str) -> bool:
    try:
        return answer(url, "/version")[0] == 200
    except OSError:
        return False


def test_a_name_answers_over_tls_and_changes_from_an_http_to_a_rest_api(laptop: LaptopEnvironment) -> None:
    url = up(laptop, HTTP)
    assert url.startswith(f"https://{NAME}:")
    until(lambda: answers(url), what="the name answers by the HTTP API")
    status = laptop("status", "--json").json
    assert (status["urls"]["url"], status["readiness"]["state"]) == (url, "ready")

    assert up(laptop, REST) == url

    until(lambda: answers(url), what="the name answers by the REST API")
    # A REST API says so where it has no route.
    assert json.loads(answer(url, "/nowhere")[1]) == {"message": "Missing Authentication Token"}
    assert laptop.client("apigatewayv2").get_apis()["Items"] == []


def test_a_name_survives_a_restart_and_is_taken_away(laptop: LaptopEnvironment) -> None:
    url = up(laptop, REST)
    laptop("local", "stop")
    laptop("local", "start")
    until(lambda: answers(url), what="the name answers again", timeout=60)

    laptop.declare("")
    laptop("up", "--prune")

    assert not answers(url)
    assert laptop.client("apigatewayv2").get_domain_names()["Items"] == []
    assert laptop("infra", "plan").code == 0

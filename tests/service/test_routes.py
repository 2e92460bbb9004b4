from __future__ import annotations

import re

import httpx
import pytest

from support.service_process import Running, World

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
DEMO = ["chiara@example.com", "bruno@example.com", "ada@example.com"]


@pytest.fixture
def service(standing: tuple[World, Running]) -> Running:
    return standing[1]


@pytest.fixture
def its_world(standing: tuple[World, Running]) -> World:
    return standing[0]


def test_health_reports_a_running_process(service: Running) -> None:
    response = service.get("/health")

    assert (response.status_code, response.json()) == (200, {"status": "alive"})


def test_ready_checks_both_dependencies(service: Running) -> None:
    response = service.get("/ready")

    assert response.status_code == 200
    document = response.json()
    assert len(document.pop("database")) == 12
    assert document == {
        "ready": True,
        "checks": {"database": {"ok": True, "detail": "answers"}, "queue": {"ok": True, "detail": "answers"}},
        # This database has no ledger.
        "migrations": None,
        # It belongs to the user that made it, with its tables.
        "schema": {"handed_over": False, "others": 0},
    }


def test_version_reports_the_version_and_the_start_time(service: Running) -> None:
    response = service.get("/version").json()

    assert (response["service"], response["version"], response["environment"]) == (
        "order-processor",
        "7-abc1234",
        "test",
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", response["started_at"])
    assert re.fullmatch(r"3\.\d+\.\d+", response["python"])
    # A process without an image has neither.
    assert (response["release"], response["commit"]) == ("unknown", "unknown")


def test_users_as_json_has_depth_and_users(service: Running) -> None:
    response = service.get("/users")

    content = response.json()
    assert response.status_code == 200
    assert content["queue"].keys() == {"visible", "in_flight", "delayed", "dead_letters"}
    assert [user["email"] for user in content["users"]] == DEMO
    assert content["users"][0].keys() == {"id", "name", "email", "created_at"}
    assert content["errors"] == []


def test_the_depth_is_counted_at_every_load(service: Running, its_world: World) -> None:
    before = service.get("/users").json()["queue"]
    for _ in range(3):
        its_world.sqs.send_message(QueueUrl=its_world.queue_url, MessageBody="an order")
    its_world.sqs.receive_message(QueueUrl=its_world.queue_url)
    its_world.sqs.send_message(QueueUrl=its_world.queue_url, MessageBody="for later", DelaySeconds=600)
    its_world.sqs.send_message(QueueUrl=its_world.dead_letter_url, MessageBody="a broken one")

    after = service.get("/users").json()["queue"]

    assert {name: after[name] - before[name] for name in after} == {
        "visible": 2,
        "in_flight": 1,
        "delayed": 1,
        "dead_letters": 1,
    }


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (BROWSER, "text/html"),
        ("text/html", "text/html"),
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("", "application/json"),
        ("application/json, text/html;q=0.5", "application/json"),
        ("text/html;q=0", "application/json"),
        ("text/html;q=much", "application/json"),
    ],
)
@pytest.mark.parametrize("path", ["/", "/users", "/nowhere"])
def test_a_browser_receives_a_page_and_a_client_json(service: Running, path: str, accept: str, kind: str) -> None:
    response = service.get(path, accept=accept)

    assert response.headers["content-type"].split(";")[0].replace("problem+", "") == kind
    assert response.headers["vary"] == "Accept"
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/users", "/nowhere"])
def test_a_page_loads_nothing_from_other_hosts(service: Running, path: str) -> None:
    response = service.page(path)

    assert not re.findall(r"(?:src|href)=[\"'](?!/(?!/)|data:)", response.text)
    assert "url(" not in response.text
    assert "default-src 'none'" in response.headers["content-security-policy"]


def test_a_page_shows_environment_version_and_state(service: Running) -> None:
    page = service.page("/").text

    assert ">test</span>" in page
    assert "7-abc1234" in page
    assert "Ready for orders" in page


def test_user_text_is_escaped(service: Running, its_world: World) -> None:
    hostile = "</script><script>alert(1)</script>"
    with its_world.session() as session:
        session.execute("INSERT INTO users (name, email) VALUES (%s, 'hostile@example.com')", (hostile,))
        try:
            page = service.page("/users").text
        finally:
            session.execute("DELETE FROM users WHERE email = 'hostile@example.com'")

    assert "alert(1)" in page
    assert hostile not in page
    assert "<script>alert" not in page


def test_a_long_list_of_users_is_shortened_with_a_note(service: Running, its_world: World) -> None:
    with its_world.session() as session:
        session.execute(
            "INSERT INTO users (name, email) SELECT 'many', n || '@many.example.com' FROM generate_series(1, 120) AS n"
        )
        try:
            content = service.get("/users").json()
            page = service.page("/users").text
        finally:
            session.execute("DELETE FROM users WHERE name = 'many'")

    assert len(content["users"]) == 100
    assert content["more_users"]
    assert "The newest 100 are shown; there are more." in page


def test_an_unknown_path_yields_a_small_404(service: Running) -> None:
    response = service.get("/nowhere")

    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "there is no such path",
        "instance": "/nowhere",
        "request_id": response.headers["x-request-id"],
    }


def test_a_wrong_method_yields_the_allowed_ones(service: Running) -> None:
    response = httpx.post(f"{service.url}/users")

    assert response.status_code == 405
    assert "GET" in response.headers["allow"]

from __future__ import annotations

import json
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from support.service_process import Running, Start, World, until


def database_check(service: Running) -> str:
    return str(service.get("/ready").json()["checks"]["database"]["detail"])


def logged(service: Running, reason: str) -> bool:
    return any(reason in line["message"] for line in service.lines())


def ready(service: Running) -> bool:
    return service.get("/ready").status_code == 200


def test_without_the_database_the_page_shows_the_rest_and_recovers(world: World, start: Start) -> None:
    service = start()
    assert len(service.get("/users").json()["users"]) == 3
    world.sqs.send_message(QueueUrl=world.queue_url, MessageBody="an order")

    world.server.stop()

    response = service.get("/users")
    assert response.status_code == 503
    assert response.json()["users"] is None
    assert response.json()["queue"]["visible"] == 1
    assert [error["part"] for error in response.json()["errors"]] == ["database"]
    page = service.page("/users")
    assert page.status_code == 200
    assert "The database is unavailable" in page.text
    assert "Users cannot be shown until the database is available again." in page.text
    # A session that the server was still ending is only lost.
    until(lambda: database_check(service) == "no server listens at its address", "the service to say why")
    assert logged(service, f"no server listens at 127.0.0.1:{world.server.port}")
    assert service.get("/ready").status_code == 503
    assert service.get("/health").status_code == 200
    assert "Not ready for orders" in service.page("/").text

    world.server.start()

    until(lambda: ready(service), "the service to reconnect")
    assert len(service.get("/users").json()["users"]) == 3
    assert any("the database is available again" in line["message"] for line in service.lines())


def test_the_service_starts_without_the_database(world: World, start: Start) -> None:
    world.server.stop()
    service = start()
    assert service.get("/ready").status_code == 503

    world.server.start()

    until(lambda: ready(service), "the database")


@pytest.mark.slow
def test_a_database_that_hangs_does_not_keep_the_answer_of_ready(world: World, start: Start) -> None:
    service = start()
    assert ready(service)
    postmaster = world.server.process()
    assert postmaster
    stopped = [postmaster, *postmaster.children(recursive=True)]
    try:
        for process in stopped:
            process.suspend()

        response = service.get("/ready")
    finally:
        for process in stopped:
            process.resume()

    assert response.status_code == 503
    assert response.json()["checks"]["database"] == {"ok": False, "detail": "no answer within 2 s"}
    assert response.json()["database"] is None


def test_without_the_queue_the_page_shows_the_users(world: World, start: Start) -> None:
    service = start()
    world.sqs.delete_queue(QueueUrl=world.queue_url)

    response = service.get("/users")

    assert response.status_code == 200
    assert response.json()["queue"] is None
    assert len(response.json()["users"]) == 3
    assert response.json()["errors"][0]["detail"] == "the queue does not exist"
    assert logged(service, f"queue {world.name} does not exist")
    page = service.page("/users").text
    assert "The queue cannot be read" in page
    assert "ada@example.com" in page
    assert service.get("/ready").json()["checks"]["queue"] == {
        "ok": False,
        "detail": "the queue does not exist",
    }


def test_without_a_dead_letter_queue_its_depth_is_unknown(world: World, start: Start) -> None:
    service = start(DEAD_LETTER_QUEUE_URL=None)

    assert service.get("/users").json()["queue"]["dead_letters"] is None
    assert service.page("/users").status_code == 200


@pytest.mark.slow
def test_a_rotated_password_needs_no_restart(world: World, start: Start) -> None:
    service = start()
    assert ready(service)

    world.set_password_in_database("a-new-password")
    world.end_sessions()

    until(lambda: not ready(service), "the old password to be rejected")
    assert database_check(service) == "the server rejects the login"
    assert logged(service, f"the server at 127.0.0.1:{world.server.port} rejects the password of {world.name}")

    world.set_password_in_secret("a-new-password")

    until(lambda: ready(service), "the new password to be read")
    assert len(service.get("/users").json()["users"]) == 3


def test_a_password_rotated_in_both_places_causes_no_error(world: World, start: Start) -> None:
    service = start()
    assert ready(service)

    # Between the two, a login would be refused, and it makes new connections in the background.
    service.process.send_signal(signal.SIGSTOP)
    world.set_password_in_database("a-new-password")
    world.set_password_in_secret("a-new-password")
    world.end_sessions()
    service.process.send_signal(signal.SIGCONT)

    assert service.get("/users").status_code == 200


@pytest.mark.slow
def test_the_service_follows_the_database_to_another_address(world: World, start: Start) -> None:
    service = start()
    assert ready(service)
    with world.session() as session:
        session.execute("DELETE FROM users WHERE email <> 'ada@example.com'")
    promoted = f"{world.name}_promoted"
    world.copy_database(promoted)
    try:
        world.set_database_secret(dbname=promoted)
        world.refuse_logins()

        assert [user["email"] for user in service.get("/users").json()["users"]] == ["ada@example.com"]
        assert world.sessions(promoted) > 0
    finally:
        world.server.drop_database(promoted)


def test_a_missing_migration_is_named(world: World, start: Start) -> None:
    service = start()
    with world.session() as session:
        session.execute("DROP TABLE users CASCADE")

    response = service.get("/users")

    assert response.status_code == 503
    assert response.json()["errors"] == [
        {
            "part": "database",
            "title": "The database cannot be read",
            "detail": 'relation "users" does not exist: a migration is missing',
        }
    ]
    assert ready(service)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("not json", "secret {name} does not hold a JSON object"),
        ('["a", "list"]', "secret {name} does not hold a JSON object"),
        ('{"host": "h"}', "secret {name} must hold host, port, dbname, sslmode and credentials: port is missing"),
    ],
)
def test_an_invalid_secret_is_named_and_not_shown(world: World, start: Start, text: str, reason: str) -> None:
    world.secrets.put_secret_value(SecretId=world.name, SecretString=text)

    service = start()

    assert database_check(service) == "its address or its login cannot be read from Secrets Manager"
    assert logged(service, reason.format(name=world.name))


def test_a_missing_secret_is_named(start: Start) -> None:
    service = start(DATABASE_SECRET="nowhere")

    assert database_check(service) == "its address or its login cannot be read from Secrets Manager"
    assert logged(service, "secret nowhere cannot be read: ResourceNotFoundException")


def test_missing_tls_support_is_named(world: World, start: Start) -> None:
    world.set_database_secret(sslmode="require")

    service = start()

    assert database_check(service) == "the server offers no TLS, which sslmode requires"
    assert logged(service, f"the server at 127.0.0.1:{world.server.port} offers no TLS, which sslmode requires")


def test_verify_full_without_a_bundle_names_the_variable(world: World, start: Start) -> None:
    world.set_database_secret(sslmode="verify-full")

    service = start()

    assert database_check(service) == "sslmode verify-full needs a CA bundle: set DATABASE_CA to the path of one"


@pytest.mark.slow
def test_a_server_that_never_answers_blocks_requests_for_seconds_only(world: World, start: Start) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        world.set_database_secret(port=silent.getsockname()[1])
        service = start()
        until(lambda: database_check(service) == "no answer within 2 s", "the reason to be known")
        until(lambda: logged(service, "no answer from 127.0.0.1"), "the log to say where")

        assert service.get("/health").status_code == 200
        assert service.get("/users").json()["errors"][0]["detail"] == "no answer within 2 s"

        world.set_database_secret()
        until(lambda: ready(service), "the right address to be read")


@pytest.mark.slow
def test_connections_are_limited_and_other_requests_still_served(world: World, start: Start) -> None:
    service = start(DATABASE_POOL_SIZE="2")
    with world.session() as session, ThreadPoolExecutor(8) as threads, session.transaction():
        session.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        answers = [threads.submit(service.get, "/users") for _ in range(8)]
        until(lambda: world.waiting_for_a_lock() == 2, "two requests to wait for the table")

        assert service.get("/health").status_code == 200
        until(lambda: any(response.done() for response in answers), "the third request to be rejected")
        assert world.sessions(world.name, world.name) == 2

    details = {json.dumps(response.result().json()["errors"]) for response in answers}
    assert any("all 2 connections of this task were in use" in detail for detail in details)

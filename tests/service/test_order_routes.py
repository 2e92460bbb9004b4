from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orderops.service.order_reader import OrderReader
from support.order_app import ORDER, OrderApp
from support.order_database import OrderDatabase, placed

UUID_PATTERN = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@pytest.fixture
def app(orders: OrderDatabase) -> OrderApp:
    return OrderApp(orders, {"DEMONSTRATION": "on"})


def test_an_accepted_order_is_in_the_queue_with_the_id_of_the_answer(app: OrderApp) -> None:
    response = app.place(key="key-1", **{"X-Request-Id": "request-7"})

    assert response.status_code == 202
    identifier = response.json()["id"]
    assert re.fullmatch(UUID_PATTERN, identifier)
    assert response.json() == {"id": identifier, "status": "queued", "href": f"/orders/{identifier}"}
    assert response.headers["location"] == f"/orders/{identifier}"
    (message,) = app.messages()
    assert (message["id"], message["key"], message["request_id"]) == (identifier, "key-1", "request-7")
    assert message["order"] == ORDER
    assert app.metrics.take()["Accepted"] == 1


def test_an_order_is_followed_from_queued_to_processed(app: OrderApp) -> None:
    path = app.place().json()["href"]
    queued = app.get(path).json()

    app.deliver()

    processed = app.get(path).json()
    assert queued.keys() == {"id", "href", "status", "placed_at"}
    assert queued["status"] == "queued"
    assert processed["status"] == "processed"
    assert (processed["customer"], processed["currency"], processed["total"]) == (1, "AUD", 2500)
    assert processed["items"] == ORDER["items"]
    assert (processed["id"], processed["placed_at"]) == (queued["id"], queued["placed_at"])
    assert processed["processed_at"] >= processed["placed_at"]


def test_a_failed_order_says_why(app: OrderApp) -> None:
    path = app.place({**ORDER, "customer": 404}).json()["href"]

    app.deliver()

    state = app.get(path).json()
    assert (state["status"], state["reason"]) == ("failed", "customer 404 does not exist")


@pytest.mark.parametrize("name", [str(uuid.UUID(int=7)), "7", "{00000000-0000-0000-0000-000000000007}", "a%00b"])
def test_an_unknown_order_is_a_404(app: OrderApp, name: str) -> None:
    response = app.get(f"/orders/{name}")

    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


def test_the_same_key_and_order_get_the_same_id_at_every_time(app: OrderApp) -> None:
    first = app.place(key="key-1").json()["id"]
    while_queued = app.place(key="key-1")
    app.deliver()
    afterwards = app.place(key="key-1")

    assert {first} == {while_queued.json()["id"], afterwards.json()["id"]}
    assert (while_queued.status_code, afterwards.status_code) == (202, 202)
    assert afterwards.json()["status"] == "processed"
    assert app.messages() == []
    assert app.database.rows("SELECT count(*) FROM orders") == [(1,)]


def test_orders_without_a_key_are_different_orders(app: OrderApp) -> None:
    assert app.place().json()["id"] != app.place().json()["id"]


@pytest.mark.parametrize("written", [False, True])
def test_another_order_under_a_used_key_is_refused(app: OrderApp, written: bool) -> None:
    app.place(key="key-1")
    if written:
        app.deliver()

    response = app.place({**ORDER, "customer": 2}, key="key-1")

    assert response.status_code == 409
    assert response.json()["detail"] == "this Idempotency-Key was used for another order"
    assert len(app.messages()) == (0 if written else 1)


def test_the_key_of_a_failed_order_may_be_used_for_the_corrected_one(app: OrderApp) -> None:
    app.place({**ORDER, "customer": 404}, key="key-1")
    app.deliver()

    corrected = app.place(key="key-1")

    assert corrected.status_code == 202
    app.deliver()
    assert app.get(corrected.json()["href"]).json()["status"] == "processed"


def test_a_failed_order_that_is_sent_again_is_queued_again(app: OrderApp) -> None:
    path = app.place({**ORDER, "customer": 404}, key="key-1").json()["href"]
    app.deliver()

    app.place({**ORDER, "customer": 404}, key="key-1")

    assert app.get(path).json()["status"] == "queued"
    app.deliver()
    assert app.get(path).json()["status"] == "failed"


def test_a_failure_recorded_while_the_request_ends_stays(app: OrderApp) -> None:
    order = placed("key-1", customer=404)
    app.queue.send_message("", order.message())
    reader = OrderReader(app.database.store)
    checked_at = reader.key(order).checked_at
    app.deliver()

    reader.queued(order, checked_at)

    assert app.get(f"/orders/{order.id}").json()["status"] == "failed"


def test_an_order_written_while_the_request_ends_is_processed(app: OrderApp) -> None:
    order = placed("key-1")
    app.queue.send_message("", order.message())
    reader = OrderReader(app.database.store)
    known = reader.key(order)
    app.deliver()

    reader.queued(order, known.checked_at)

    assert app.get(f"/orders/{order.id}").json()["status"] == "processed"
    assert app.database.rows("SELECT count(*) FROM accepted_orders") == [(0,)]


def test_an_order_queued_for_longer_than_a_queue_keeps_messages_has_failed(app: OrderApp) -> None:
    order = placed("key-1", at=datetime.now(UTC) - timedelta(days=15))
    OrderReader(app.database.store).queued(order, None)

    state = app.get(f"/orders/{order.id}").json()

    assert (state["status"], state["reason"]) == ("failed", "not written within 14 days")


@pytest.mark.parametrize("key", ["", "with space", "k" * 201, "tab\t"])
def test_a_key_that_cannot_be_stored_is_refused(app: OrderApp, key: str) -> None:
    response = app.send("POST", "/orders", json=ORDER, headers={"Idempotency-Key": key})

    assert response.status_code == 400
    assert app.messages() == []


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{}", "application/json", 422),
        (b"no json", "application/json", 422),
        (b'{"\\ud800": 1}', "application/json", 422),
        (b"[" * 5000, "application/json", 422),
        (b"{}", "text/plain", 415),
        (b"{}", "", 415),
        (b" " * 40_000, "application/json", 413),
    ],
)
def test_a_request_without_a_valid_order_is_refused(app: OrderApp, content: bytes, kind: str, status: int) -> None:
    response = app.send("POST", "/orders", content=content, headers={"Content-Type": kind})

    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == status
    assert app.messages() == []


def test_a_refused_order_names_every_wrong_field(app: OrderApp) -> None:
    response = app.place({"customer": "Ada", "currency": "AUD", "items": [{"sku": "tea", "quantity": 0}]})

    assert response.json()["problems"].keys() == {"customer", "items.0.quantity", "items.0.unit_price"}


def test_orders_are_accepted_while_the_database_is_away(app: OrderApp) -> None:
    app.database.server.stop()

    responses = [app.place(key=f"key-{number}") for number in range(3)]

    assert [response.status_code for response in responses] == [202, 202, 202]
    assert app.place(key="key-0").json()["id"] == responses[0].json()["id"]
    unknown = app.get(responses[0].json()["href"])
    assert (unknown.status_code, unknown.headers["retry-after"]) == (503, "2")
    app.database.server.start()
    app.deliver()
    assert [app.get(response.json()["href"]).json()["status"] for response in responses] == ["processed"] * 3


def test_of_two_orders_under_one_key_accepted_without_the_database_one_fails(app: OrderApp) -> None:
    app.database.server.stop()
    paths = [app.place({**ORDER, "customer": customer}, key="key-1").json()["href"] for customer in (1, 2)]
    app.database.server.start()

    app.deliver()

    states = [app.get(path).json() for path in paths]
    assert sorted(state["status"] for state in states) == ["failed", "processed"]
    assert {state.get("reason") for state in states} == {None, "the idempotency key belongs to another order"}


def test_without_the_queue_no_order_is_accepted(app: OrderApp) -> None:
    app.queue.refused["send_message"] = "AccessDenied"

    response = app.place(key="key-1")

    assert (response.status_code, response.headers["retry-after"]) == (503, "2")
    assert response.json()["detail"] == "try again later: access is denied: sqs:SendMessage"
    assert app.database.rows("SELECT count(*) FROM accepted_orders") == [(0,)]


def all_pages(app: OrderApp, path: str) -> list[list[dict[str, Any]]]:
    pages = []
    while path:
        content = app.get(path).json()
        pages.append(content["orders"])
        path = content["next"]
    return pages


def test_pages_show_every_order_once_newest_first(app: OrderApp) -> None:
    moment = datetime(2026, 11, 28, 10, 0, tzinfo=UTC)
    # Several of the same time, so that the id has to decide.
    batch = [placed(f"key-{number}", at=moment + timedelta(seconds=number // 3)) for number in range(11)]
    failed = placed("bad", customer=404, at=moment + timedelta(microseconds=1))
    queued = placed("waiting", at=moment + timedelta(seconds=99))
    for order in (*batch, failed):
        app.queue.send_message("", order.message())
    app.deliver()
    OrderReader(app.database.store).queued(queued, None)

    pages = all_pages(app, "/orders?limit=4")

    assert [len(page) for page in pages] == [4, 4, 4, 1]
    listed = [order for page in pages for order in page]
    newest_first = sorted([*batch, failed, queued], key=lambda order: (order.placed_at, order.id), reverse=True)
    assert [order["id"] for order in listed] == [order.id for order in newest_first]
    states = {order["id"]: order["status"] for order in listed}
    assert (states[queued.id], states[failed.id]) == ("queued", "failed")


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=ten", "limit=٣", "before=", "before=yesterday"])
def test_a_page_that_cannot_exist_is_refused(app: OrderApp, query: str) -> None:
    assert app.get(f"/orders?{query}").status_code == 400


def test_a_page_of_the_list_needs_no_sorting(app: OrderApp) -> None:
    with app.database.session() as session:
        session.execute(
            "INSERT INTO orders (id, user_id, currency, total_cents, placed_at) "
            "SELECT gen_random_uuid(), 1, 'AUD', 1, now() - n * interval '1 s' FROM generate_series(1, 3000) AS n"
        )
        session.execute("ANALYZE orders")
        plan = session.execute(
            "EXPLAIN SELECT id FROM orders WHERE (placed_at, id) < ('infinity', gen_random_uuid()) "
            "ORDER BY placed_at DESC, id DESC LIMIT 50"
        ).fetchall()

    assert "orders_newest" in str(plan)
    assert "Sort" not in str(plan)


def test_the_pages_of_orders_show_state_time_and_link(app: OrderApp) -> None:
    good, bad = app.place().json()["id"], app.place({**ORDER, "customer": 404}).json()["id"]
    app.deliver()
    waiting = app.place().json()["id"]

    page = app.page("/orders")

    for identifier, state in ((good, "Processed"), (bad, "Failed"), (waiting, "Queued")):
        assert f'href="/orders/{identifier}"' in page
        assert f">{state}</span>" in page
    assert "customer 404 does not exist" in page
    assert "2500" in app.page(f"/orders/{good}")
    assert "customer 404 does not exist" in app.page(f"/orders/{bad}")
    assert "waits in the queue" in app.page(f"/orders/{waiting}")


def test_without_the_demonstration_there_are_no_pages_of_people(orders: OrderDatabase) -> None:
    app = OrderApp(orders)
    path = app.place().json()["href"]

    assert app.get("/users").status_code == 404
    assert app.get("/orders", accept="text/html").headers["content-type"] == "application/json"
    assert app.get(path, accept="text/html").headers["content-type"] == "application/json"
    assert "/users" not in app.page("/")
    assert "/users" not in app.get("/openapi.json").text


def test_version_names_the_release_and_the_commit_of_the_image(orders: OrderDatabase) -> None:
    app = OrderApp(orders, {"ORDEROPS_RELEASE": "1.4.0", "ORDEROPS_COMMIT": "abc1234"})

    told = app.get("/version").json()

    # The version says which image runs, and the other two what the image was built from.
    assert (told["version"], told["release"], told["commit"]) == ("7-abc1234", "1.4.0", "abc1234")


def test_a_worker_takes_no_orders(orders: OrderDatabase) -> None:
    app = OrderApp(orders, {"ORDEROPS_ROLE": "worker", "DEMONSTRATION": "on"})

    assert app.place().status_code == 404
    assert app.get("/health").status_code == 200
    assert app.get("/version").json()["role"] == "worker"
    assert 'href="/orders"' not in app.page("/")


def test_the_footer_shows_the_release(app: OrderApp) -> None:
    assert "release <b>7-abc1234</b>" in app.page("/orders")


def test_no_page_says_live_beside_a_database_that_is_away(app: OrderApp) -> None:
    app.database.server.stop()

    for path in ("/", "/users"):
        page = app.page(path)
        assert 'class="fresh stale"' in page
        assert ">Live" not in page
    assert app.get("/orders", accept="text/html").status_code == 503


def test_a_crowd_behind_a_slow_database_is_refused_at_once_and_told_when_to_return(
    app: OrderApp, orders: OrderDatabase
) -> None:
    with orders.session() as blocker, blocker.transaction():
        blocker.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        answers = app.crowd("/orders", clients=60)

    served = [answer for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code == 503]
    assert len(refused) > 30
    assert len(served) + len(refused) == 60
    assert {answer.headers["retry-after"] for answer in refused} == {"2"}
    assert app.get("/orders").status_code == 200

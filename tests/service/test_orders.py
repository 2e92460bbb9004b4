from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from orderops.service.orders import InvalidOrder, NewerMessage, PlacedOrder, read_message, read_order
from support.order_database import placed

MOMENT = datetime(2026, 11, 28, 10, 0, tzinfo=UTC)
TEA = {"sku": "tea", "quantity": 2, "unit_price": 1250}
ORDER: dict[str, Any] = {"customer": 1, "currency": "AUD", "items": [TEA]}


def body(**changed: Any) -> bytes:
    return json.dumps({**ORDER, **changed}).encode()


def message(**changed: Any) -> str:
    return json.dumps({**json.loads(placed("key-1", at=MOMENT).message()), **changed})


def test_the_total_is_the_sum_of_all_items() -> None:
    order = read_order(body(items=[TEA, {"sku": "cup", "quantity": 3, "unit_price": 99}]))

    assert order.total == 2 * 1250 + 3 * 99


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"customer": 0}, "customer"),
        ({"customer": 2**63}, "customer"),
        ({"customer": "1"}, "customer"),
        ({"customer": True}, "customer"),
        ({"customer": None}, "customer"),
        ({"currency": "aud"}, "currency"),
        ({"currency": "AUD\n"}, "currency"),
        ({"items": []}, "items"),
        ({"items": [TEA] * 101}, "items"),
        ({"items": [{**TEA, "quantity": 0}]}, "items.0.quantity"),
        ({"items": [{**TEA, "quantity": 10_001}]}, "items.0.quantity"),
        ({"items": [TEA, {**TEA, "unit_price": -1}]}, "items.1.unit_price"),
        ({"items": [{**TEA, "unit_price": 12.5}]}, "items.0.unit_price"),
        ({"items": [{**TEA, "sku": ""}]}, "items.0.sku"),
        ({"items": [{**TEA, "sku": "x" * 65}]}, "items.0.sku"),
        ({"items": [{**TEA, "sku": "tea\u0000"}]}, "items.0.sku"),
        ({"items": [{**TEA, "colour": "green"}]}, "items.0.colour"),
        ({"discount": 5}, "discount"),
    ],
)
def test_an_order_that_breaks_a_rule_is_refused_with_its_field(changed: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidOrder) as refusal:
        read_order(body(**changed))

    assert refusal.value.problems.keys() == {field}


@pytest.mark.parametrize("text", [b"", b"null", b"[]", b"{", b'"\xff"', b"[" * 5000, b'{"customer": NaN}'])
def test_what_is_no_json_object_is_no_order(text: bytes) -> None:
    with pytest.raises(InvalidOrder):
        read_order(text)


def test_the_largest_order_fits_into_the_database_and_a_message() -> None:
    item = {"sku": "x" * 64, "quantity": 10_000, "unit_price": 1_000_000_000}
    order = read_order(body(customer=2**63 - 1, items=[item] * 100))

    assert order.total < 2**63
    # SQS takes 256 KiB in every region (SQS quotas).
    assert len(PlacedOrder("k" * 200, order, MOMENT, "r" * 128).message()) < 256 * 1024


def test_the_same_key_and_order_have_the_same_id() -> None:
    spaced = b'{ "items" : [{"unit_price":1250,"quantity":2,"sku":"tea"}], "currency":"AUD","customer":1}'
    first = PlacedOrder("key-1", read_order(body()), MOMENT)
    again = PlacedOrder("key-1", read_order(spaced), datetime.now(UTC))

    assert first.id == again.id


def test_the_id_of_an_order_never_changes_with_a_release() -> None:
    # Written down once: orders in a queue have to keep their ids while releases change, of pydantic, too.
    assert placed("key-1", at=MOMENT).id == "555e6b8f-994c-5760-a4d3-ba8ae8201aff"


def test_a_number_that_json_calls_an_integer_is_one() -> None:
    order = read_order(body(items=[{"sku": "tea", "quantity": 2.0, "unit_price": 1.25e3}]))

    assert PlacedOrder("key-1", order, MOMENT).id == placed("key-1").id


def test_another_key_or_another_order_has_another_id() -> None:
    ids = {placed("key-1").id, placed("key-2").id, placed("key-1", customer=2).id, placed("key-1", skus=["cup"]).id}

    assert len(ids) == 4


def test_a_message_is_read_as_it_was_written() -> None:
    order = placed("key-1", at=MOMENT)

    assert read_message(order.message()) == order
    assert order.message().isascii()


def test_a_field_that_a_later_release_adds_is_ignored() -> None:
    assert read_message(message(priority="high")) == placed("key-1", at=MOMENT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "[]",
        "[" * 100_000,
        "{}",
        message(version=0),
        message(version="2"),
        message(key=""),
        message(key="k" * 201),
        message(key="with space"),
        message(placed_at="2026-11-28T10:00:00"),
        message(order={**ORDER, "items": []}),
        message(id="00000000-0000-0000-0000-000000000000"),
        message(order={**ORDER, "customer": 2}),
    ],
)
def test_an_invalid_message_is_refused(text: str) -> None:
    with pytest.raises(InvalidOrder):
        read_message(text)


def test_a_message_of_a_later_version_is_not_invalid() -> None:
    with pytest.raises(NewerMessage, match="version 2"):
        read_message(message(version=2, order="in another form"))

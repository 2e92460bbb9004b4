"""The whole of it on a laptop, with a real PostgreSQL and a running service."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from orderops.restore.timestamps import utc
from support.command_line import Orderops
from support.order_client import Ground, Writer, exactly, ground, ids

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place() -> Iterator[Ground]:
    with ground() as there:
        yield there


@pytest.fixture
def orderops(place: Ground, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Orderops:
    """The command line in this process, on that laptop."""
    for name, value in place.environ.items():
        if name.startswith("ORDEROPS_"):
            monkeypatch.setenv(name, value)
    return Orderops(capfd)


def test_the_past_is_exactly_what_was_committed_by_then_and_can_take_over(orderops: Orderops, place: Ground) -> None:
    moment, writer = written(place)

    copy = orderops("restore", "--at", utc(moment)).out.strip()
    there = ids(place.dsn(copy))
    assert exactly(writer.orders, moment, there) == ""
    assert len(ids(place.dsn())) == len(writer.orders) > len(there) > 0

    told = orderops("restore", "compare", copy, "--json").json
    orders = next(table for table in told["tables"] if table["table"].endswith("orders"))
    assert orders["rows"] == {"live": len(writer.orders), "restored": len(there)}
    assert orders["only_in_live"] == len(writer.orders) - len(there)
    assert (orders["only_in_restored"], orders["changed"]) == (0, 0)

    promoted = orderops("restore", "promote")
    assert f"the service answers from {copy}: 3 users, 10 of 10 answers" in promoted.err
    assert "is up to date" in orderops("up").err
    assert ids(place.dsn()) == there

    turned = orderops("restore", "back")
    assert "the service answers from orderops-local-database: 3 users, 10 of 10 answers" in turned.err
    assert ids(place.dsn()).keys() == {order.id for order in writer.orders}

    orderops("restore", "discard", copy, "--confirm", copy)
    assert [each["name"] for each in orderops("restore", "list", "--json").json] == ["orderops-local-database"]


def test_a_drill_proves_it_and_leaves_nothing_but_what_it_measured(orderops: Orderops, place: Ground) -> None:
    told = orderops("restore", "drill", "--json").json

    assert (told["source"], told["findings"]) == ("orderops-local-database", [])
    assert told["rows"] >= 3
    assert told["recovery_seconds"] > 0
    assert told["lost_seconds"] >= 0
    assert orderops("status", "--json").json["proven_restore"] == told
    assert [each["role"] for each in orderops("restore", "list", "--json").json] == ["primary"]


def written(place: Ground) -> tuple[datetime, Writer]:
    """Two seconds of orders, and the whole second in their midst, once it can be restored to."""
    writer = Writer(place.dsn())
    writer.start()
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    wait_until(moment + timedelta(seconds=1))
    writer.end()
    return moment, writer


def wait_until(moment: datetime) -> None:
    deadline = time.monotonic() + 10
    while datetime.now(UTC) < moment:
        assert time.monotonic() < deadline, "the clock stands still"
        time.sleep(0.02)

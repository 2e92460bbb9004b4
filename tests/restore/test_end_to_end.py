"""Restore, compare, promote and switch back on a laptop, with a real PostgreSQL and a running service."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from orderops.restore.timestamps import utc
from support.command_line import Orderops
from support.order_client import LaptopEnvironment, OrderWriter, laptop_environment, mismatch, order_numbers

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def laptop() -> Iterator[LaptopEnvironment]:
    with laptop_environment() as environment:
        yield environment


@pytest.fixture
def orderops(laptop: LaptopEnvironment, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Orderops:
    """The command line in this process, in the laptop environment."""
    for name, value in laptop.environ.items():
        if name.startswith("ORDEROPS_"):
            monkeypatch.setenv(name, value)
    return Orderops(capfd)


def test_a_restored_instance_has_exactly_the_committed_orders_and_can_take_over(
    orderops: Orderops, laptop: LaptopEnvironment
) -> None:
    moment, writer = written(laptop)

    name = orderops("restore", "--at", utc(moment)).out.strip()
    restored = order_numbers(laptop.dsn(name))
    assert mismatch(writer.orders, moment, restored) == ""
    assert len(order_numbers(laptop.dsn())) == len(writer.orders) > len(restored) > 0

    comparison = orderops("restore", "compare", name, "--json").json
    orders = next(table for table in comparison["tables"] if table["table"].rpartition(".")[2] == "orders")
    assert orders["rows"] == {"live": len(writer.orders), "restored": len(restored)}
    assert orders["only_in_live"] == len(writer.orders) - len(restored)
    assert (orders["only_in_restored"], orders["changed"]) == (0, 0)

    promoted = orderops("restore", "promote")
    assert f"the service answers from {name}: 10 of 10 requests answered, 3 users" in promoted.err
    assert "is up to date" in orderops("up").err
    assert order_numbers(laptop.dsn()) == restored

    back = orderops("restore", "back")
    assert "the service answers from orderops-local-database: 10 of 10 requests answered, 3 users" in back.err
    assert order_numbers(laptop.dsn()).keys() == {order.id for order in writer.orders}

    orderops("restore", "discard", name, "--confirm", name)
    assert [instance["name"] for instance in orderops("restore", "list", "--json").json] == ["orderops-local-database"]


def test_a_drill_reports_its_measurements_and_deletes_its_instance(
    orderops: Orderops, laptop: LaptopEnvironment
) -> None:
    drill = orderops("restore", "drill", "--json").json

    assert (drill["source"], drill["findings"]) == ("orderops-local-database", [])
    assert drill["rows"] >= 3
    assert drill["recovery_seconds"] > 0
    assert drill["lost_seconds"] >= 0
    assert orderops("status", "--json").json["proven_restore"] == drill
    assert "drill" not in [instance["role"] for instance in orderops("restore", "list", "--json").json]


def written(laptop: LaptopEnvironment) -> tuple[datetime, OrderWriter]:
    """Write orders for some seconds; returns a whole second between two of them, once that is restorable."""
    writer = OrderWriter(laptop.dsn())
    writer.start()
    assert writer.wait_for_commit(seconds=20), "no order was committed"
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    wait_until(moment + timedelta(seconds=1))
    writer.stop()
    return moment, writer


def wait_until(moment: datetime) -> None:
    deadline = time.monotonic() + 10
    while datetime.now(UTC) < moment:
        assert time.monotonic() < deadline, "the clock does not advance"
        time.sleep(0.02)

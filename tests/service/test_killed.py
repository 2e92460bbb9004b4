"""kill -9 of a consumer at every moment of its work: nothing is lost, and nothing is written twice."""

from __future__ import annotations

from pathlib import Path
from signal import SIGKILL

import pytest
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from support.fork_server import forked
from support.killed_consumer import MOMENTS, consume
from support.order_database import placed
from support.service_process import REGION, WAIT_SECONDS, World


def live(world: World, moment: str, nth: int, log: Path) -> int | None:
    """Let a consumer live until its end, and return its exit code."""
    process = forked(consume, (moment, nth), world.environment(), log)
    process.join(WAIT_SECONDS)
    return process.exitcode


def make_visible(world: World) -> None:
    """Let the visibility timeout of every message pass, which the emulator keeps in this process."""
    queue = get_backend("sqs")[DEFAULT_ACCOUNT_ID][REGION].queues[world.name]
    for message in queue._messages:
        message.change_visibility(0)


def test_a_consumer_killed_where_it_matters_most_loses_no_order_and_writes_none_twice(
    world: World, tmp_path: Path
) -> None:
    kill_at(
        [("after receive_message", 1), ("before write", 2), ("after write", 2), ("after send_message", 1)],
        world,
        tmp_path,
    )


@pytest.mark.slow
def test_a_consumer_killed_at_any_moment_loses_no_order_and_writes_none_twice(world: World, tmp_path: Path) -> None:
    kill_at(MOMENTS, world, tmp_path)


def kill_at(moments: list[tuple[str, int]], world: World, tmp_path: Path) -> None:
    good, bad = [], []
    for number, (moment, nth) in enumerate(moments):
        batch = [placed(f"{number}-{position}", skus=("tea", "cup")) for position in range(3)]
        stranger = placed(f"{number}-bad", customer=404)
        for order in (batch[0], stranger, *batch[1:]):
            world.sqs.send_message(QueueUrl=world.queue_url, MessageBody=order.message())
        good += batch
        bad.append(stranger)

        assert live(world, moment, nth, tmp_path / "log") == -SIGKILL, f"{moment} was not reached"

        make_visible(world)
    assert live(world, "", 0, tmp_path / "log") == 0, (tmp_path / "log").read_text()

    with world.session() as session:
        orders = session.execute("SELECT id::text, total_cents FROM orders").fetchall()
        items = session.execute("SELECT order_id::text, array_agg(line ORDER BY line) FROM order_items GROUP BY 1")
        assert sorted(orders) == sorted((order.id, 5000) for order in good)
        assert dict(items.fetchall()) == {order.id: [1, 2] for order in good}
        failed = session.execute("SELECT id::text, status FROM accepted_orders").fetchall()
        assert sorted(failed) == sorted((order.id, "failed") for order in bad)
    dead = get_backend("sqs")[DEFAULT_ACCOUNT_ID][REGION].queues[f"{world.name}-dlq"]
    assert {message.body for message in dead._messages} == {order.message() for order in bad}
    assert get_backend("sqs")[DEFAULT_ACCOUNT_ID][REGION].queues[world.name]._messages == []

"""What `service deploy` says of a release that fails, with AWS emulated."""

from __future__ import annotations

from support.command_line import Orderops
from support.recorded_history import Dev
from support.untrusted_role import untrusted_during_updates

pytest_plugins = ["support.recorded_history_fixtures"]

IMAGE = "registry.example.com/orders:2"


def test_a_release_that_places_no_task_is_explained_by_the_events_of_the_service(dev: Dev, orderops: Orderops) -> None:
    with untrusted_during_updates(dev.proxy, "orderops-dev-order-processor-execution"):
        said = orderops("service", "deploy", "--image", IMAGE, "--yes")

    assert said.code == 6
    assert "order-processor stuck" in said.err
    assert "x a role cannot be assumed" in said.err
    assert "failed to launch a task with (error ECS was unable to assume the role" in said.err

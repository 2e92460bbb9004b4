"""What a command finds out before it changes anything: a dry run's exit code, and whether an image can be built."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.command_line import Orderops
from support.proof import FIRST
from support.recorded_history import Dev

# End to end.
pytestmark = pytest.mark.slow

pytest_plugins = ["support.recorded_history_fixtures"]

QUEUE = "orderops-dev-order-processor-queue"


def test_a_dry_run_without_anything_to_do_ends_with_0(dev: Dev, orderops: Orderops) -> None:
    assert orderops("infra", "apply", "--dry-run").code == 0


def test_a_dry_run_with_something_to_do_ends_with_3_and_changes_nothing(dev: Dev, orderops: Orderops) -> None:
    sqs = dev.workspace.aws.sqs
    sqs.set_queue_attributes(
        QueueUrl=sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"], Attributes={"VisibilityTimeout": "5"}
    )
    dev.proxy.forget()

    applied = orderops("infra", "apply", "--dry-run")
    up = orderops("up", "--dry-run", "--image", FIRST)
    deployed = orderops("service", "deploy", "--dry-run", "--image", FIRST)

    assert (applied.code, up.code, deployed.code) == (3, 3, 3), applied.err + up.err + deployed.err
    assert "VisibilityTimeout: 5 -> 30" in up.out
    assert dev.changes() == []


@pytest.mark.parametrize("command", [("up",), ("service", "deploy")])
def test_without_an_image_builder_nothing_is_created(
    dev: Dev, orderops: Orderops, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("ORDEROPS_BUILDER", raising=False)
    dev.proxy.forget()

    refused = orderops(*command, "--yes")

    assert refused.code == 1
    assert "no image builder works on this machine" in refused.err
    assert "--image URI" in refused.err
    assert dev.proxy.changing == []


def test_an_image_that_exists_needs_no_builder(
    dev: Dev, orderops: Orderops, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert orderops("service", "deploy", "--yes", "--image", FIRST).code == 0

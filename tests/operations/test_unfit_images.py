"""`service deploy` and `rollback` of images that do not fit the tasks or the database, with AWS emulated."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from orderops.remote.follow import FollowTiming, follow
from support.command_line import Orderops
from support.recorded_history import Dev
from support.small_registry import SmallRegistry, small_registry

pytest_plugins = ["support.recorded_history_fixtures"]

NAME = "orderops-dev-order-processor"
URI = f"123456789012.dkr.ecr.ap-southeast-2.amazonaws.com/{NAME}"
OTHER = "registry.example.com/orders@sha256:" + "1" * 64


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallRegistry]:
    with small_registry() as served:
        monkeypatch.setenv("ORDEROPS_REGISTRY", served.host)
        monkeypatch.setenv("ORDEROPS_BAKE", "0")
        yield served


@pytest.fixture
def put(registry: SmallRegistry) -> Callable[..., str]:
    """Store an image of one platform with these labels; returns its URI."""

    def stored(architecture: str = "amd64", **labels: str) -> str:
        config = {"os": "linux", "architecture": architecture, "config": {"Labels": labels}}
        described = registry.put_blob(NAME, json.dumps(config).encode())
        return f"{URI}@{registry.put_manifest(NAME, {'config': described, 'layers': []})}"

    return stored


def image_of(dev: Dev) -> Any:
    ecs = dev.workspace.aws.ecs
    service = ecs.describe_services(cluster="orderops-dev-cluster", services=[NAME])["services"][0]
    definition = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
    return definition["containerDefinitions"][0]["image"]


def test_an_image_for_arm_is_refused_before_the_rollout(dev: Dev, orderops: Orderops, put: Callable[..., str]) -> None:
    image, before = put("arm64"), image_of(dev)
    dev.proxy.forget()

    refused = orderops("service", "deploy", "--image", image, "--yes")

    assert refused.code == 1
    assert f"{image} is for linux/arm64 only, and tasks run on linux/amd64" in refused.err
    assert (dev.proxy.changing, image_of(dev)) == ([], before)


def test_an_image_is_released_where_the_schema_cannot_be_read_and_a_line_says_so(
    dev: Dev, orderops: Orderops, put: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The emulated tasks run no command, so the job that would read the ledger fails."""
    monkeypatch.setattr("orderops.remote.job.follow", partial(follow, timing=FollowTiming(log_lag=0.1)))
    image = put(**{"com.orderops.schema": "3-4"})

    made = orderops("service", "deploy", "--image", image, "--yes")

    assert made.code == 0, made.err
    assert "reading the schema of the database by a task; to release without: --ignore-schema" in made.err
    [line] = [line for line in made.err.splitlines() if "cannot be read" in line]
    assert line.startswith("images are not compared with the database, whose schema cannot be read: ")
    assert image_of(dev) == image


def test_an_ignored_schema_stands_in_the_record_of_the_run(
    dev: Dev, orderops: Orderops, put: Callable[..., str]
) -> None:
    image = put(**{"com.orderops.schema": "3-4"})
    assert orderops("service", "deploy", "--image", image, "--yes", "--ignore-schema").code == 0
    assert orderops("service", "deploy", "--image", OTHER, "--yes").code == 0

    back = orderops("service", "rollback", "--to", image, "--yes", "--ignore-schema")

    assert back.code == 0, back.err
    assert "reading the schema" not in back.err
    run = orderops("history", "--json", "--last", "1").json[0]
    assert run["command"] == f"service rollback order-processor --to {image} --ignore-schema --env dev"
    [note] = [step for step in run["steps"] if step["action"] == "schema not compared"]
    assert (note["address"], note["image"]) == (f"ecs-service/{NAME}", image)
    assert "1 schema not compared" in orderops("history", "--last", "1").out

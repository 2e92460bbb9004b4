"""Replacement of tasks that were started before a given time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from orderops.engine.resource import Effect
from orderops.engine.step import Action
from orderops.resources.ecs_redeployment import EcsRedeployment
from support.contract import Up
from support.declared_service import CLUSTER, SERVICE


@pytest.fixture(autouse=True)
def _tasks_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_ECS_SERVICE_RUNNING", "5")


@pytest.fixture
def deployed(session: boto3.Session) -> dict[str, datetime]:
    """When the deployment that runs was begun; each forced one is begun now."""
    at = {"at": datetime.now(UTC) - timedelta(hours=1)}

    def asked(params: dict[str, Any], **_: Any) -> None:
        assert set(params) == {"cluster", "service", "forceNewDeployment"}
        at["at"] = datetime.now(UTC)

    def told(parsed: dict[str, Any], **_: Any) -> None:
        for raw in parsed.get("services", ()):
            raw["deployments"][0]["createdAt"] = at["at"]

    session.events.register("before-parameter-build.ecs.UpdateService", asked)
    session.events.register("after-call.ecs.DescribeServices", told)
    return at


def test_older_tasks_are_replaced_once(up: Up, deployed: dict[str, datetime]) -> None:
    up(SERVICE)
    since = datetime.now(UTC) - timedelta(minutes=1)
    renewal = EcsRedeployment(SERVICE.name, CLUSTER.name, since)

    step = up(renewal)[SERVICE.address]

    assert (step.changes, step.effect) == ({"Renewed": (False, True)}, Effect.RESTARTS)
    assert deployed["at"] > since
    assert up(renewal)[SERVICE.address].action is Action.NO_OP
    assert up(SERVICE)[SERVICE.address].action is Action.NO_OP


def test_younger_tasks_are_not_replaced(up: Up, deployed: dict[str, datetime]) -> None:
    up(SERVICE)

    step = up(EcsRedeployment(SERVICE.name, CLUSTER.name, deployed["at"]))[SERVICE.address]

    assert step.action is Action.NO_OP

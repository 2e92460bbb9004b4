"""What a plan asks of AWS."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.config.environment import load_environment
from orderops.infra.plan import make_plan
from orderops.infra.workspace import Workspace
from support.dev_accounts import REGION
from support.faulty_proxy import Proxy
from support.repository import ENVIRONMENTS

pytest_plugins = ["support.dev_accounts"]


@pytest.fixture
def calls(proxy: Proxy, dev_released: bytes) -> Counter[str]:
    """The calls of a plan of an unchanged environment, each with its parameters."""
    proxy.bring_back(dev_released)
    session = boto3.Session("testing", "testing", region_name=REGION)
    sent: Counter[str] = Counter()

    def count(params: Any, model: Any, **_: Any) -> None:
        sent[f"{model.service_model.service_name}:{model.name} {json.dumps(params, sort_keys=True)}"] += 1

    session.events.register("before-parameter-build", count)
    workspace = Workspace(load_environment("dev", ENVIRONMENTS), Aws(REGION, endpoint_url=proxy.url, session=session))
    assert not make_plan(workspace, running=True).differs
    return sent


def test_a_plan_asks_nothing_twice(calls: Counter[str]) -> None:
    assert {call: times for call, times in calls.items() if times > 1} == {}


def test_a_plan_of_one_service_takes_at_most_so_many_calls(calls: Counter[str]) -> None:
    """Each call is time that an operator waits for, and a share of AWS's rate."""
    assert calls.total() <= 48

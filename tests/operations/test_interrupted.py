"""Ctrl+C ends a run in order, and an unchanged run changes nothing."""

from __future__ import annotations

import pytest

from orderops.aws.client import Aws
from orderops.config.environment import load_environment
from orderops.engine.step import Action
from orderops.infra.apply import Apply
from orderops.infra.workspace import Workspace
from orderops.local.emulator.protocol import ApiError
from support.command_line import Orderops
from support.faulty_proxy import Proxy, from_change
from support.killable_process import Victim
from support.repository import ENVIRONMENTS

pytest_plugins = ["support.dev_accounts"]

APPLY = ("infra", "apply", "--env", "dev", "--environments", str(ENVIRONMENTS), "--yes")
IMAGE = "123456789012.dkr.ecr.ap-southeast-2.amazonaws.com/orderops-dev-order-processor:1"


@pytest.mark.slow
def test_ctrl_c_shows_the_remaining_steps_and_a_re_run_completes_them(
    proxy: Proxy, capsys: pytest.CaptureFixture[str]
) -> None:
    with proxy.held():
        victim = Victim(*APPLY)
        proxy.rule = from_change(30, None, then=victim.interrupt)

    assert victim.ended() == 130, victim.said
    assert "error: interrupted; not done: " in victim.said
    assert "hint: re-run this command to continue" in victim.said
    assert "Traceback" not in victim.said
    proxy.settle()
    proxy.forget()
    orderops = Orderops(capsys)
    again = orderops(*APPLY)
    assert again.code == 0, again.err
    proxy.forget()
    assert "is up to date" in orderops(*APPLY).err
    assert proxy.changing == []


def test_ctrl_c_before_any_change_prints_one_line(proxy: Proxy) -> None:
    with proxy.held():
        victim = Victim(*APPLY)
        proxy.rule = lambda request: victim.interrupt() if request.service == "sts" else None

    assert victim.ended() == 130, victim.said
    assert victim.said.splitlines()[0].startswith("error: interrupted")
    assert "Traceback" not in victim.said
    assert proxy.changing == []


@pytest.mark.slow
def test_an_unchanged_release_makes_no_changing_call(proxy: Proxy, dev_released: bytes) -> None:
    proxy.bring_back(dev_released)
    workspace = Workspace(load_environment("dev", ENVIRONMENTS), Aws("ap-southeast-2", endpoint_url=proxy.url))

    again = Apply(workspace, {"order-processor": IMAGE})

    assert {step.action for step in [*again.infra(), *again.release()]} == {Action.NO_OP}
    assert proxy.changing == []
    assert len(proxy.requests) < 80


def test_a_waiting_plan_shows_its_reason(proxy: Proxy) -> None:
    planning = Victim(*APPLY)
    aborted = ApiError("OperationAborted", "someone else is at it", 409)
    proxy.rule = lambda request: aborted if request.service == "monitoring" else None

    assert planning.says("AWS to be less busy (OperationAborted)")

    planning.interrupt()
    assert planning.ended() == 130
    assert "Traceback" not in planning.said
    assert proxy.changing == []

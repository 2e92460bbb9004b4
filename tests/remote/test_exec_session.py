"""A command in a task: the session that ECS starts is handed to the plugin, with this terminal."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.errors import OrderopsError
from orderops.remote.exec_session import run_in_task
from orderops.remote.tunnel import TunnelTiming

OK = SimpleNamespace(status_code=200)
QUICK = TunnelTiming(connect=0.05, pause=0.01)
TASK: dict[str, Any] = {
    "taskArn": "arn:aws:ecs:ap-southeast-2:123456789012:task/c/3f2a11",
    "lastStatus": "RUNNING",
    "enableExecuteCommand": True,
    "containers": [{"name": "shop", "lastStatus": "RUNNING", "runtimeId": "3f2a11-1"}],
}
SESSION = {"sessionId": "ecs-1", "streamUrl": "wss://example.com/1", "tokenValue": "a token"}
PLUGIN = """#!{python}
import json, os, sys
from pathlib import Path
if sys.argv[1:] == ["--version"]:
    sys.exit(print("1.2.650.0"))
called = {{"arguments": sys.argv[1:], "session": os.environ.get(sys.argv[1])}}
(Path(__file__).parent / "called").write_text(repr(called))
sys.exit(7)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folder with a plugin that records how it was called, and ends with 7."""
    program = tmp_path / "session-manager-plugin"
    program.write_text(PLUGIN.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    yield tmp_path


def answer(session: boto3.Session, tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Let ECS answer with these tasks; return the requests for a command, which it fills."""
    asked: list[dict[str, Any]] = []
    answers: dict[str, Any] = {
        "ListTasks": {"taskArns": [task["taskArn"] for task in tasks]},
        "DescribeTasks": {"tasks": tasks},
        "ExecuteCommand": {"session": SESSION},
    }
    for operation, document in answers.items():
        session.events.register(f"before-call.ecs.{operation}", lambda document=document, **_: (OK, document))
    session.events.register("provide-client-params.ecs.ExecuteCommand", lambda params, **_: asked.append(params))
    return asked


def test_the_command_runs_in_the_newest_task_and_its_token_is_in_no_argument(
    session: boto3.Session, aws: Aws, folder: Path
) -> None:
    older = {**TASK, "taskArn": f"{TASK['taskArn'][:-6]}0000", "startedAt": "2026-11-01"}
    asked = answer(session, [older, {**TASK, "startedAt": "2026-11-02"}])

    code = run_in_task(aws, "c", "shop", "/bin/sh")

    called = eval((folder / "called").read_text())
    assert code == 7
    assert asked[0] == {
        "cluster": "c",
        "task": TASK["taskArn"],
        "container": "shop",
        "command": "/bin/sh",
        "interactive": True,
    }
    assert called["arguments"][1:3] == ["ap-southeast-2", "StartSession"]
    assert called["arguments"][4] == '{"Target": "ecs:c_3f2a11_3f2a11-1"}'
    assert "a token" not in str(called["arguments"])
    assert "a token" in called["session"]


def test_a_task_is_chosen_by_how_its_id_begins(session: boto3.Session, aws: Aws) -> None:
    other = {**TASK, "taskArn": "arn:aws:ecs:ap-southeast-2:123456789012:task/c/77aa", "startedAt": "2026-11-09"}
    asked = answer(session, [TASK, other])

    run_in_task(aws, "c", "shop", "id", task="3f2a")

    assert asked[0]["task"] == TASK["taskArn"]


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([], "no task of shop is running"),
        ([{**TASK, "enableExecuteCommand": False}], "accepts commands: they were started without ExecuteCommand"),
    ],
)
def test_without_a_task_that_accepts_commands_it_is_refused(
    session: boto3.Session, aws: Aws, tasks: list[dict[str, Any]], message: str
) -> None:
    answer(session, tasks)

    with pytest.raises(OrderopsError, match=message):
        run_in_task(aws, "c", "shop", "id")


def test_an_agent_that_never_connects_is_given_up(session: boto3.Session, aws: Aws) -> None:
    answer(session, [TASK])
    refused = {"Error": {"Code": "TargetNotConnectedException", "Message": "not connected"}}
    session.events.register_first(
        "before-call.ecs.ExecuteCommand", lambda **_: (SimpleNamespace(status_code=400), refused)
    )

    with pytest.raises(OrderopsError, match="did not connect within"):
        run_in_task(aws, "c", "shop", "id", timing=QUICK)


def test_without_the_plugin_it_is_refused_before_anything_is_asked(
    session: boto3.Session, aws: Aws, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answer(session, [TASK])
    monkeypatch.setenv("PATH", str(folder / "nowhere"))

    with pytest.raises(OrderopsError, match="needs the session-manager-plugin") as refused:
        run_in_task(aws, "c", "shop", "id")

    assert "install it: https://docs.aws.amazon.com" in refused.value.hint
    assert asked == []

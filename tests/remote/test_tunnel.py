"""A tunnel to a real database: its certificate is verified, and nothing is left running."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.database.connection import Login, connect
from orderops.errors import OrderopsError
from orderops.local.emulator.protocol import ApiError, Response, json_answer
from orderops.local.rds.postgres import PostgresServer
from orderops.remote import tunnel
from orderops.remote.tunnel import TunnelTiming, port_forwarding, target_of
from support.faulty_proxy import Proxy, SeenRequest
from support.session_plugin import Plugin, plugin
from support.tls_proxy import Authority, tls_front

pytest_plugins = ["support.postgres_fixtures"]

ENDPOINT = "orders.c1a2b3.ap-southeast-2.rds.amazonaws.com"
SESSION = {"SessionId": "orders-1", "TokenValue": "a token", "StreamUrl": "wss://example.com/1"}
TARGET = "ecs:cluster_task_runtime"
UNHURRIED = TunnelTiming()
CONTAINER = {"name": "app", "lastStatus": "RUNNING", "runtimeId": "runtime"}
TASK = {
    "taskArn": "arn:aws:ecs:ap-southeast-2:123456789012:task/cluster/task",
    "lastStatus": "RUNNING",
    "enableExecuteCommand": True,
    "containers": [CONTAINER],
}


@pytest.fixture(autouse=True)
def _path() -> Iterator[None]:
    before = os.environ["PATH"]
    yield
    os.environ["PATH"] = before


@pytest.fixture
def aws(proxy: Proxy) -> Aws:
    return Aws("ap-southeast-2")


class Sessions:
    """SSM's sessions; refuses to start the first `refusals` of them."""

    def __init__(self, refusals: int = 0) -> None:
        self.open: list[str] = []
        self.refusals = refusals

    def __call__(self, request: SeenRequest) -> Response | ApiError | None:
        if request.action == "StartSession":
            self.refusals -= 1
            if self.refusals >= 0:
                return ApiError("TargetNotConnected", "is not connected")
            self.open.append(SESSION["SessionId"])
            return json_answer(SESSION)
        if request.action == "TerminateSession":
            self.open.clear()
            return json_answer({"SessionId": SESSION["SessionId"]})
        return None


@pytest.fixture
def sessions(proxy: Proxy) -> Sessions:
    sessions = Sessions()
    proxy.rule = sessions
    return sessions


@pytest.fixture
def to(postgres: PostgresServer) -> Login:
    return Login(ENDPOINT, 5432, "postgres", "disable", postgres.administrator, postgres.password)


def through(aws: Aws, program: Plugin, to: Login, timing: TunnelTiming = UNHURRIED) -> Any:
    return port_forwarding(aws, str(program.folder / "session-manager-plugin"), TARGET, to, timing)


def test_the_certificate_must_name_the_database_not_the_tunnel(
    aws: Aws, sessions: Sessions, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "ca")
    monkeypatch.setenv("ORDEROPS_RDS_CA_BUNDLE", str(authority.bundle))
    to = Login(ENDPOINT, 5432, "postgres", "verify-full", postgres.administrator, postgres.password)

    with tls_front(postgres.port, authority.certificate(ENDPOINT)) as front:
        program = plugin(tmp_path / "bin", front.port)
        with through(aws, program, to) as login, connect(login) as first, connect(login) as second:
            assert first.execute("select 1").fetchall() == second.execute("select 1").fetchall()
    with tls_front(postgres.port, authority.certificate("elsewhere.rds.amazonaws.com")) as front:
        program = plugin(tmp_path / "bin", front.port)
        with pytest.raises(OrderopsError, match="is not trusted"), through(aws, program, to) as login, connect(login):
            pass


def test_session_and_plugin_end_with_the_tunnel(
    aws: Aws, sessions: Sessions, to: Login, postgres: PostgresServer, tmp_path: Path
) -> None:
    program = plugin(tmp_path / "bin", postgres.port)

    with pytest.raises(KeyboardInterrupt), through(aws, program, to) as login, connect(login):
        assert program.is_running
        assert sessions.open
        raise KeyboardInterrupt

    assert not program.is_running
    assert sessions.open == []


def test_a_plugin_that_ignores_the_signal_is_killed(
    aws: Aws, sessions: Sessions, to: Login, postgres: PostgresServer, tmp_path: Path
) -> None:
    program = plugin(tmp_path / "bin", postgres.port, ignores_sigterm=True)

    with through(aws, program, to, TunnelTiming(end=0.2)):
        pass

    assert not program.is_running


def test_the_plugin_receives_the_session_without_a_token_in_its_arguments(
    aws: Aws, sessions: Sessions, to: Login, postgres: PostgresServer, tmp_path: Path
) -> None:
    program = plugin(tmp_path / "bin", postgres.port)

    with through(aws, program, to) as login:
        assert login.by
        local = str(login.by[1])

    called = program.called
    assert called["session"] == SESSION
    assert called["request"] == {
        "Target": TARGET,
        "DocumentName": "AWS-StartPortForwardingSessionToRemoteHost",
        "Parameters": {"host": [ENDPOINT], "portNumber": ["5432"], "localPortNumber": [local]},
    }
    assert called["arguments"][1:3] == ["ap-southeast-2", "StartSession"]
    assert SESSION["TokenValue"] not in " ".join(called["arguments"])


def test_an_old_plugin_receives_the_session_as_an_argument(
    aws: Aws, sessions: Sessions, to: Login, postgres: PostgresServer, tmp_path: Path
) -> None:
    program = plugin(tmp_path / "bin", postgres.port, version="1.2.463.0")

    with through(aws, program, to):
        assert program.called["session"] == SESSION


def test_the_port_of_a_silent_plugin_is_tried(
    aws: Aws, sessions: Sessions, to: Login, postgres: PostgresServer, tmp_path: Path
) -> None:
    program = plugin(tmp_path / "bin", postgres.port, silent=True)

    with through(aws, program, to, TunnelTiming(silent=0.0)) as login, connect(login) as connection:
        assert connection.execute("select 1").fetchall()


def test_an_agent_that_has_not_connected_yet_is_waited_for(
    aws: Aws, sessions: Sessions, to: Login, postgres: PostgresServer, tmp_path: Path
) -> None:
    sessions.refusals = 3

    with through(aws, plugin(tmp_path / "bin", postgres.port), to, TunnelTiming(pause=0.01)):
        assert sessions.open


def test_an_agent_that_never_connects_is_an_error(aws: Aws, sessions: Sessions, to: Login, tmp_path: Path) -> None:
    sessions.refusals = 1000
    quick = TunnelTiming(connect=0.05, pause=0.01)

    with (
        pytest.raises(OrderopsError, match="did not connect") as refused,
        through(aws, plugin(tmp_path, 1), to, quick),
    ):
        pass

    assert "ssmmessages" in refused.value.hint


def test_a_plugin_that_ends_is_an_error_with_its_last_line(
    aws: Aws, sessions: Sessions, to: Login, tmp_path: Path
) -> None:
    program = plugin(tmp_path / "bin", 1, error="Cannot perform start session: EOF")

    with pytest.raises(OrderopsError, match="Cannot perform start session: EOF"), through(aws, program, to):
        pass

    assert sessions.open == []


def run_tasks(proxy: Proxy, *tasks: dict[str, Any]) -> None:
    """Let ECS list these tasks."""
    responses: dict[str, dict[str, Any]] = {
        "ListTasks": {"taskArns": [task["taskArn"] for task in tasks]},
        "DescribeTasks": {"tasks": tasks},
    }
    proxy.rule = lambda request: json_answer(responses[request.action]) if request.action in responses else None


def target(aws: Aws) -> str:
    return target_of(aws, environment="dev", cluster="cluster", service="orders")


def test_a_tunnel_uses_the_newest_task_that_accepts_sessions(aws: Aws, proxy: Proxy) -> None:
    closed = {**TASK, "taskArn": f"{TASK['taskArn']}2", "enableExecuteCommand": False, "startedAt": 3}
    newer = {**TASK, "taskArn": f"{TASK['taskArn']}3", "startedAt": 2}
    run_tasks(proxy, {**TASK, "startedAt": 1}, closed, newer)

    assert target(aws) == "ecs:cluster_task3_runtime"


@pytest.mark.parametrize(
    ("tasks", "message", "hint"),
    [
        ([], "no task of orders is running", "orderops status"),
        ([{**TASK, "lastStatus": "PENDING"}], "no task of orders is running", "orderops status"),
        ([{**TASK, "enableExecuteCommand": False}], "none of the 1 tasks", "orderops up --env dev"),
    ],
    ids=["no task", "a task that is starting", "a task without ExecuteCommand"],
)
def test_a_tunnel_without_a_task_that_accepts_sessions_is_an_error(
    aws: Aws, proxy: Proxy, tasks: list[dict[str, Any]], message: str, hint: str
) -> None:
    run_tasks(proxy, *tasks)

    with pytest.raises(OrderopsError, match=message) as refused:
        target(aws)

    assert hint in refused.value.hint
    assert 'access = "task"' in refused.value.hint


def test_a_tunnel_without_a_cluster_is_an_error(aws: Aws) -> None:
    with pytest.raises(OrderopsError, match="no task of orders is running"):
        target(aws)


def test_a_missing_plugin_is_an_error_with_the_page_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(OrderopsError, match="session-manager-plugin") as refused:
        tunnel.installed_plugin("a tunnel needs", f"; {tunnel.ALTERNATIVE}")

    assert "install it: https://docs.aws.amazon.com/" in refused.value.hint

"""A tunnel leads to a real database that trusts nothing less than its own name, and leaves nothing behind."""

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
from orderops.remote.tunnel import port_forwarding, target_of
from support.faulty_proxy import Proxy, SeenRequest
from support.session_plugin import Plugin, plugin
from support.tls_proxy import Authority, tls_front

pytest_plugins = ["support.postgres_fixtures"]

ENDPOINT = "orders.c1a2b3.ap-southeast-2.rds.amazonaws.com"
SESSION = {"SessionId": "orders-1", "TokenValue": "a token", "StreamUrl": "wss://example.com/1"}
TARGET = "ecs:cluster_task_runtime"
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
    """SSM, as far as it is asked here; refuses the first `refusals` sessions."""

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
    told = Sessions()
    proxy.rule = told
    return told


@pytest.fixture
def to(postgres: PostgresServer) -> Login:
    return Login(ENDPOINT, 5432, "postgres", "disable", postgres.administrator, postgres.password)


def through(aws: Aws, program: Plugin, to: Login) -> Any:
    return port_forwarding(aws, str(program.folder / "session-manager-plugin"), TARGET, to)


def test_the_certificate_must_be_of_the_database_and_not_of_the_tunnel(
    aws: Aws, sessions: Sessions, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "ca")
    monkeypatch.setenv("ORDEROPS_RDS_CA_BUNDLE", str(authority.bundle))
    to = Login(ENDPOINT, 5432, "postgres", "verify-full", postgres.administrator, postgres.password)

    with tls_front(postgres.port, authority.certificate(ENDPOINT)) as front:
        program = plugin(tmp_path / "bin", front.port)
        with through(aws, program, to) as login, connect(login) as one, connect(login) as other:
            assert one.execute("select 1").fetchall() == other.execute("select 1").fetchall()
    with tls_front(postgres.port, authority.certificate("elsewhere.rds.amazonaws.com")) as front:
        program = plugin(tmp_path / "bin", front.port)
        with pytest.raises(OrderopsError, match="no trust"), through(aws, program, to) as login, connect(login):
            pass


def test_session_and_program_end_with_the_tunnel(
    aws: Aws, sessions: Sessions, to: Login, postgres: PostgresServer, tmp_path: Path
) -> None:
    program = plugin(tmp_path / "bin", postgres.port)

    with pytest.raises(KeyboardInterrupt), through(aws, program, to) as login, connect(login):
        assert program.lives
        assert sessions.open
        raise KeyboardInterrupt

    assert not program.lives
    assert sessions.open == []


def test_a_program_that_does_not_listen_to_its_end_is_ended(
    aws: Aws,
    sessions: Sessions,
    to: Login,
    postgres: PostgresServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tunnel, "ENDS", 0.2)
    program = plugin(tmp_path / "bin", postgres.port, deaf=True)

    with through(aws, program, to):
        pass

    assert not program.lives


def test_the_program_is_told_what_the_session_is_for_and_no_token_that_others_see(
    aws: Aws, sessions: Sessions, to: Login, postgres: PostgresServer, tmp_path: Path
) -> None:
    program = plugin(tmp_path / "bin", postgres.port)

    with through(aws, program, to) as login:
        assert login.by
        local = str(login.by[1])

    called = program.called
    assert called["session"] == SESSION
    assert called["asked"] == {
        "Target": TARGET,
        "DocumentName": "AWS-StartPortForwardingSessionToRemoteHost",
        "Parameters": {"host": [ENDPOINT], "portNumber": ["5432"], "localPortNumber": [local]},
    }
    assert called["words"][1:3] == ["ap-southeast-2", "StartSession"]
    assert SESSION["TokenValue"] not in " ".join(called["words"])


def test_an_old_program_is_told_the_session_in_its_words(
    aws: Aws, sessions: Sessions, to: Login, postgres: PostgresServer, tmp_path: Path
) -> None:
    program = plugin(tmp_path / "bin", postgres.port, version="1.2.463.0")

    with through(aws, program, to):
        assert program.called["session"] == SESSION


def test_a_program_that_does_not_say_that_it_listens_is_tried(
    aws: Aws,
    sessions: Sessions,
    to: Login,
    postgres: PostgresServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tunnel, "SILENT", 0.0)
    program = plugin(tmp_path / "bin", postgres.port, says=False)

    with through(aws, program, to) as login, connect(login) as connection:
        assert connection.execute("select 1").fetchall()


def test_an_agent_that_is_not_there_yet_is_asked_again(
    aws: Aws, sessions: Sessions, to: Login, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tunnel, "PAUSE", 0.01)
    sessions.refusals = 3

    with through(aws, plugin(tmp_path / "bin", postgres.port), to):
        assert sessions.open


def test_an_agent_that_never_comes_is_a_refusal(
    aws: Aws, sessions: Sessions, to: Login, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tunnel, "PAUSE", 0.01)
    monkeypatch.setattr(tunnel, "CONNECTS", 0.05)
    sessions.refusals = 1000

    with pytest.raises(OrderopsError, match="did not connect") as refused, through(aws, plugin(tmp_path, 1), to):
        pass

    assert "ssmmessages" in refused.value.hint


def test_a_program_that_ends_is_a_refusal_with_its_words(
    aws: Aws, sessions: Sessions, to: Login, tmp_path: Path
) -> None:
    program = plugin(tmp_path / "bin", 1, dies="Cannot perform start session: EOF")

    with pytest.raises(OrderopsError, match="Cannot perform start session: EOF"), through(aws, program, to):
        pass

    assert sessions.open == []


def tasks(proxy: Proxy, *found: dict[str, Any]) -> None:
    """ECS runs these."""
    answers: dict[str, dict[str, Any]] = {
        "ListTasks": {"taskArns": [each["taskArn"] for each in found]},
        "DescribeTasks": {"tasks": found},
    }
    proxy.rule = lambda request: json_answer(answers[request.action]) if request.action in answers else None


def target(aws: Aws) -> str:
    return target_of(aws, environment="dev", cluster="cluster", service="orders")


def test_it_leads_through_the_newest_task_that_lets_sessions_in(aws: Aws, proxy: Proxy) -> None:
    closed = {**TASK, "taskArn": f"{TASK['taskArn']}2", "enableExecuteCommand": False, "startedAt": 3}
    newer = {**TASK, "taskArn": f"{TASK['taskArn']}3", "startedAt": 2}
    tasks(proxy, {**TASK, "startedAt": 1}, closed, newer)

    assert target(aws) == "ecs:cluster_task3_runtime"


@pytest.mark.parametrize(
    ("found", "said", "hint"),
    [
        ([], "no task of orders runs", "orderops status"),
        ([{**TASK, "lastStatus": "PENDING"}], "no task of orders runs", "orderops status"),
        ([{**TASK, "enableExecuteCommand": False}], "none of the 1 tasks", "orderops up --env dev"),
    ],
    ids=["no task", "a task that starts", "a task that lets nobody in"],
)
def test_without_a_task_that_lets_anybody_in_there_is_a_refusal(
    aws: Aws, proxy: Proxy, found: list[dict[str, Any]], said: str, hint: str
) -> None:
    tasks(proxy, *found)

    with pytest.raises(OrderopsError, match=said) as refused:
        target(aws)

    assert hint in refused.value.hint
    assert 'access = "task"' in refused.value.hint


def test_without_a_service_or_a_cluster_there_is_a_refusal(aws: Aws) -> None:
    with pytest.raises(OrderopsError, match="no task of orders runs"):
        target(aws)


def test_without_the_program_there_is_a_refusal_that_says_where_it_is_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(OrderopsError, match="session-manager-plugin") as refused:
        tunnel._plugin()

    assert "install it: https://docs.aws.amazon.com/" in refused.value.hint

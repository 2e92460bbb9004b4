"""Passwords that AWS rotates by itself: the command of the schedule, on a real server, with the task's permissions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from orderops.local.rds.postgres import PostgresServer
from orderops.local.strict.delays import Delays
from support.faulty_proxy import served
from support.proof import LATER, Workflow
from support.rotation_proof import MASTER, SECRETS, USERS, RotationProof, databases_here, gateway, rotation
from support.scheduled import run_as_scheduled

pytestmark = pytest.mark.slow

pytest_plugins = ["support.postgres_fixtures"]
SWIFT = Delays(database=0.05, backup_lag=0.1, task=0.02, secret=0.05)
MONTH = 31 * 86_400
# Everybody may ask who they are. The others are what Scheduler is asked for by the test.
NO_ACTION = {"sts:GetCallerIdentity", "scheduler:GetSchedule", "ecs:DescribeTaskDefinition"}
ACTIONS = {"s3:ListObjectsV2": "s3:ListBucket", "tagging:GetResources": "tag:GetResources"}
"""Calls whose action has another name."""


@pytest.fixture(scope="module")
def port(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with gateway(postgres, tmp_path_factory.mktemp("certificate")) as opened:
        yield opened


@pytest.fixture(scope="module")
def proof(postgres: PostgresServer, port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RotationProof]:
    """An environment that rotates by itself every 30 days, whose passwords are two hours old."""
    folder = tmp_path_factory.mktemp("environments") / "rotate"
    workflow = rotation(folder, port)
    file = folder / "dev.toml"
    # As an operator's laptop reaches it; the task is inside the VPC.
    file.write_text(file.read_text().replace("[database]\n", "[database]\nrotate_days = 30\n", 1))
    with databases_here(), served(SWIFT) as account:
        proof = RotationProof(account, tmp_path_factory.mktemp("logs"), postgres)
        proof.undisturbed(Workflow("released", ("status", *workflow.argv[-5:-1]), workflow.before))
        yield proof


def age(proof: RotationProof, seconds: float) -> None:
    for name in SECRETS.values():
        for version in proof._secrets()[name].versions.values():
            version["createdate"] -= seconds


def opens(server: PostgresServer, login: dict[str, Any]) -> bool:
    try:
        psycopg.connect(server.dsn("orders"), user=login["username"], password=login["password"]).close()
    except psycopg.OperationalError:
        return False
    return True


def allowed(proof: RotationProof) -> set[str]:
    found = proof.client("iam").get_role_policy(RoleName="orderops-dev-rotation-task", PolicyName="orderops")
    return {action for statement in found["PolicyDocument"]["Statement"] for action in statement["Action"]}


def action_of(call: str) -> str:
    name = call.replace(".", ":")
    return ACTIONS.get(name, name)


def wait_over(proof: RotationProof) -> None:
    """Let the time be over in which the login before stays open, and in which a killed run keeps the lease."""
    past = [{"Key": "orderops:old-login-until", "Value": "2026-01-01T00:00:00.000+00:00"}]
    proof.client("secretsmanager").tag_resource(SecretId=SECRETS["services"], Tags=past)
    proof.proxy.later(LATER)


def test_it_rotates_once_they_are_old_enough_and_a_killed_task_is_continued_by_the_next(
    proof: RotationProof, postgres: PostgresServer
) -> None:
    before = {who: proof._current(who) for who in SECRETS}
    early = run_as_scheduled(proof.client, proof.proxy.url, "rotation")
    assert early.returncode == 0, early.stdout
    assert "not due" in early.stdout
    assert {who: proof._current(who) for who in SECRETS} == before

    age(proof, MONTH)
    proof.proxy.forget()
    killed = run_as_scheduled(proof.client, proof.proxy.url, "rotation", ended_at="the login before is closed in")

    after = {who: proof._current(who) for who in SECRETS}
    assert killed.returncode == -9
    assert (after["services"]["username"], after["master"]["username"]) == (USERS[1], MASTER)
    assert opens(postgres, after["services"])
    assert opens(postgres, before["services"])
    wait_over(proof)
    ended = run_as_scheduled(proof.client, proof.proxy.url, "rotation")
    calls = {action_of(str(request)) for request in proof.proxy.requests}

    assert ended.returncode == 0, ended.stdout
    assert {who: proof._current(who) for who in SECRETS} == after
    assert all(opens(postgres, after[who]) and not opens(postgres, before[who]) for who in SECRETS)
    assert calls - NO_ACTION <= allowed(proof)
    assert {"secretsmanager:PutSecretValue", "s3:PutObject"} <= calls

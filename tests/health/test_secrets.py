"""The age of secrets in `orderops status`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest

from orderops.config.environment import load_environment
from orderops.health.secrets import SecretAge, read_secret_ages
from orderops.infra.workspace import Workspace
from support.strict_account import strict_account, strict_aws

FILE = """
[database]
[services.orders]
secrets = ["TOKEN"]
"""
LOGIN, TOKEN = "orderops/dev/database-login", "orderops/dev/orders/TOKEN"
MARCH = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, session: boto3.Session) -> Iterator[Workspace]:
    (tmp_path / "dev.toml").write_text(FILE)
    with strict_account() as account:
        yield Workspace(load_environment("dev", tmp_path), strict_aws(account, monkeypatch))


def test_no_secret_exists_in_an_empty_account(workspace: Workspace) -> None:
    assert read_secret_ages(workspace) == ()


def test_the_value_of_now_decides_and_the_oldest_comes_first(workspace: Workspace) -> None:
    secrets = workspace.aws.secretsmanager
    for name in (LOGIN, TOKEN):
        secrets.create_secret(Name=name, SecretString="first")
    assert [age.name for age in read_secret_ages(workspace)] == [LOGIN, TOKEN]

    secrets.put_secret_value(SecretId=LOGIN, SecretString="second")

    token, login = read_secret_ages(workspace)
    assert (token.name, login.name) == (TOKEN, LOGIN)
    assert token.since < login.since


def test_a_secret_is_dated_in_json() -> None:
    assert SecretAge(LOGIN, MARCH).to_dict() == {"name": LOGIN, "since": "2026-03-01T12:00:00Z"}

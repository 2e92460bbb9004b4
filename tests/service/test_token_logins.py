"""The service's own client of the database, at a port that takes tokens of IAM as RDS does."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import ReadOnlyCredentials

from orderops.local.keys import AccessKey
from orderops.local.ports import free_port
from orderops.local.rds import roles
from orderops.local.rds.certificates import certificate_file
from orderops.local.rds.gateway import Gateway
from orderops.local.rds.postgres import PostgresServer
from orderops.local.rds.tokens import Endpoint, TokenCheck
from orderops.service.address import AddressBook
from orderops.service.circuit import Away
from orderops.service.database import OrderStore
from orderops.service.database_tokens import DatabaseTokens

pytest_plugins = ["support.postgres_fixtures"]

REGION, RESOURCE = "ap-southeast-2", "db-ABC"
USER, BY_PASSWORD, MASTER = "tasks_tokens", "tasks_password", "tasks_master"
KEY = AccessKey("KEY1", "the secret", "the session")


class TaskCredentials:
    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        return ReadOnlyCredentials(KEY.id, KEY.secret, KEY.token)


@dataclass
class Account:
    """Secrets and permissions of the account, and the port of its instance."""

    port: int = 0
    permitted: bool = True
    pointer: dict[str, Any] = field(default_factory=dict)

    def get_secret_value(self, SecretId: str) -> dict[str, str]:  # noqa: N803 (the client's own word)
        login = {"username": BY_PASSWORD, "password": "its own"}
        return {"SecretString": json.dumps(login if SecretId == "login" else self.pointer)}

    def log_in_by(self, method: str, **changed: Any) -> None:
        """Let the pointer say how the services log in."""
        where = {"host": "127.0.0.1", "port": self.port, "dbname": "postgres", "sslmode": "require"}
        tokens = {"login": "iam", "username": USER, "region": REGION} if method == "iam" else {}
        self.pointer = {**where, "credentials": "login", **tokens, **changed}

    def problem(self, token: str, user: str) -> str:
        at = Endpoint("127.0.0.1", self.port, REGION, RESOURCE, takes_tokens=True)
        return TokenCheck({KEY.id: KEY}.get, lambda *_: self.permitted).problem(token, user, at)


@pytest.fixture(scope="module")
def server(postgres: PostgresServer) -> Iterator[PostgresServer]:
    roles.set_up(postgres, MASTER, "of-the-master", None)
    with postgres.connect() as administrator:
        administrator.execute(f"create role {BY_PASSWORD} login password 'its own'".encode())
        administrator.execute(f"create role {USER} login; grant rds_iam to {USER}".encode())
    yield postgres
    with postgres.connect() as administrator:
        administrator.execute(f"alter database postgres owner to {postgres.administrator}".encode())
        administrator.execute(f"drop role {USER}, {BY_PASSWORD}, {MASTER}".encode())
    for template in ("template1", "postgres"):
        with postgres.connect(template) as administrator:
            administrator.execute("drop extension if exists pg_stat_statements")


@pytest.fixture
def account(server: PostgresServer, tmp_path: Path) -> Iterator[Account]:
    account = Account()
    gateway = Gateway(server, certificate_file(tmp_path / "certificate.pem"), account.problem)
    gateway.open(free_port())
    account.port = gateway.port
    yield account
    gateway.close()


@pytest.fixture
def store(account: Account) -> Iterator[OrderStore]:
    # Each login reads the pointer, as after half a minute.
    book = AddressBook(account, "database", keep_seconds=0)
    store = OrderStore(book, pool_size=1, tokens=DatabaseTokens(TaskCredentials()))
    yield store
    store.close()


def user_of(store: OrderStore) -> str:
    """The user of a new connection."""

    def read(connection: Any) -> str:
        (user,) = connection.execute("select session_user").fetchone()
        # Left inside a transaction, the connection does not come back to the pool.
        connection.execute("begin")
        return str(user)

    return store.run(read)


def test_the_service_logs_in_as_the_pointer_says(account: Account, store: OrderStore) -> None:
    users = []
    for method in ("password", "iam", "password"):
        account.log_in_by(method)
        users.append(user_of(store))

    assert users == [BY_PASSWORD, USER, BY_PASSWORD]


def test_a_permission_that_iam_does_not_know_yet_fails_no_request(
    account: Account, store: OrderStore, caplog: pytest.LogCaptureFixture
) -> None:
    account.log_in_by("password")
    user_of(store)
    account.permitted = False
    account.log_in_by("iam")

    with caplog.at_level(logging.WARNING):
        assert user_of(store) == BY_PASSWORD
    account.permitted = True
    assert user_of(store) == USER

    assert "may not use rds-db:connect" in caplog.text
    assert f"logging in as {BY_PASSWORD}, as before" in caplog.text


def test_a_refused_token_is_explained_in_the_log_and_not_to_clients(account: Account, store: OrderStore) -> None:
    account.log_in_by("iam")
    account.permitted = False

    with pytest.raises(Away, match="refuses the token of tasks_tokens: the task's role may not use") as refusal:
        user_of(store)

    assert refusal.value.public == "the server rejects the login"


def test_a_role_that_is_no_member_of_rds_iam_is_named(account: Account, store: OrderStore) -> None:
    account.log_in_by("iam", username=BY_PASSWORD)

    with pytest.raises(Away, match="takes no tokens for tasks_password, which is no member of rds_iam"):
        user_of(store)


def test_without_tls_no_token_is_sent(account: Account, store: OrderStore) -> None:
    account.log_in_by("iam", sslmode="prefer")

    with pytest.raises(Away, match="a login with tokens of IAM needs TLS, and sslmode is prefer"):
        user_of(store)

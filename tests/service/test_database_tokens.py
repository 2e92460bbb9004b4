"""Logins by tokens of IAM: how they are signed, for how long one is kept, and what is said when one is refused."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import boto3
import psycopg
import pytest
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import CredentialRetrievalError

from orderops.service.address import Address
from orderops.service.circuit import Away
from orderops.service.database_errors import after_login
from orderops.service.database_tokens import DatabaseTokens, LastLogin, Reconnects

HOST = "orderops-prod-database.c0ffee.ap-southeast-2.rds.amazonaws.com"
ADDRESS = Address(HOST, 5432, "orders", "verify-full", "orderops_service_iam", "", "ap-southeast-2")
BY_PASSWORD = replace(ADDRESS, username="orderops_service", password="secret", region="")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class TaskCredentials:
    """Credentials of a task role, which ECS renews."""

    number: int = 1
    broken: bool = False

    def get_frozen_credentials(self) -> Any:
        if self.broken:
            raise CredentialRetrievalError(provider="container-role", error_msg="connection refused")
        return ReadOnlyCredentials(f"KEY{self.number}", f"secret{self.number}", f"token{self.number}")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def credentials() -> TaskCredentials:
    return TaskCredentials()


@pytest.fixture
def tokens(credentials: TaskCredentials, clock: Clock) -> DatabaseTokens:
    return DatabaseTokens(credentials, clock=clock)


def test_a_token_is_the_one_that_aws_sdks_make(credentials: TaskCredentials) -> None:
    frozen = credentials.get_frozen_credentials()
    rds = boto3.client(
        "rds",
        region_name="us-east-1",
        aws_access_key_id=frozen.access_key,
        aws_secret_access_key=frozen.secret_key,
        aws_session_token=frozen.token,
    )

    def pair() -> tuple[str, str]:
        theirs = rds.generate_db_auth_token(HOST, 5432, "orderops_service_iam", "ap-southeast-2")
        return DatabaseTokens(credentials).token(ADDRESS), theirs

    # Both bear the second in which they were signed, which may end in between.
    assert any(ours == theirs for ours, theirs in (pair() for _ in range(3)))


def test_a_token_is_kept_for_ten_minutes(tokens: DatabaseTokens, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    signed: list[int] = []

    def count(address: Address, credentials: Any) -> str:
        signed.append(1)
        return f"token {len(signed)}"

    monkeypatch.setattr("orderops.service.database_tokens._signed", count)
    assert tokens.token(ADDRESS) == "token 1"
    clock.now += 599
    assert tokens.token(ADDRESS) == "token 1"
    clock.now += 1
    assert tokens.token(ADDRESS) == "token 2"


@pytest.mark.parametrize(
    ("number", "address"),
    [
        pytest.param(2, ADDRESS, id="other credentials"),
        pytest.param(1, replace(ADDRESS, host="restored"), id="another instance"),
        pytest.param(1, replace(ADDRESS, username="other"), id="another user"),
    ],
)
def test_a_token_is_kept_for_one_address_and_the_credentials_that_signed_it(
    tokens: DatabaseTokens, credentials: TaskCredentials, number: int, address: Address
) -> None:
    first = tokens.token(ADDRESS)

    credentials.number = number

    assert tokens.token(address) != first


def test_a_refused_token_is_not_used_again(tokens: DatabaseTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter(range(9))
    monkeypatch.setattr("orderops.service.database_tokens._signed", lambda *_: f"token {next(numbers)}")
    tokens.token(ADDRESS)

    tokens.forget()

    assert tokens.token(ADDRESS) == "token 1"


@pytest.mark.parametrize("sslmode", ["disable", "allow", "prefer"])
def test_no_token_leaves_the_task_without_tls(tokens: DatabaseTokens, sslmode: str) -> None:
    with pytest.raises(Away, match=f"needs TLS, and sslmode is {sslmode}"):
        tokens.token(replace(ADDRESS, sslmode=sslmode))


def test_without_credentials_the_log_names_the_missing_task_role() -> None:
    with pytest.raises(Away, match="this task has no credentials, so no task role") as refusal:
        DatabaseTokens(None).token(ADDRESS)

    assert "role" not in refusal.value.public


def test_credentials_that_cannot_be_read_are_told_from_a_refused_token(
    tokens: DatabaseTokens, credentials: TaskCredentials
) -> None:
    credentials.broken = True

    with pytest.raises(Away, match=r"the credentials of this task cannot be read: .*connection refused"):
        tokens.token(ADDRESS)


def test_logins_after_a_failover_are_spread_over_half_a_second(clock: Clock) -> None:
    pauses: list[float] = []
    reconnects = Reconnects(clock=clock, pause=pauses.append, chance=lambda: 0.8)

    reconnects.wait()
    assert pauses == []
    reconnects.lost()
    reconnects.wait()
    clock.now += 9.9
    reconnects.wait()
    clock.now += 0.1
    reconnects.wait()

    assert pauses == [0.4, 0.4]


def test_the_password_accepted_last_helps_for_five_minutes_after_a_refused_token(clock: Clock) -> None:
    last = LastLogin(clock=clock)
    assert last.instead_of(ADDRESS) is None
    last.accepted(BY_PASSWORD)

    clock.now += 300
    assert last.instead_of(ADDRESS) == BY_PASSWORD
    clock.now += 1
    assert last.instead_of(ADDRESS) is None


@pytest.mark.parametrize(
    ("accepted", "refused"),
    [
        pytest.param(ADDRESS, BY_PASSWORD, id="a refused password is never replaced by a token"),
        pytest.param(ADDRESS, replace(ADDRESS, username="other"), id="nor is one token by another"),
        pytest.param(BY_PASSWORD, replace(ADDRESS, host="restored"), id="another instance has other data"),
        pytest.param(BY_PASSWORD, replace(ADDRESS, dbname="other"), id="another database has other data"),
    ],
)
def test_no_other_login_is_replaced(accepted: Address, refused: Address) -> None:
    last = LastLogin()
    last.accepted(accepted)

    assert last.instead_of(refused) is None


@pytest.mark.parametrize(
    ("said", "logged"),
    [
        (
            'FATAL:  PAM authentication failed for user "orderops_service_iam"',
            "refuses the token of orderops_service_iam: the task's role may not use rds-db:connect",
        ),
        (
            'FATAL:  no pg_hba.conf entry for host "10.0.3.7", user "orderops_service_iam", database "orders", '
            "no encryption",
            "takes orderops_service_iam only with TLS",
        ),
        (
            'FATAL:  password authentication failed for user "orderops_service_iam"',
            "takes no tokens for orderops_service_iam, which is no member of rds_iam: orderops migrate grant",
        ),
    ],
)
def test_the_log_says_why_a_token_is_refused_and_clients_learn_nothing(said: str, logged: str) -> None:
    reason = after_login(psycopg.OperationalError(f"connection to server failed: {said}\n"), ADDRESS, 2)

    assert logged in str(reason)
    assert reason.public == "the server rejects the login"


def test_a_refused_password_stays_a_refused_password() -> None:
    error = psycopg.OperationalError('FATAL:  password authentication failed for user "orderops_service"')

    assert "rejects the password of orderops_service" in str(after_login(error, BY_PASSWORD, 2))

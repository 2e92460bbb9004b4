from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from orderops.service.circuit import Unavailable
from orderops.service.tokens import Tokens
from support.order_app import OrderApp
from support.order_database import OrderDatabase


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


class Secret:
    """A boto3 client of Secrets Manager with one secret, by the stages of its versions."""

    def __init__(self, **stages: str) -> None:
        self.stages = stages
        self.calls = 0
        self.code = "ResourceNotFoundException"

    def get_secret_value(self, SecretId: str, VersionStage: str) -> dict[str, str]:  # noqa: N803
        self.calls += 1
        if VersionStage not in self.stages:
            raise ClientError({"Error": {"Code": self.code}}, "GetSecretValue")
        return {"SecretString": self.stages[VersionStage]}


@pytest.fixture
def clock() -> Clock:
    return Clock()


def tokens(secret: Secret, clock: Clock) -> Tokens:
    return Tokens(secret, "tokens", keep_seconds=60, again_seconds=3, clock=clock)


@pytest.mark.parametrize(
    ("header", "admitted"),
    [
        ("Bearer new", True),
        ("bearer new", True),
        ("Bearer  new ", True),
        ("Bearer old", True),
        ("Bearer newer", False),
        ("Bearer ne", False),
        ("Bearer ", False),
        ("Bearer", False),
        ("Basic new", False),
        ("new", False),
        ("", False),
        ("Bearer \udcff", False),
    ],
)
def test_the_current_and_the_previous_token_are_valid(clock: Clock, header: str, admitted: bool) -> None:
    assert tokens(Secret(AWSCURRENT="new\n", AWSPREVIOUS="old"), clock).admits(header) is admitted


def test_a_secret_with_one_value_has_one_token(clock: Clock) -> None:
    checked = tokens(Secret(AWSCURRENT="only"), clock)

    assert checked.admits("Bearer only")
    assert not checked.admits("Bearer other")


def test_a_new_token_is_valid_at_once_and_the_secret_read_every_few_seconds_at_most(clock: Clock) -> None:
    secret = Secret(AWSCURRENT="first")
    checked = tokens(secret, clock)
    assert checked.admits("Bearer first")
    secret.stages = {"AWSCURRENT": "second", "AWSPREVIOUS": "first"}
    clock.now += 3

    assert checked.admits("Bearer second")

    calls = secret.calls
    for _ in range(100):
        assert not checked.admits("Bearer guess")
    assert secret.calls == calls


def test_a_withdrawn_token_is_valid_for_a_minute_at_most(clock: Clock) -> None:
    secret = Secret(AWSCURRENT="first")
    checked = tokens(secret, clock)
    assert checked.admits("Bearer first")
    secret.stages = {"AWSCURRENT": "third", "AWSPREVIOUS": "second"}
    clock.now += 60

    assert not checked.admits("Bearer first")


def test_known_tokens_are_valid_while_the_secret_cannot_be_read(clock: Clock) -> None:
    secret = Secret(AWSCURRENT="first")
    checked = tokens(secret, clock)
    assert checked.admits("Bearer first")
    secret.stages, secret.code = {}, "InternalServiceError"
    clock.now += 600

    assert checked.admits("Bearer first")


@pytest.mark.parametrize("stages", [{}, {"AWSCURRENT": "  "}])
def test_without_any_token_nobody_is_admitted(clock: Clock, stages: dict[str, str]) -> None:
    secret = Secret(**stages)
    checked = tokens(secret, clock)
    with pytest.raises(Unavailable):
        checked.admits("Bearer first")
    secret.stages = {"AWSCURRENT": "first"}
    clock.now += 3

    assert checked.admits("Bearer first")


@pytest.fixture
def secrets() -> Iterator[boto3.client]:
    with mock_aws():
        yield boto3.client("secretsmanager", region_name="ap-southeast-2")


def test_after_a_new_value_the_one_before_is_valid_and_the_one_before_that_is_not(
    secrets: boto3.client, clock: Clock
) -> None:
    secrets.create_secret(Name="tokens", SecretString="first")
    for value in ("second", "third"):
        secrets.put_secret_value(SecretId="tokens", SecretString=value)

    checked = Tokens(secrets, "tokens", clock=clock)

    assert [checked.admits(f"Bearer {value}") for value in ("first", "second", "third")] == [False, True, True]


@pytest.mark.parametrize(("method", "path"), [("GET", "/orders"), ("POST", "/orders"), ("GET", "/orders/7")])
def test_orders_ask_for_a_token(orders: OrderDatabase, clock: Clock, method: str, path: str) -> None:
    secret = Secret(AWSCURRENT="right")
    app = OrderApp(orders, {"TOKEN_SECRET": "tokens"}, tokens(secret, clock))

    without, wrong, right = (
        app.send(method, path, headers=headers)
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer right"})
    )

    assert (without.status_code, wrong.status_code) == (401, 401)
    assert without.headers["www-authenticate"] == "Bearer"
    assert right.status_code not in (401, 503)
    assert app.get("/health").status_code == 200


def test_a_token_that_cannot_be_checked_admits_nobody(orders: OrderDatabase, clock: Clock) -> None:
    app = OrderApp(orders, {"TOKEN_SECRET": "tokens"}, tokens(Secret(), clock))

    response = app.place(Authorization="Bearer anything")

    assert response.status_code == 503
    assert "tokens" not in response.text
    assert app.messages() == []

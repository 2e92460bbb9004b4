from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from orderops.service.address import Address, AddressBook
from orderops.service.circuit import Away


class Secrets:
    """Secrets Manager with the one operation that the service uses."""

    def __init__(self) -> None:
        self.database_secret = {
            "host": "old",
            "port": 5432,
            "dbname": "orders",
            "sslmode": "require",
            "credentials": "login",
        }
        self.login = {"username": "app", "password": "first"}
        self.reads = 0
        self.away = False

    def get_secret_value(self, *, SecretId: str) -> dict[str, Any]:  # noqa: N803 (the client's own word)
        if self.away:
            raise ClientError({"Error": {"Code": "InternalServiceError", "Message": "later"}}, "GetSecretValue")
        self.reads += 1
        return {"SecretString": json.dumps(self.login if SecretId == "login" else self.database_secret)}


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def secrets() -> Secrets:
    return Secrets()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(secrets: Secrets, clock: Clock) -> AddressBook:
    return AddressBook(secrets, "database", keep_seconds=30, clock=clock)


def test_the_address_combines_both_secrets(book: AddressBook) -> None:
    assert book.address() == Address("old", 5432, "orders", "require", "app", "first")


def test_replicas_are_reached_with_the_login_of_the_primary(book: AddressBook, secrets: Secrets) -> None:
    secrets.database_secret["replicas"] = [{"host": "near", "port": 5433}, {"host": "far", "port": "5434"}]

    assert book.address().replicas == (
        Address("near", 5433, "orders", "require", "app", "first"),
        Address("far", 5434, "orders", "require", "app", "first"),
    )


def test_replicas_are_no_part_of_the_question_whether_an_address_changed(book: AddressBook, secrets: Secrets) -> None:
    before = book.address()
    secrets.database_secret["replicas"] = [{"host": "near", "port": 5433}]

    assert book.after_failed_login(before) == before


@pytest.mark.parametrize("replicas", [None, [], {}, ""])
def test_an_empty_list_of_replicas_is_as_good_as_none(book: AddressBook, secrets: Secrets, replicas: Any) -> None:
    secrets.database_secret["replicas"] = replicas

    assert book.address().replicas == ()


@pytest.mark.parametrize("replicas", ["near", 5, ["near"], [{"host": "near"}], [{"host": "near", "port": "x"}]])
def test_a_mistake_in_the_replicas_leaves_the_primary(
    book: AddressBook, secrets: Secrets, replicas: Any, caplog: pytest.LogCaptureFixture
) -> None:
    secrets.database_secret["replicas"] = replicas

    assert book.address() == Address("old", 5432, "orders", "require", "app", "first")
    assert book.address().replicas == ()
    assert "secret database: replicas must be a list of objects with host and port" in caplog.text


def test_no_text_form_of_an_address_contains_the_password(book: AddressBook) -> None:
    address = book.address()

    assert "first" not in f"{address} {address!r}"


def test_a_changed_secret_is_read_within_half_a_minute(book: AddressBook, secrets: Secrets, clock: Clock) -> None:
    book.address()
    secrets.database_secret["host"] = "new"

    assert book.address().host == "old"
    clock.now += 30
    assert book.address().host == "new"


def test_a_refused_login_reads_the_secret_at_once(book: AddressBook, secrets: Secrets) -> None:
    failed = book.address()
    secrets.login["password"] = "second"

    assert book.after_failed_login(failed).password == "second"


def test_many_refused_logins_read_the_secret_once(book: AddressBook, secrets: Secrets) -> None:
    failed = book.address()
    secrets.login["password"] = "second"
    reads = secrets.reads

    assert {book.after_failed_login(failed).password for _ in range(5)} == {"second"}
    assert secrets.reads == reads + 2


def test_an_unreadable_secret_leaves_the_known_address_in_use(
    book: AddressBook, secrets: Secrets, clock: Clock
) -> None:
    known = book.address()
    secrets.away = True
    clock.now += 60

    assert book.address() == known


def test_without_a_known_address_the_error_names_the_secret(book: AddressBook, secrets: Secrets) -> None:
    secrets.away = True

    with pytest.raises(Away, match="secret database cannot be read: InternalServiceError"):
        book.address()


@pytest.mark.parametrize("field", ["port", "host"])
def test_a_value_of_the_wrong_type_is_not_quoted(book: AddressBook, secrets: Secrets, field: str) -> None:
    secrets.database_secret.pop("credentials")
    secrets.database_secret[field] = "misplaced-password"

    with pytest.raises(Away) as refusal:
        book.address()

    assert "misplaced-password" not in str(refusal.value)


def test_an_address_for_tokens_names_user_and_region_and_reads_no_password(book: AddressBook, secrets: Secrets) -> None:
    secrets.database_secret |= {"login": "iam", "username": "orderops_service_iam", "region": "ap-southeast-2"}

    address = book.address()

    assert address == Address("old", 5432, "orders", "require", "orderops_service_iam", "", "ap-southeast-2")
    assert address.by_token
    assert secrets.reads == 1


@pytest.mark.parametrize("login", [{}, {"login": "password"}])
def test_an_address_without_tokens_is_by_password(book: AddressBook, secrets: Secrets, login: dict[str, str]) -> None:
    secrets.database_secret |= login

    assert not book.address().by_token
    assert book.address().password == "first"


@pytest.mark.parametrize("field", ["username", "region"])
def test_an_address_for_tokens_without_user_or_region_is_refused(
    book: AddressBook, secrets: Secrets, field: str
) -> None:
    secrets.database_secret |= {"login": "iam", "username": "app", "region": "ap-southeast-2"}
    del secrets.database_secret[field]

    with pytest.raises(Away, match=f"{field} is missing"):
        book.address()


def test_a_login_that_is_not_known_yet_is_refused_without_quoting_it(book: AddressBook, secrets: Secrets) -> None:
    secrets.database_secret["login"] = "misplaced-password"

    with pytest.raises(Away, match="asks for a login that this version of the service does not know") as refusal:
        book.address()

    assert "misplaced-password" not in str(refusal.value)

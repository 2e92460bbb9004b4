"""The secret with the login of an environment's services."""

from __future__ import annotations

import json

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.step import Action
from orderops.resources.secretsmanager_login import SecretsmanagerLogin
from support.contract import Up, keeps_its_promises, remove

LOGIN = SecretsmanagerLogin("orderops/dev/database-login", "orderops_service")


def _value(aws: Aws) -> dict[str, str]:
    value: dict[str, str] = json.loads(aws.secretsmanager.get_secret_value(SecretId=LOGIN.name)["SecretString"])
    return value


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(LOGIN, aws, up)


def test_it_holds_a_user_name_and_a_password_of_its_own(aws: Aws, up: Up) -> None:
    up(LOGIN)

    value = _value(aws)

    assert value["username"] == "orderops_service"
    assert len(value["password"]) >= 32


def test_a_password_that_was_changed_since_is_neither_read_nor_set_back(aws: Aws, up: Up) -> None:
    up(LOGIN)
    aws.secretsmanager.put_secret_value(SecretId=LOGIN.name, SecretString='{"username": "me", "password": "new"}')

    step = up(LOGIN)[LOGIN.address]

    assert step.action is Action.NO_OP
    assert _value(aws)["password"] == "new"


def test_it_holds_nothing_that_is_lost_with_it_and_gets_another_password(aws: Aws, up: Up) -> None:
    up(LOGIN)
    before = _value(aws)["password"]
    assert SecretsmanagerLogin.holds(aws, next(SecretsmanagerLogin.listing(aws, Ownership("dev")))) == ""

    remove(LOGIN, aws)
    up(LOGIN)

    assert _value(aws)["password"] != before

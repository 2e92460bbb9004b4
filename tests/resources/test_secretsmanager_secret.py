"""Secrets of services."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.engine.resource import Observed
from orderops.engine.step import Action
from orderops.errors import Unfinished
from orderops.resources.secretsmanager_secret import SecretsmanagerSecret
from support.contract import Up, keeps_its_promises, remove
from support.faults import Fault, PowerCut

KEY = SecretsmanagerSecret("orderops/dev/order-processor/API_KEY", "API_KEY of order-processor")


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(KEY, aws, up, description="the key to the partner's API")


def test_each_secret_has_its_own_value(aws: Aws, up: Up) -> None:
    other = SecretsmanagerSecret("orderops/dev/order-processor/OTHER", "OTHER of order-processor")

    up(KEY, other)

    assert len(_value(aws)) >= 40
    assert _value(aws) != _value(aws, other.name)


def test_a_value_set_by_hand_is_kept(aws: Aws, up: Up) -> None:
    up(KEY)
    aws.secretsmanager.put_secret_value(SecretId=KEY.name, SecretString="from the partner")

    assert up(KEY)[KEY.address].action is Action.NO_OP
    up(SecretsmanagerSecret(KEY.name, "another description"))

    assert _value(aws) == "from the partner"


def test_a_secret_re_created_in_its_recovery_window_keeps_its_value(aws: Aws, up: Up) -> None:
    up(KEY)
    value = _value(aws)
    remove(KEY, aws)

    assert up(KEY)[KEY.address].action is Action.CREATE

    assert _value(aws) == value
    assert up(KEY)[KEY.address].action is Action.NO_OP


def test_a_restored_secret_gets_the_settings_changed_since(aws: Aws, up: Up) -> None:
    up(KEY)
    remove(KEY, aws)
    later = SecretsmanagerSecret(KEY.name, "another description")

    up(later)

    assert aws.secretsmanager.describe_secret(SecretId=KEY.name)["Description"] == "another description"


def test_the_error_for_a_name_in_its_recovery_window_is_recognized(aws: Aws, up: Up, session: boto3.Session) -> None:
    session.events.register("after-call.secrets-manager.CreateSecret", _as_aws_says_it)
    up(KEY)
    remove(KEY, aws)

    up(KEY)

    assert "DeletedDate" not in aws.secretsmanager.describe_secret(SecretId=KEY.name)


def test_a_deleted_secret_of_another_owner_is_not_restored(aws: Aws, up: Up) -> None:
    aws.secretsmanager.create_secret(Name=KEY.name, SecretString="x")
    aws.secretsmanager.delete_secret(SecretId=KEY.name, RecoveryWindowInDays=7)

    with pytest.raises(Unfinished, match="is scheduled for deletion and is not ours"):
        up(KEY)

    assert "DeletedDate" in aws.secretsmanager.describe_secret(SecretId=KEY.name)


def test_a_listing_that_lags_makes_no_second_secret(aws: Aws, up: Up, session: boto3.Session) -> None:
    session.events.register("after-call.secrets-manager.ListSecrets", _empties)
    up(KEY)
    value = _value(aws)

    up(KEY)

    assert _value(aws) == value
    assert len(aws.secretsmanager.list_secret_version_ids(SecretId=KEY.name)["Versions"]) == 1


def test_the_value_is_recoverable_for_a_week(aws: Aws, up: Up) -> None:
    up(KEY)
    remove(KEY, aws)

    deleted = aws.secretsmanager.describe_secret(SecretId=KEY.name)
    assert 6 <= (deleted["DeletedDate"] - deleted["CreatedDate"]).days <= 7
    assert SecretsmanagerSecret.holds(aws, Observed("")) == "a secret value (recoverable for 7 days)"


@pytest.mark.parametrize("call", range(4))
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    other = SecretsmanagerSecret("orderops/dev/order-processor/OTHER", "OTHER of order-processor")
    with power_cut("secretsmanager", after=call), pytest.raises(PowerCut):
        up(KEY, other)

    up(KEY, other)

    assert {step.action for step in up(KEY, other).values()} == {Action.NO_OP}


def test_the_resource_is_read_again_after_a_lost_answer(aws: Aws, up: Up, lose_answer: Fault) -> None:
    with lose_answer("secretsmanager", "CreateSecret"):
        assert up(KEY)[KEY.address].action is Action.CREATE


def test_a_secret_without_an_owner_is_adopted_only_on_request(aws: Aws, up: Up) -> None:
    aws.secretsmanager.create_secret(Name=KEY.name, SecretString="x")

    with pytest.raises(Unfinished, match="has no owner"):
        up(KEY)
    up(KEY, adopt=[KEY.address])

    assert up(KEY)[KEY.address].action is Action.NO_OP
    assert _value(aws) == "x"


def _value(aws: Aws, name: str = KEY.name) -> str:
    return str(aws.secretsmanager.get_secret_value(SecretId=name)["SecretString"])


def _as_aws_says_it(parsed: dict[str, Any], **_: Any) -> None:
    if parsed.get("Error", {}).get("Code") == "ResourceExistsException":
        words = "You can't create this secret because a secret with this name is already scheduled for deletion."
        parsed["Error"] = {
            "Code": "InvalidRequestException",
            "Message": words,
        }


def _empties(parsed: dict[str, Any], **_: Any) -> None:
    parsed["SecretList"] = []

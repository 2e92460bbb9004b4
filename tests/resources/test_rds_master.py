"""Who keeps the master user's password of an instance: RDS, or a secret of ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from moto.backends import get_backend

from orderops.aws.client import Aws
from orderops.engine.step import Action
from orderops.errors import Unfinished
from orderops.frozen import replace
from orderops.resources.secretsmanager_login import SecretsmanagerLogin
from support.contract import Up, keeps_its_promises
from support.declared_database import DB as MANAGED
from support.faults import Fault, Faults, PowerCut

MASTER = SecretsmanagerLogin("orderops/dev/database-master", "orderops", "the master user's password")
OWN = replace(MANAGED, master=MASTER)


@pytest.fixture
def opened(aws: Aws) -> Callable[[str], bool]:
    """Whether the password in the secret is the one that an instance has."""

    def opens(name: str = OWN.name) -> bool:
        value = json.loads(aws.secretsmanager.get_secret_value(SecretId=MASTER.name)["SecretString"])
        record: Any = get_backend("rds")["123456789012"]["ap-southeast-2"].databases[name]
        return bool(value == {"username": "orderops", "password": record._master_user_password})

    return opens


def with_role(aws: Aws, name: str = OWN.name) -> None:
    """Note that the services have a role of their own, as `migrate grant` does."""
    [raw] = aws.rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
    tags = [{"Key": "orderops:service-secret", "Value": "arn:aws:secretsmanager:ap-southeast-2:123456789012:secret:s"}]
    aws.rds.add_tags_to_resource(ResourceName=raw["DBInstanceArn"], Tags=tags)


def managed_secret(aws: Aws, name: str = OWN.name) -> str | None:
    """The ARN of the secret that RDS keeps for an instance."""
    [raw] = aws.rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
    return str(raw["MasterUserSecret"]["SecretArn"]) if raw.get("MasterUserSecret") else None


def test_the_resource_contract_is_fulfilled_with_a_password_of_our_own(aws: Aws, up: Up) -> None:
    keeps_its_promises(OWN, aws, up, backup_days=14)


def test_a_new_instance_is_opened_by_the_secret(aws: Aws, up: Up, opened: Callable[[], bool]) -> None:
    up(OWN)

    assert opened()
    assert managed_secret(aws) is None
    assert up(OWN)[OWN.address].action is Action.NO_OP


def test_the_password_changes_hands_and_back(aws: Aws, up: Up, opened: Callable[[], bool]) -> None:
    up(MANAGED)
    with_role(aws)

    step = up(OWN)[OWN.address]

    assert list(step.changes) == ["ManageMasterUserPassword", "MasterUserSecretArn"]
    assert opened()
    assert managed_secret(aws) is None

    back = up(MANAGED)[OWN.address]

    assert list(back.changes) == ["ManageMasterUserPassword"]
    assert managed_secret(aws)
    assert up(MANAGED)[OWN.address].action is Action.NO_OP


def test_it_does_not_change_hands_while_services_log_in_with_it(aws: Aws, up: Up) -> None:
    up(MANAGED)

    step = up(OWN, dry_run=True)[OWN.address]

    assert step.error
    assert "the services log in as the master user" in step.error.message
    assert step.error.hint == "give them a role of their own first: orderops migrate grant --env dev"
    assert managed_secret(aws)


def test_a_secret_made_again_gets_a_password_that_the_instance_has(
    aws: Aws, up: Up, opened: Callable[[], bool]
) -> None:
    up(OWN)
    aws.secretsmanager.delete_secret(SecretId=MASTER.name, ForceDeleteWithoutRecovery=True)

    step = up(OWN)[OWN.address]

    assert list(step.changes) == ["MasterUserSecretArn"]
    assert opened()


@pytest.mark.parametrize(("service", "answers"), [("secretsmanager", 2), *(("rds", n) for n in range(2, 8))])
def test_a_change_of_hands_that_was_killed_is_made_again(
    aws: Aws, up: Up, opened: Callable[[], bool], power_cut: Fault, service: str, answers: int
) -> None:
    up(MANAGED)
    with_role(aws)
    with power_cut(service, after=answers), pytest.raises(PowerCut):
        up(OWN)

    up(OWN)

    assert opened()
    assert up(OWN)[OWN.address].action is Action.NO_OP


def test_other_changes_of_the_same_step_are_made_as_well(aws: Aws, up: Up, opened: Callable[[], bool]) -> None:
    up(MANAGED)
    with_role(aws)

    up(replace(OWN, backup_days=14))

    assert opened()
    [raw] = aws.rds.describe_db_instances(DBInstanceIdentifier=OWN.name)["DBInstances"]
    assert raw["BackupRetentionPeriod"] == 14


def test_what_waits_for_the_maintenance_window_goes_on_waiting(aws: Aws, up: Up, session: boto3.Session) -> None:
    up(MANAGED)
    with_role(aws)
    sent: list[dict[str, Any]] = []
    session.events.register("provide-client-params.rds.ModifyDBInstance", lambda params, **_: sent.append(params))

    up(OWN)

    assert [call["ApplyImmediately"] for call in sent] == [False]


def test_an_instance_that_the_secret_opened_before_keeps_a_password_that_is_known(
    aws: Aws, up: Up, opened: Callable[[str], bool]
) -> None:
    other = replace(OWN, name="orderops-dev-other")
    up(other)

    up(OWN)

    assert opened(OWN.name)
    assert managed_secret(aws, other.name)


def test_an_instance_that_would_be_locked_out_stops_the_change(aws: Aws, up: Up) -> None:
    other = replace(OWN, name="orderops-dev-other")
    up(other)
    aws.rds.stop_db_instance(DBInstanceIdentifier=other.name)

    with pytest.raises(Unfinished) as failed:
        up(OWN)

    assert "the master user of orderops-dev-other has its password in the same secret" in failed.value.message
    assert "aws rds start-db-instance --db-instance-identifier orderops-dev-other" in failed.value.hint


def test_the_password_is_never_read(up: Up, the_faults: Faults) -> None:
    up(OWN)

    assert "secretsmanager.GetSecretValue" not in the_faults.calls

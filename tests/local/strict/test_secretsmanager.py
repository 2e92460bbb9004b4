from __future__ import annotations

import time
from typing import Any

import pytest
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from support.service_roles import give_rds_its_role
from support.strict_clients import Client, Refused


def secret(client: Client, name: str = "orders") -> None:
    client("secretsmanager").create_secret(Name=name, SecretString="value")


def released_names() -> dict[str, float]:
    backend: Any = get_backend("secretsmanager")[DEFAULT_ACCOUNT_ID]["ap-southeast-2"]
    found: dict[str, float] = backend.released_names
    return found


def test_a_name_in_its_deletion_window_is_refused_as_scheduled_for_deletion(
    moto: Client, strict: Client, refused: Refused
) -> None:
    secret(strict)
    with refused("ResourceExistsException"):
        secret(strict)
    strict("secretsmanager").delete_secret(SecretId="orders", RecoveryWindowInDays=7)

    with refused("ResourceExistsException"):
        secret(moto)
    with refused("InvalidRequestException"):
        secret(strict)


def test_a_deletion_without_recovery_frees_the_name_after_a_while(
    moto: Client, strict: Client, refused: Refused
) -> None:
    for client in (moto, strict):
        secret(client)
        client("secretsmanager").delete_secret(SecretId="orders", ForceDeleteWithoutRecovery=True)
    released_names()["orders"] = time.time() + 3600

    with refused("InvalidRequestException"):
        secret(strict)
    secret(moto)
    moto("secretsmanager").delete_secret(SecretId="orders", ForceDeleteWithoutRecovery=True)
    released_names()["orders"] = time.time()
    secret(strict)


def test_a_secret_scheduled_for_deletion_accepts_no_value(moto: Client, strict: Client, refused: Refused) -> None:
    secret(strict)
    strict("secretsmanager").delete_secret(SecretId="orders")

    with refused("InvalidRequestException"):
        strict("secretsmanager").put_secret_value(SecretId="orders", SecretString="another")
    with refused("InvalidRequestException"):
        strict("secretsmanager").tag_resource(SecretId="orders", Tags=[{"Key": "a", "Value": "b"}])
    moto("secretsmanager").tag_resource(SecretId="orders", Tags=[{"Key": "a", "Value": "b"}])


def test_rotation_needs_a_function(moto: Client, strict: Client, refused: Refused) -> None:
    secret(strict)

    with refused("InvalidRequestException"):
        strict("secretsmanager").rotate_secret(SecretId="orders")
    with refused("AccessDeniedException"):
        strict("secretsmanager").rotate_secret(
            SecretId="orders",
            RotationLambdaARN="arn:aws:lambda:ap-southeast-2:123456789012:function:absent",
            RotationRules={"AutomaticallyAfterDays": 30},
        )
    moto("secretsmanager").rotate_secret(SecretId="orders")


def managed_secret(strict: Client) -> str:
    """The ARN of the secret that RDS manages for a new instance."""
    give_rds_its_role()
    found = strict("rds").create_db_instance(
        DBInstanceIdentifier="db",
        DBInstanceClass="db.t3.micro",
        Engine="postgres",
        MasterUsername="boss",
        ManageMasterUserPassword=True,
        AllocatedStorage=20,
    )["DBInstance"]
    return str(found["MasterUserSecret"]["SecretArn"])


def test_a_secret_managed_by_rds_rotates_without_a_function(strict: Client) -> None:
    arn = managed_secret(strict)

    assert strict("secretsmanager").rotate_secret(SecretId=arn)["VersionId"]
    described = strict("secretsmanager").describe_secret(SecretId=arn)
    assert (described["OwningService"], described["RotationEnabled"]) == ("rds", True)
    assert described["RotationRules"] == {"AutomaticallyAfterDays": 7}


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("delete_secret", {"ForceDeleteWithoutRecovery": True}),
        ("put_secret_value", {"SecretString": "mine"}),
        ("update_secret", {"Description": "mine"}),
        ("update_secret_version_stage", {"VersionStage": "mine", "MoveToVersionId": "a" * 36}),
    ],
)
def test_a_secret_managed_by_rds_is_changed_by_rds_alone(
    strict: Client, refused: Refused, operation: str, parameters: dict[str, Any]
) -> None:
    arn = managed_secret(strict)

    with refused("InvalidRequestException"):
        getattr(strict("secretsmanager"), operation)(SecretId=arn, **parameters)
    assert strict("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]


def test_changes_and_values_are_dated_in_fractions_of_a_second(moto: Client, strict: Client) -> None:
    """Secrets Manager API, SecretVersionsListEntry: `CreatedDate` is when the version was created.

    moto answers the time of the call, and cuts the fractions of a change off.
    """

    def dates(client: Client) -> tuple[float, float]:
        [version] = client("secretsmanager").list_secret_version_ids(SecretId="orders")["Versions"]
        changed = client("secretsmanager").describe_secret(SecretId="orders")["LastChangedDate"]
        return version["CreatedDate"].timestamp(), changed.timestamp()

    secret(moto)
    assert all(date == int(date) for date in dates(moto))
    moto("secretsmanager").delete_secret(SecretId="orders", ForceDeleteWithoutRecovery=True)

    before = time.time()
    secret(strict)
    after = time.time()

    assert all(before - 0.001 <= date <= after + 0.001 for date in dates(strict))
    assert dates(strict) == dates(strict)


def test_a_changed_description_leaves_the_date_of_the_value(strict: Client) -> None:
    secret(strict)
    secrets = strict("secretsmanager")
    [made] = secrets.list_secret_version_ids(SecretId="orders")["Versions"]
    changed = secrets.describe_secret(SecretId="orders")["LastChangedDate"]

    secrets.update_secret(SecretId="orders", Description="other words")

    [version] = secrets.list_secret_version_ids(SecretId="orders")["Versions"]
    assert version["CreatedDate"] == made["CreatedDate"]
    assert secrets.describe_secret(SecretId="orders")["LastChangedDate"] > changed


def test_the_current_version_is_answered_also_after_its_label_has_moved(moto: Client, strict: Client) -> None:
    """Secrets Manager API, GetSecretValue: without a version, "Secrets Manager returns the AWSCURRENT version"."""

    def answered(client: Client) -> str:
        secrets = client("secretsmanager")
        before = secrets.create_secret(Name="login", SecretString="before")["VersionId"]
        next_ = secrets.put_secret_value(SecretId="login", SecretString="next", VersionStages=["AWSPENDING"])
        assert secrets.get_secret_value(SecretId="login")["SecretString"] == "before"
        secrets.update_secret_version_stage(
            SecretId="login",
            VersionStage="AWSCURRENT",
            MoveToVersionId=next_["VersionId"],
            RemoveFromVersionId=before,
        )
        value: str = secrets.get_secret_value(SecretId="login")["SecretString"]
        secrets.delete_secret(SecretId="login", ForceDeleteWithoutRecovery=True)
        return value

    assert answered(moto) == "before"
    assert answered(strict) == "next"

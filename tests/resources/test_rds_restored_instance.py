"""A restored instance has every setting of its source, also those that RDS does not carry over."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from moto.moto_api._internal import moto_api_backend

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.inventory import Inventory
from orderops.engine.reconcile import reconcile
from orderops.engine.resource import Observed
from orderops.engine.step import Action, Step
from orderops.frozen import replace
from orderops.local.emulator.server import Emulator
from orderops.local.strict import make_strict
from orderops.local.strict.delays import Delays
from orderops.resources.ec2_security_group import Ec2SecurityGroup
from orderops.resources.ec2_subnet import Ec2Subnet
from orderops.resources.ec2_vpc import Ec2Vpc
from orderops.resources.rds_description import RESTORED, instances
from orderops.resources.rds_instance import RdsInstance
from orderops.resources.rds_parameter_group import RdsParameterGroup
from orderops.resources.rds_restored_instance import ALONE, CARRIED, RdsRestoredInstance, differences
from orderops.resources.rds_subnet_group import RdsSubnetGroup
from support.emulated_account import QUICK
from support.service_roles import give_rds_its_role
from support.strict_clients import served
from support.tag_keys import ADDRESS, ENVIRONMENT, ROLE

VPC = Ec2Vpc("orderops-dev", "10.0.0.0/16")
SUBNETS = tuple(
    Ec2Subnet(f"orderops-dev-isolated-{zone}", VPC, f"10.0.{number}.0/24", f"ap-southeast-2{zone}")
    for number, zone in enumerate("abc")
)
DB = RdsInstance(
    "orderops-dev-database",
    RdsSubnetGroup("orderops-dev-db", SUBNETS[:2]),
    RdsParameterGroup("orderops-dev-postgres16", "postgres16", {"rds.force_ssl": "1"}),
    (Ec2SecurityGroup("orderops-dev-db", VPC, "database"),),
    instance_class="db.t3.small",
    storage_gb=30,
    max_storage_gb=100,
    multi_az=True,
    backup_days=14,
    deletion_protection=True,
    log_exports=("postgresql", "upgrade"),
    port=5433,
)
COPY = "orderops-dev-database-restored-20261110-080000"
EXTRA = {"team": "platform"}


@contextmanager
def an_account() -> Iterator[Aws]:
    emulator = Emulator()
    make_strict(emulator, Delays(database=0.1, backup_lag=0.1))
    with served(emulator) as client:
        session = boto3.Session("testing", "testing", region_name="ap-southeast-2")
        yield Aws("ap-southeast-2", endpoint_url=client("sts").meta.endpoint_url, session=session)


def reconciled(aws: Aws, *resources: Any, **tags: str) -> list[Step]:
    inventory = Inventory(aws, "dev", [*{type(resource) for resource in resources}], EXTRA | tags)
    return list(reconcile(resources, inventory, limits=QUICK))


def instance(aws: Aws, name: str) -> Observed:
    (found,) = [observed for observed in instances(aws, Ownership("dev")) if observed.id == name]
    return found


@pytest.fixture(scope="module")
def restored() -> Iterator[tuple[Aws, Observed, Observed]]:
    """The account, a source in which no setting is AWS's default, and its copy."""
    moto_api_backend.reset()
    give_rds_its_role()
    with an_account() as aws:
        reconciled(aws, VPC, *SUBNETS, *DB.needs(), DB)
        time.sleep(0.3)
        source = instance(aws, DB.name)
        (step,) = reconciled(aws, RdsRestoredInstance(COPY, source), **{ROLE: RESTORED})
        assert step.action is Action.CREATE
        yield aws, instance(aws, DB.name), instance(aws, COPY)


@pytest.mark.parametrize("setting", CARRIED)
def test_every_setting_equals_that_of_the_source(restored: tuple[Aws, Observed, Observed], setting: str) -> None:
    _, source, copy = restored

    assert copy.properties[setting] == source.properties[setting]


def test_the_source_has_every_setting_that_a_restore_would_lose(restored: tuple[Aws, Observed, Observed]) -> None:
    _, source, _ = restored

    properties = source.properties
    assert properties["DeletionProtection"] and properties["MultiAZ"] and properties["EnableIAMDatabaseAuthentication"]
    assert properties["EnableCloudwatchLogsExports"] == ["postgresql", "upgrade"]
    assert properties["DBParameterGroupName"] == "orderops-dev-postgres16"
    assert properties["MaxAllocatedStorage"] == 100
    assert properties["PreferredMaintenanceWindow"] == "sun:17:00-sun:17:30"


def test_a_restored_instance_has_its_own_tags_identity_and_password(restored: tuple[Aws, Observed, Observed]) -> None:
    aws, source, copy = restored

    assert copy.tags == {
        **EXTRA,
        "Name": COPY,
        ENVIRONMENT: "dev",
        ADDRESS: f"rds-instance/{COPY}",
        ROLE: RESTORED,
    }
    assert copy.properties["DbiResourceId"] != source.properties["DbiResourceId"]
    secrets = [database.properties["MasterUserSecretArn"] for database in (source, copy)]
    assert len(set(secrets)) == 2
    assert all(aws.secretsmanager.get_secret_value(SecretId=arn)["SecretString"] for arn in secrets)


def test_a_restore_does_not_change_its_source(restored: tuple[Aws, Observed, Observed]) -> None:
    aws, source, _ = restored

    assert {step.action for step in reconciled(aws, DB, *DB.needs(), VPC, *SUBNETS)} == {Action.NO_OP}
    assert differences(source, instance(aws, DB.name)) == {}


def test_a_second_run_changes_nothing(restored: tuple[Aws, Observed, Observed]) -> None:
    aws, source, _ = restored

    (step,) = reconciled(aws, RdsRestoredInstance(COPY, source), **{ROLE: RESTORED})

    assert step.action is Action.NO_OP


def test_later_manual_changes_are_reported_and_reset(restored: tuple[Aws, Observed, Observed]) -> None:
    aws, source, copy = restored
    aws.rds.modify_db_instance(DBInstanceIdentifier=COPY, DeletionProtection=False, ApplyImmediately=True)

    assert differences(source, instance(aws, COPY)) == {"DeletionProtection": (True, False)}
    (step,) = reconciled(aws, RdsRestoredInstance(COPY, source), **{ROLE: RESTORED})

    assert step.changes == {"DeletionProtection": (False, True)}
    assert differences(source, replace(copy, properties=instance(aws, COPY).properties)) == {}


def test_a_temporary_instance_has_no_protection(restored: tuple[Aws, Observed, Observed]) -> None:
    aws, source, _ = restored

    reconciled(aws, RdsRestoredInstance("orderops-dev-database-rehearsal", source, disposable=True))

    properties = instance(aws, "orderops-dev-database-rehearsal").properties
    assert {key: properties[key] for key in differences(source, instance(aws, "orderops-dev-database-rehearsal"))} == {
        key: value for key, value in ALONE.items() if source.properties[key] != value
    }

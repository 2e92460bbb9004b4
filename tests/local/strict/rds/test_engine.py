"""Resources of a database and its secrets fulfil the resource contract on a slow and strict RDS."""

from __future__ import annotations

import json
from collections.abc import Iterator

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.engine.step import Action
from orderops.frozen import replace
from orderops.local.emulator.server import Emulator
from orderops.local.strict import make_strict
from orderops.local.strict.delays import Delays
from orderops.resources.ec2_security_group import Ec2SecurityGroup
from orderops.resources.ec2_subnet import Ec2Subnet
from orderops.resources.ec2_vpc import Ec2Vpc
from orderops.resources.rds_instance import RdsInstance
from orderops.resources.rds_parameter_group import RdsParameterGroup
from orderops.resources.rds_subnet_group import RdsSubnetGroup
from orderops.resources.secretsmanager_login import SecretsmanagerLogin
from orderops.resources.secretsmanager_pointer import DatabasePointer
from orderops.resources.secretsmanager_secret import SecretsmanagerSecret
from support.contract import Up, keeps_its_promises, remove
from support.laptop import until
from support.strict_clients import Client, served

# End to end.
pytestmark = pytest.mark.slow

VPC = Ec2Vpc("orderops-dev", "10.0.0.0/16")
SUBNETS = tuple(
    Ec2Subnet(f"orderops-dev-isolated-{zone}", VPC, f"10.0.{number}.0/24", f"ap-southeast-2{zone}")
    for number, zone in enumerate("abc")
)
GROUPS = RdsSubnetGroup("orderops-dev-db", SUBNETS[:2])
PARAMETERS = RdsParameterGroup(
    "orderops-dev-postgres16", "postgres16", {"rds.force_ssl": "1", "log_min_duration_statement": "500"}
)
LOGIN = SecretsmanagerLogin("orderops/dev/database-login", "orderops_service")
DB = RdsInstance(
    "orderops-dev-db", GROUPS, PARAMETERS, (Ec2SecurityGroup("orderops-dev-db", VPC, "database"),), max_storage_gb=100
)


@pytest.fixture(scope="module")
def strict_server() -> Iterator[Client]:
    emulator = Emulator()
    make_strict(emulator, Delays())
    with served(emulator) as client:
        yield client


@pytest.fixture
def aws(strict: Client) -> Aws:
    session = boto3.Session("testing", "testing", region_name="ap-southeast-2")
    return Aws("ap-southeast-2", endpoint_url=strict("sts").meta.endpoint_url, session=session)


def test_an_instance_fulfils_the_resource_contract(aws: Aws, up: Up) -> None:
    keeps_its_promises(DB, aws, up, instance_class="db.t3.small", multi_az=True, backup_days=14)


def test_a_subnet_group_fulfils_the_resource_contract(aws: Aws, up: Up) -> None:
    up(*SUBNETS)

    keeps_its_promises(GROUPS, aws, up, subnets=SUBNETS)


def test_a_parameter_group_fulfils_the_resource_contract(aws: Aws, up: Up) -> None:
    many = {f"log_{name}": "on" for name in ("checkpoints", "connections", "disconnections", "duration", "hostname")}
    keeps_its_promises(PARAMETERS, aws, up, parameters={**many, "max_connections": "60"})


def test_a_secret_fulfils_the_resource_contract(aws: Aws, up: Up) -> None:
    keeps_its_promises(SecretsmanagerSecret("orderops/dev/shop", "of a test"), aws, up, description="another")


def test_a_pointer_fulfils_the_resource_contract(aws: Aws, up: Up) -> None:
    keeps_its_promises(DatabasePointer("orderops/dev/database", DB, LOGIN), aws, up, dbname="others")


def test_storage_that_aws_rounds_up_is_not_drift(aws: Aws, up: Up) -> None:
    small = replace(DB, storage_gb=100, max_storage_gb=200)
    up(small)

    up(replace(small, storage_gb=105))
    until(
        lambda: aws.rds.describe_db_instances()["DBInstances"][0]["AllocatedStorage"] == 110,
        what="the storage has grown",
    )

    assert up(replace(small, storage_gb=105))[DB.address].action is Action.NO_OP


OTHERS = {
    "port": replace(DB, port=6543),
    "maintenance window": replace(DB, maintenance_window="mon:17:00-mon:17:30"),
    "log exports": replace(DB, log_exports=()),
    "storage limit": replace(DB, max_storage_gb=None),
}


@pytest.mark.parametrize("name", OTHERS)
def test_one_run_changes(up: Up, name: str) -> None:
    up(DB)

    assert up(OTHERS[name])[DB.address].action is Action.UPDATE

    assert up(OTHERS[name])[DB.address].action is Action.NO_OP


def test_services_receive_a_new_port_in_the_same_run(aws: Aws, up: Up) -> None:
    up(DatabasePointer("orderops/dev/database", DB, LOGIN))

    up(DatabasePointer("orderops/dev/database", replace(DB, port=6543), LOGIN))

    document = json.loads(aws.secretsmanager.get_secret_value(SecretId="orderops/dev/database")["SecretString"])
    assert document["port"] == 6543


def test_a_deletion_removes_protection_and_waits_for_states(aws: Aws, up: Up) -> None:
    up(replace(DB, deletion_protection=True))

    remove(DB, aws)

    snapshots = aws.rds.describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]
    assert [snapshot["DBInstanceIdentifier"] for snapshot in snapshots] == [DB.name]
    assert aws.rds.describe_db_instance_automated_backups()["DBInstanceAutomatedBackups"][0]["Status"] == "retained"


def test_a_major_version_comes_with_its_parameter_group(aws: Aws, up: Up) -> None:
    up(DB)
    newer = replace(DB, engine_version="17", parameter_group=RdsParameterGroup("orderops-dev-postgres17", "postgres17"))

    assert up(newer)[DB.address].action is Action.UPDATE

    assert up(newer)[DB.address].action is Action.NO_OP

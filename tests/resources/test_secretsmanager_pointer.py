"""The secret with the endpoint of the database."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.resource import Observed, Outputs
from orderops.engine.step import Action
from orderops.frozen import replace
from orderops.resources.ec2_subnet import Ec2Subnet
from orderops.resources.ec2_vpc import Ec2Vpc
from orderops.resources.rds_instance import RdsInstance
from orderops.resources.rds_parameter_group import RdsParameterGroup
from orderops.resources.rds_subnet_group import RdsSubnetGroup
from orderops.resources.secretsmanager_login import SecretsmanagerLogin
from orderops.resources.secretsmanager_pointer import DatabasePointer, DatabaseUserArn
from orderops.resources.secretsmanager_secret import SecretsmanagerSecret
from support.contract import Up, keeps_its_promises, remove
from support.faults import Fault, Faults, PowerCut

VPC = Ec2Vpc("orderops-dev", "10.0.0.0/16")
SUBNETS = tuple(
    Ec2Subnet(f"orderops-dev-isolated-{zone}", VPC, f"10.0.{number}.0/24", f"ap-southeast-2{zone}")
    for number, zone in enumerate("ab")
)
DB = RdsInstance(
    "orderops-dev-db",
    RdsSubnetGroup("orderops-dev-db", SUBNETS),
    RdsParameterGroup("orderops-dev-postgres16", "postgres16"),
    (),
)
LOGIN = SecretsmanagerLogin("orderops/dev/database-login", "orderops_service")
POINTER = DatabasePointer("orderops/dev/database", DB, LOGIN, "orders", "verify-full")


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    up(DB)  # so that the plan knows where it is
    keeps_its_promises(POINTER, aws, up, sslmode="require")


def test_the_secret_holds_the_endpoint_and_no_password(aws: Aws, up: Up) -> None:
    up(POINTER)

    raw = aws.rds.describe_db_instances()["DBInstances"][0]
    password = json.loads(_value(aws, raw["MasterUserSecret"]["SecretArn"]))["password"]
    assert json.loads(_value(aws)) == {
        "host": raw["Endpoint"]["Address"],
        "port": 5432,
        "dbname": "orders",
        "sslmode": "verify-full",
        "credentials": raw["MasterUserSecret"]["SecretArn"],
        "master": raw["MasterUserSecret"]["SecretArn"],
    }
    assert password not in _value(aws)


def test_the_secret_follows_the_promoted_instance(aws: Aws, up: Up) -> None:
    up(POINTER)
    other = replace(DB, name="orderops-dev-db-restored")

    step = up(replace(POINTER, instance=other))[POINTER.address]

    assert list(step.changes) == ["SecretString"]
    assert json.loads(_value(aws))["host"].startswith("orderops-dev-db-restored.")


@pytest.mark.parametrize("written", ['{"host": "elsewhere"}', "no JSON", '{"password": "hunter2"}', "[]"])
def test_an_overwritten_value_is_repaired_and_not_shown(aws: Aws, up: Up, written: str) -> None:
    up(POINTER)
    aws.secretsmanager.put_secret_value(SecretId=POINTER.name, SecretString=written)

    step = up(POINTER)[POINTER.address]

    assert list(step.changes) == ["SecretString"]
    assert "hunter2" not in str(step.changes)
    assert up(POINTER)[POINTER.address].action is Action.NO_OP


def test_different_whitespace_is_no_drift(aws: Aws, up: Up) -> None:
    up(POINTER)
    spaced = json.dumps(json.loads(_value(aws)), indent=4, sort_keys=True)
    aws.secretsmanager.put_secret_value(SecretId=POINTER.name, SecretString=spaced)

    assert up(POINTER)[POINTER.address].action is Action.NO_OP


def test_pointers_and_secrets_share_one_listing_without_interfering(aws: Aws, up: Up, the_faults: Faults) -> None:
    secret = SecretsmanagerSecret("orderops/dev/order-processor/API_KEY", "API_KEY of order-processor")
    up(POINTER, secret)
    the_faults.calls.clear()

    up(POINTER, secret)

    assert [call for call in the_faults.calls if call.startswith("secretsmanager.")] == [
        "secretsmanager.ListSecrets",
        # The listing may show a deleted secret, so the login and the other secret are read by their names too.
        "secretsmanager.DescribeSecret",
        "secretsmanager.DescribeSecret",
        "secretsmanager.GetSecretValue",
    ]
    remove(POINTER, aws)
    assert sorted(listed["Name"] for listed in _all(aws)) == [LOGIN.name, secret.name]


def test_a_deleted_resource_can_be_created_again_at_once(aws: Aws, up: Up) -> None:
    up(POINTER)
    assert DatabasePointer.holds(aws, next(DatabasePointer.listing(aws, Ownership("dev")))) == ""

    remove(POINTER, aws)

    assert up(POINTER)[POINTER.address].action is Action.CREATE


@pytest.mark.parametrize("call", range(3))
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    with power_cut("secretsmanager", after=call), pytest.raises(PowerCut):
        up(POINTER)

    up(POINTER)

    assert up(POINTER)[POINTER.address].action is Action.NO_OP


def test_the_resource_is_read_again_after_a_lost_answer(up: Up, lose_answer: Fault) -> None:
    with lose_answer("secretsmanager", "CreateSecret"):
        assert up(POINTER)[POINTER.address].action is Action.CREATE


def test_services_log_in_with_tokens_once_the_instance_has_the_role(aws: Aws, up: Up) -> None:
    tokens = replace(POINTER, iam_user="orderops_service_iam", region="ap-southeast-2")
    up(tokens)
    assert "login" not in json.loads(_value(aws))
    [raw] = aws.rds.describe_db_instances()["DBInstances"]
    role = {"Key": "orderops:service-iam-user", "Value": "orderops_service_iam"}
    aws.rds.add_tags_to_resource(ResourceName=raw["DBInstanceArn"], Tags=[role])

    up(tokens)

    value = json.loads(_value(aws))
    assert {key: value[key] for key in ("login", "username", "region")} == {
        "login": "iam",
        "username": "orderops_service_iam",
        "region": "ap-southeast-2",
    }
    assert up(tokens)[POINTER.address].action is Action.NO_OP


def test_services_log_in_by_password_although_the_instance_has_the_role_for_tokens(aws: Aws, up: Up) -> None:
    up(POINTER)
    [raw] = aws.rds.describe_db_instances()["DBInstances"]
    role = {"Key": "orderops:service-iam-user", "Value": "orderops_service_iam"}
    aws.rds.add_tags_to_resource(ResourceName=raw["DBInstanceArn"], Tags=[role])

    assert up(POINTER)[POINTER.address].action is Action.NO_OP


@pytest.mark.parametrize(("partition", "region"), [("aws", "ap-southeast-2"), ("aws-cn", "cn-north-1")])
def test_the_permission_to_connect_names_user_and_resource_id(partition: str, region: str) -> None:
    arn = f"arn:{partition}:rds:{region}:123456789012:db:{DB.name}"
    outputs = Outputs()
    outputs[DB] = Observed(DB.name, {"DbiResourceId": "db-ABC"}, arn=arn, name=DB.name)

    user = DatabaseUserArn(DB, user="orderops_service_iam")

    assert user.read(outputs) == f"arn:{partition}:rds-db:{region}:123456789012:dbuser:db-ABC/orderops_service_iam"
    assert user.read(Outputs()) == "(known after apply)"


def test_the_permission_to_connect_reaches_the_replicas_that_follow_the_database() -> None:
    def observed(name: str, **properties: object) -> Observed:
        return Observed(name, properties, arn=f"arn:aws:rds:ap-southeast-2:123456789012:db:{name}", name=name)

    replica = replace(DB, name="orderops-dev-replica")
    user = DatabaseUserArn(replica, user="orderops_service_iam", source_of_replica=DB)
    source, prefix = "SourceDBInstanceIdentifier", "arn:aws:rds-db:ap-southeast-2:123456789012:dbuser"
    outputs = Outputs()
    outputs[DB] = observed(DB.name, DbiResourceId="db-PRIMARY")

    assert user.read(outputs) == "(known after apply)"
    outputs[replica] = observed(replica.name, DbiResourceId="db-REPLICA", **{source: DB.name})
    assert user.read(outputs) == f"{prefix}:db-REPLICA/orderops_service_iam"
    outputs[replica] = observed(replica.name, **{source: None})
    assert user.read(outputs) == f"{prefix}:db-PRIMARY/orderops_service_iam"


def _value(aws: Aws, name: str = POINTER.name) -> str:
    return str(aws.secretsmanager.get_secret_value(SecretId=name)["SecretString"])


def _all(aws: Aws) -> Any:
    names = [{"Key": "name", "Values": ["orderops/dev/"]}]
    return aws.secretsmanager.list_secrets(Filters=names)["SecretList"]

"""Instances of the laptop that take tokens of IAM, through boto3: permissions, restarts, and turning tokens on."""

from __future__ import annotations

import json
from typing import Any

import boto3
import psycopg
import pytest

from support.laptop import Laptop, until

# End to end.
pytestmark = pytest.mark.slow

USER = "orders_tokens"


def token(laptop: Laptop, instance: dict[str, Any], key: dict[str, str] | None = None) -> str:
    """A token as AWS's SDK makes it, signed by the operator of the laptop or by a key of the account."""
    own = laptop.endpoint.key
    rds = boto3.client(
        "rds",
        region_name=Laptop.region,
        aws_access_key_id=key["AccessKeyId"] if key else own.id,
        aws_secret_access_key=key["SecretAccessKey"] if key else own.secret,
    )
    endpoint = instance["Endpoint"]
    return str(rds.generate_db_auth_token(endpoint["Address"], endpoint["Port"], USER, Laptop.region))


def opened(instance: dict[str, Any], password: str) -> bool:
    endpoint = instance["Endpoint"]
    where = {"host": endpoint["Address"], "port": endpoint["Port"], "dbname": "orders", "sslmode": "require"}
    try:
        psycopg.connect(user=USER, password=password, **where).close()
    except psycopg.OperationalError as error:
        assert f'PAM authentication failed for user "{USER}"' in str(error)
        return False
    return True


def made(laptop: Laptop, **settings: Any) -> dict[str, Any]:
    instance = laptop.create_database(**settings)
    with laptop.connect(instance) as session:
        session.execute(f"create role {USER} login; grant rds_iam to {USER}".encode())
    return instance


def allowed(action: str, resource: str) -> str:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_policies_of_the_signing_key_decide_which_instance_it_opens(laptop: Laptop) -> None:
    instance = made(laptop, EnableIAMDatabaseAuthentication=True)
    iam, name = laptop.client("iam"), laptop.name("user")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    arn = f"arn:aws:rds-db:{Laptop.region}:123456789012:dbuser:{instance['DbiResourceId']}/{USER}"

    assert opened(instance, token(laptop, instance))
    assert not opened(instance, token(laptop, instance, key))
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=allowed("rds-db:connect", f"{arn}x"))
    assert not opened(instance, token(laptop, instance, key))
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=allowed("rds-db:connect", arn))
    assert opened(instance, token(laptop, instance, key))
    iam.update_access_key(UserName=name, AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert not opened(instance, token(laptop, instance, key))


def test_tokens_are_turned_on_and_off_on_an_existing_instance(laptop: Laptop) -> None:
    instance = made(laptop)
    name, rds = instance["DBInstanceIdentifier"], laptop.client("rds")

    def turned(on: bool) -> None:
        rds.modify_db_instance(DBInstanceIdentifier=name, EnableIAMDatabaseAuthentication=on, ApplyImmediately=True)
        until(lambda: laptop.database(name)["IAMDatabaseAuthenticationEnabled"] is on, what="the setting")
        laptop.wait_for_database(name, "available")

    turned(True)
    until(lambda: opened_or_away(laptop, instance), what="a token opens it")
    assert laptop.database(name)["Endpoint"] == instance["Endpoint"]
    turned(False)
    assert not opened(instance, token(laptop, instance))
    laptop.connect(instance).close()


def opened_or_away(laptop: Laptop, instance: dict[str, Any]) -> bool:
    """Whether a token opens the instance; False also while its server moves behind the gateway."""
    try:
        return opened(instance, token(laptop, instance))
    except (psycopg.OperationalError, AssertionError):
        return False


def test_an_instance_with_tokens_outlives_a_killed_environment_and_a_reboot(own_laptop: Laptop) -> None:
    laptop = own_laptop
    instance = made(laptop, EnableIAMDatabaseAuthentication=True)
    name = instance["DBInstanceIdentifier"]
    assert opened(instance, token(laptop, instance))
    laptop.remembered()

    laptop.kill()
    laptop.start()
    again = laptop.wait_for_database(name, "available")
    until(lambda: opened_or_away(laptop, again), what="a token opens it again")
    laptop.connect(again).close()

    laptop.client("rds").reboot_db_instance(DBInstanceIdentifier=name)
    laptop.wait_for_database(name, "available")
    assert opened(again, token(laptop, again))
    assert again["Endpoint"] == instance["Endpoint"]


def test_a_stopped_instance_with_tokens_listens_no_more(laptop: Laptop) -> None:
    instance = made(laptop, EnableIAMDatabaseAuthentication=True)
    name = instance["DBInstanceIdentifier"]
    laptop.client("rds").stop_db_instance(DBInstanceIdentifier=name)
    laptop.wait_for_database(name, "stopped")

    with pytest.raises(psycopg.OperationalError, match="Connection refused"):
        laptop.connect(instance)
    laptop.client("rds").start_db_instance(DBInstanceIdentifier=name)
    laptop.wait_for_database(name, "available")
    assert opened(instance, token(laptop, instance))

from __future__ import annotations

import json
import os
import signal
import socket
from typing import Any

import psycopg
import pytest
from botocore.exceptions import ClientError

from orderops.local.rds.databases import ADMINISTRATOR
from orderops.local.rds.postgres import PostgresServer
from orderops.local.users import enterable
from support.laptop import Laptop, until


@pytest.fixture(scope="module")
def instance(laptop: Laptop) -> dict[str, Any]:
    """Database with one order."""
    database = laptop.create_database()
    with laptop.connect(database) as session:
        session.execute("CREATE TABLE orders AS SELECT 7 AS id")
    return database


def server_of(laptop: Laptop, instance: dict[str, Any]) -> PostgresServer:
    return PostgresServer(
        enterable(laptop.directory / "databases") / instance["DbiResourceId"] / "server", administrator=ADMINISTRATOR
    )


def test_the_secret_of_an_instance_opens_its_postgresql(laptop: Laptop, instance: dict[str, Any]) -> None:
    assert instance["Endpoint"] == {"Address": "127.0.0.1", "Port": instance["DbInstancePort"]} | {
        key: value for key, value in instance["Endpoint"].items() if key == "HostedZoneId"
    }
    with laptop.connect(instance) as session:
        row = session.execute("SELECT current_user, current_database(), current_setting('is_superuser')").fetchone()
        session.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")

    assert row == ("orders_admin", "orders", "off")


def test_a_new_instance_is_creating_and_has_no_endpoint(laptop: Laptop) -> None:
    name = laptop.name("db")
    response = laptop.client("rds").create_db_instance(
        DBInstanceIdentifier=name,
        DBInstanceClass="db.t3.micro",
        Engine="postgres",
        MasterUsername="boss",
        MasterUserPassword="chosen-by-hand",
        AllocatedStorage=20,
        Port=laptop.database_port(),
    )["DBInstance"]
    assert response["DBInstanceStatus"] == "creating"
    assert "Endpoint" not in response

    found = laptop.wait_for_database(name, "available")

    where = {"host": "127.0.0.1", "port": found["Endpoint"]["Port"], "dbname": "postgres"}
    psycopg.connect(**where, user="boss", password="chosen-by-hand").close()
    laptop.client("rds").delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)


def test_the_log_is_archived_from_the_base_backup_on(laptop: Laptop, instance: dict[str, Any]) -> None:
    server = server_of(laptop, instance)
    until(lambda: "LatestRestorableTime" in laptop.database(instance["DBInstanceIdentifier"]), what="a backup")
    with server.connect() as session:
        session.execute("CREATE TABLE IF NOT EXISTS written (id int)")
        segment = session.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()

    assert segment
    home = server.directory.parent
    until(lambda: (home / "archive" / segment[0]).exists(), what="the segment is archived")
    assert [one for one in (home / "backups").iterdir() if (one / "backup_label").exists()]


def test_a_crashed_server_is_restarted(laptop: Laptop, instance: dict[str, Any]) -> None:
    process = server_of(laptop, instance).process()
    assert process
    os.kill(process.pid, signal.SIGKILL)

    until(lambda: server_of(laptop, instance).ready and not process.is_running(), what="another server")

    assert laptop.database(instance["DBInstanceIdentifier"])["DBInstanceStatus"] == "available"
    with laptop.connect(instance) as session:
        assert session.execute("SELECT id FROM orders").fetchone() == (7,)


def test_a_server_shut_down_by_an_operator_stays_stopped_until_started(
    laptop: Laptop, instance: dict[str, Any]
) -> None:
    name = instance["DBInstanceIdentifier"]
    server_of(laptop, instance).stop()
    laptop.wait_for_database(name, "stopped")
    assert laptop.status()["databases"][name]["state"] == "stopped"

    laptop.client("rds").start_db_instance(DBInstanceIdentifier=name)
    laptop.wait_for_database(name, "available")

    with laptop.connect(instance) as session:
        assert session.execute("SELECT id FROM orders").fetchone() == (7,)


def test_stop_and_reboot_act_on_the_server(laptop: Laptop, instance: dict[str, Any]) -> None:
    rds, name = laptop.client("rds"), instance["DBInstanceIdentifier"]
    before = server_of(laptop, instance).process()
    rds.reboot_db_instance(DBInstanceIdentifier=name)
    laptop.wait_for_database(name, "available")
    assert server_of(laptop, instance).process() != before

    rds.stop_db_instance(DBInstanceIdentifier=name)
    with pytest.raises(ClientError, match="InvalidDBInstanceState"):
        rds.reboot_db_instance(DBInstanceIdentifier=name)
    laptop.wait_for_database(name, "stopped")
    assert not server_of(laptop, instance).running

    rds.start_db_instance(DBInstanceIdentifier=name)
    laptop.wait_for_database(name, "available")


@pytest.mark.parametrize("how", ["rds", "secretsmanager"])
def test_a_rotated_password_opens_the_database_and_the_old_one_does_not(
    laptop: Laptop, instance: dict[str, Any], how: str
) -> None:
    secrets, arn = laptop.client("secretsmanager"), instance["MasterUserSecret"]["SecretArn"]
    old = json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"])
    if how == "rds":
        laptop.client("rds").modify_db_instance(
            DBInstanceIdentifier=instance["DBInstanceIdentifier"], RotateMasterUserPassword=True, ApplyImmediately=True
        )
    else:
        secrets.rotate_secret(SecretId=arn)

    def opens() -> bool:
        try:
            laptop.connect(instance).close()
        except psycopg.OperationalError:
            return False
        return True

    until(opens, what="the new password")
    where = {"host": "127.0.0.1", "port": instance["Endpoint"]["Port"], "dbname": "orders"}
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(**where, user=old["username"], password=old["password"])


def test_the_port_of_another_instance_is_avoided_and_that_of_a_program_refused(
    laptop: Laptop, instance: dict[str, Any]
) -> None:
    second = laptop.create_database(Port=instance["Endpoint"]["Port"])
    assert second["Endpoint"]["Port"] != instance["Endpoint"]["Port"]
    with laptop.connect(second) as session:
        assert session.execute("SELECT to_regclass('orders')").fetchone() == (None,)
    laptop.client("rds").delete_db_instance(DBInstanceIdentifier=second["DBInstanceIdentifier"], SkipFinalSnapshot=True)

    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ClientError, match="taken by another program"):
        laptop.create_database(Port=taken.getsockname()[1])


def test_a_renamed_instance_keeps_its_data(laptop: Laptop, instance: dict[str, Any]) -> None:
    rds, old, new = laptop.client("rds"), instance["DBInstanceIdentifier"], laptop.name("renamed")
    other = laptop.create_database()["DBInstanceIdentifier"]
    with pytest.raises(rds.exceptions.DBInstanceAlreadyExistsFault):
        rds.modify_db_instance(DBInstanceIdentifier=old, NewDBInstanceIdentifier=other, ApplyImmediately=True)

    rds.modify_db_instance(DBInstanceIdentifier=old, NewDBInstanceIdentifier=new, ApplyImmediately=True)

    with laptop.connect(laptop.wait_for_database(new, "available")) as session:
        assert session.execute("SELECT id FROM orders").fetchone() == (7,)
    rds.modify_db_instance(DBInstanceIdentifier=new, NewDBInstanceIdentifier=old, ApplyImmediately=True)
    rds.delete_db_instance(DBInstanceIdentifier=other, SkipFinalSnapshot=True)


def test_a_deleted_instance_leaves_no_files(laptop: Laptop) -> None:
    rds, instance = laptop.client("rds"), laptop.create_database()
    name, server = instance["DBInstanceIdentifier"], server_of(laptop, instance)
    process = server.process()
    response = rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)["DBInstance"]
    assert response["DBInstanceStatus"] == "deleting"

    def gone() -> bool:
        try:
            laptop.database(name)
        except rds.exceptions.DBInstanceNotFoundFault:
            return True
        return False

    until(gone, what="the instance is deleted")
    assert process
    assert not process.is_running()
    assert not server.directory.parent.exists()

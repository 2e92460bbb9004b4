"""The users of a real server, as `database users` lists them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pytest

from orderops.database import schema_owner, service_role
from orderops.database.users import DatabaseUser, users
from orderops.local.rds import roles
from orderops.local.rds.postgres import PostgresServer

pytest_plugins = ["support.postgres_fixtures"]

MADE = ("jane", "gone", "batch", "orderops_service_b", "orderops_service", "orderops_reader", "orderops_owner")


@pytest.fixture
def master(postgres: PostgresServer) -> Iterator[psycopg.Connection]:
    name = f"users_{uuid.uuid4().hex[:8]}"
    roles.set_up(postgres, "users_keeper", "of-the-master", name)
    with psycopg.connect(
        postgres.dsn(name), user="users_keeper", password="of-the-master", autocommit=True
    ) as connection:
        yield connection
    postgres.drop_database(name)
    with postgres.connect() as administrator:
        for role in MADE:
            administrator.execute(f"drop role if exists {role}".encode())
    for template in ("template1", "postgres"):
        with postgres.connect(template) as administrator:
            administrator.execute("drop extension if exists pg_stat_statements")


def found(master: psycopg.Connection) -> dict[str, DatabaseUser]:
    return {user.name: user for user in users(master)}


def test_each_user_is_named_with_what_it_may(master: psycopg.Connection) -> None:
    master.execute("create table orders (id int)")
    service_role.establish(master, "orderops_service_b", "of-the-services")
    master.execute("create role jane login valid until '2030-01-01'; grant orderops_reader to jane")
    master.execute("create role batch login")

    listed = found(master)

    assert listed["users_keeper"].may == "administer the server, change the schema"
    assert listed["orderops_service_b"].may == "read and write every table"
    assert listed["jane"].may == "read every table"
    assert listed["batch"].may == "what was granted to it alone"
    assert listed["jane"].to_dict()["valid_until"].startswith("20")
    assert "orderops_service" not in listed
    assert not [name for name in listed if name.startswith(("pg_", "rds"))]


def test_sessions_are_counted_and_dated(master: psycopg.Connection) -> None:
    keeper = found(master)["users_keeper"]

    assert keeper.sessions == 1
    assert keeper.connected_since is not None


def test_a_user_that_cannot_log_in_any_more_is_listed_while_it_is_connected(
    postgres: PostgresServer, master: psycopg.Connection
) -> None:
    master.execute("create role gone login password 'of-the-gone'")
    where = postgres.dsn(master.info.dbname)
    with psycopg.connect(where, user="gone", password="of-the-gone", autocommit=True):
        master.execute("alter role gone nologin")

        assert (found(master)["gone"].logs_in, found(master)["gone"].sessions) == (False, 1)


def test_only_a_member_with_the_rights_of_rds_iam_logs_in_by_token(
    postgres: PostgresServer, master: psycopg.Connection
) -> None:
    """Whoever makes a role may give it away, which is no membership: RDS takes the master user's password still."""
    master.execute("create role jane login; grant rds_iam to jane")

    listed = found(master)

    assert (listed["jane"].to_dict()["by"], listed["users_keeper"].to_dict()["by"]) == ("iam", "password")


def test_the_owner_of_the_schema_is_listed_with_those_who_may_become_it(master: psycopg.Connection) -> None:
    schema_owner.make_role(master)
    master.execute("create role jane login; grant orderops_owner to jane; create table orders (id int)")

    listed = found(master)

    assert (listed["orderops_owner"].may, listed["orderops_owner"].logs_in) == ("own the schema", False)
    assert listed["jane"].may == "change the schema"
    # The maker of a role is a member of it twice, by PostgreSQL and by its own grant.
    assert listed["users_keeper"].member_of == ("orderops_owner",)
    assert listed["users_keeper"].may == (
        "administer the server, change the schema, own 1 table that orderops_owner does not"
    )

"""The role for tokens of IAM on a real server: what it may do, and that the master user stays able to log in."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from orderops.database import iam_role, service_role
from orderops.database.connection import Login, connect
from orderops.errors import OrderopsError
from orderops.local.ports import free_port
from orderops.local.rds import roles
from orderops.local.rds.certificates import certificate_file
from orderops.local.rds.gateway import Gateway
from orderops.local.rds.postgres import PostgresServer

pytest_plugins = ["support.postgres_fixtures"]

ROLE, MASTER = "orderops_service_iam", "tokens_keeper"


@pytest.fixture
def name(postgres: PostgresServer) -> Iterator[str]:
    name = f"tokens_{uuid.uuid4().hex[:8]}"
    roles.set_up(postgres, MASTER, "of-the-master", name)
    yield name
    postgres.drop_database(name)
    with postgres.connect() as administrator:
        for role in (ROLE, "orderops_service"):
            administrator.execute(f"drop role if exists {role}".encode())
    for template in ("template1", "postgres"):
        with postgres.connect(template) as administrator:
            administrator.execute("drop extension if exists pg_stat_statements")


@pytest.fixture
def login(postgres: PostgresServer, name: str, tmp_path: Path) -> Iterator[Login]:
    """The master user's login at a port that takes one token, as RDS does for members of rds_iam."""

    def problem(token: str, _user: str) -> str:
        return "" if token == "token" else "it is another one"

    gateway = Gateway(postgres, certificate_file(tmp_path / "certificate.pem"), problem)
    gateway.open(free_port())
    yield Login("127.0.0.1", gateway.port, name, "require", MASTER, "of-the-master")
    gateway.close()


def opens(login: Login) -> Callable[[], None]:
    def again() -> None:
        with connect(login):
            pass

    return again


def made(login: Login) -> None:
    with connect(login) as master:
        master.execute("create table orders (id bigserial primary key, total numeric)")
        service_role.establish(master, "orderops_service", "of-the-services")
        iam_role.establish(master, opens(login))


def by_token(login: Login) -> psycopg.Connection:
    where = login.parameters
    return psycopg.connect(
        host="127.0.0.1", port=where["port"], dbname=login.dbname, user=ROLE, password="token", autocommit=True
    )


def test_it_may_do_what_the_role_with_the_password_may_do_and_no_more(login: Login) -> None:
    made(login)

    with by_token(login) as service:
        service.execute("insert into orders (total) values (1)")
        assert service.execute("select id, total from orders").fetchall() == [(1, 1)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            service.execute("create table mine (id int)")


def test_a_table_that_a_migration_creates_later_is_granted_once_for_both(login: Login) -> None:
    made(login)
    with connect(login) as master:
        master.execute("create table later (id int)")

    with by_token(login) as service:
        assert service.execute("select count(*) from later").fetchone() == (0,)


def test_no_password_opens_it(login: Login) -> None:
    made(login)

    with pytest.raises(psycopg.OperationalError, match="PAM authentication failed"):
        psycopg.connect(host="127.0.0.1", port=login.port, dbname=login.dbname, user=ROLE, password="of-the-services")


def test_repeating_it_changes_nothing(login: Login, postgres: PostgresServer) -> None:
    made(login)
    memberships = "select roleid::regrole::text from pg_auth_members where member = %s::regrole order by 1"

    with connect(login) as master:
        iam_role.establish(master, opens(login))
        found = master.execute(memberships, [ROLE]).fetchall()

    assert found == [("orderops_service",), ("rds_iam",)]


def test_the_master_user_still_logs_in_by_password(login: Login) -> None:
    made(login)

    opens(login)()


def test_a_master_user_that_would_be_locked_out_stays_in(login: Login, postgres: PostgresServer) -> None:
    with connect(login) as master:
        service_role.establish(master, "orderops_service", "of-the-services")
        # As tools do that make roles for others; every membership counts, also one through another role.
        master.execute(f"create role {ROLE} login; grant {ROLE} to {MASTER}".encode())

        with pytest.raises(OrderopsError, match=r"the server refuses the master user: .*PAM authentication") as refusal:
            iam_role.establish(master, opens(login))

    assert "revoke orderops_service_iam from MASTER" in refusal.value.hint
    opens(login)()


def test_a_server_without_rds_iam_is_told_from_rds(login: Login, postgres: PostgresServer) -> None:
    with postgres.connect() as administrator:
        administrator.execute("drop role rds_iam")
    try:
        with connect(login) as master:
            service_role.establish(master, "orderops_service", "of-the-services")
            with pytest.raises(OrderopsError, match="has no role rds_iam") as refusal:
                iam_role.establish(master, opens(login))
    finally:
        roles.set_up_tokens(postgres)

    assert 'login = "password"' in refusal.value.hint

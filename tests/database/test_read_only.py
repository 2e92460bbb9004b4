"""Why a write is refused: a replica, or a setting of the database, role, client, session or transaction."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest
from psycopg import sql

from orderops.database.connection import connect, login_from_dsn
from orderops.database.read_only import why_read_only
from orderops.errors import OrderopsError

pytest_plugins = ["support.postgres_fixtures"]

OFF = "default_transaction_read_only"


@pytest.fixture
def role(database: str) -> Iterator[str]:
    name = "Ana's"
    with psycopg.connect(database, autocommit=True) as session:
        session.execute("create role \"Ana's\" login superuser password 'secret'")
        yield name
        session.execute('drop owned by "Ana\'s"; drop role "Ana\'s"')


def refused(dsn: str, *before: str) -> OrderopsError:
    message = "cannot execute CREATE TABLE in a read-only transaction"
    with pytest.raises(OrderopsError, match=message) as error, connect(login_from_dsn(dsn)) as session:
        for statement in before:
            session.execute(statement.encode())
        session.execute("create table orders (id int)")
    return error.value


@pytest.mark.parametrize(
    ("where", "says", "command"),
    [
        ("database {database}", "set for the database", "alter database {database} reset"),
        ("role {role}", "set for the role (", "alter role {role} reset"),
        (
            "role {role} in database {database}",
            "set for the role in this",
            "alter role {role} in database {database} reset",
        ),
    ],
    ids=["database", "role", "both"],
)
def test_the_command_that_removes_the_setting_works(
    database: str, role: str, where: str, says: str, command: str
) -> None:
    with psycopg.connect(database, autocommit=True) as session:
        assert session.info.dbname
        names = {"database": sql.Identifier(session.info.dbname), "role": sql.Identifier(role)}
        session.execute(sql.SQL("alter " + where + f" set {OFF} = on").format(**names))
        quoted = {name: value.as_string(session) for name, value in names.items()}
    dsn = psycopg.conninfo.make_conninfo(database, user=role, password="secret")

    hint = refused(dsn).hint

    assert hint.startswith(f"{OFF} is on, {says}")
    remove = hint.partition("remove it: ")[2]
    assert remove == f"{command.format(**quoted)} {OFF}"
    with psycopg.connect(dsn, autocommit=True, options=f"-c {OFF}=off") as session:
        session.execute(remove.encode())
    with connect(login_from_dsn(dsn)) as session:
        session.execute("create table orders (id int)")


@pytest.mark.parametrize(
    ("before", "says"),
    [
        ([f"set {OFF} = on"], f"{OFF} is on, set in this session"),
        (["begin", "set transaction read only"], "a statement made this transaction read-only"),
        (["begin read only"], "a statement made this transaction read-only"),
    ],
    ids=["session", "transaction", "begin"],
)
def test_a_session_that_made_itself_read_only_is_no_replica(database: str, before: list[str], says: str) -> None:
    assert refused(database, *before).hint.startswith(says)


def test_options_of_the_client_are_named(database: str) -> None:
    dsn = psycopg.conninfo.make_conninfo(database, options=f"-c {OFF}=on")

    assert "PGOPTIONS" in refused(dsn).hint


def test_the_setting_of_a_server_is_named(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with psycopg.connect(database, autocommit=True) as session:
        session.execute(f"alter system set {OFF} = on".encode())
        session.execute("select pg_reload_conf()")
    try:
        with psycopg.connect(database, autocommit=True) as session:
            while session.execute(f"show {OFF}".encode()).fetchone() != ("on",):
                pass
        assert "set for the whole server (configuration file)" in refused(database).hint
    finally:
        with psycopg.connect(database, autocommit=True, options=f"-c {OFF}=off") as session:
            session.execute(f"alter system reset {OFF}".encode())
            session.execute("select pg_reload_conf()")
            while session.execute("select setting from pg_file_settings where name = %s", [OFF]).fetchone():
                pass


def test_a_replica_is_named() -> None:
    rows = iter([(True, "off", "default"), ("ana", "orders")])
    standby: Any = SimpleNamespace(
        info=SimpleNamespace(transaction_status=0), execute=lambda *_: SimpleNamespace(fetchone=lambda: next(rows))
    )

    hint = why_read_only(cast(psycopg.Connection, standby))

    assert hint.startswith("this server is a replica or still recovers")
    assert "connect to its primary" in hint

"""The master user's password: no statement that sets it can be read anywhere."""

from __future__ import annotations

import psycopg
import pytest

from orderops.local.rds import roles
from orderops.local.rds.postgres import PostgresServer

pytest_plugins = ["support.postgres_fixtures"]

USER = 'orders "admin"'
NAME = '"orders ""admin"""'
LEFT = (
    "select query from {0} where query ilike '%password%' and query not ilike '%pg_stat%'"
    " or query like '%SCRAM%' and query not ilike '%pg_stat%'"
)


@pytest.mark.parametrize("word", ["Swordfish-81", "it's $$ \\ Zoë"])
def test_a_password_is_in_no_statement_that_the_server_keeps(
    postgres: PostgresServer, database: str, word: str
) -> None:
    with psycopg.connect(database, autocommit=True) as session:
        session.execute("create extension if not exists pg_stat_statements; select pg_stat_statements_reset()")
        session.execute(f"create role {NAME}".encode())
        roles.set_password(postgres, USER, word)

        for view in ("pg_stat_statements", "pg_stat_activity"):
            assert session.execute(LEFT.format(view).encode()).fetchall() == []
        [(kept,)] = session.execute("select rolpassword from pg_authid where rolname = %s", [USER]).fetchall()
        session.execute(f"alter role {NAME} login".encode())
        psycopg.connect(database, user=USER, password=word).close()
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(database, user=USER, password=f"{word}x")
        session.execute(f"drop role {NAME}".encode())

    assert kept.startswith("SCRAM-SHA-256$4096:")
    assert word not in postgres.log.read_text(errors="replace")

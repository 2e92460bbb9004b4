"""Every rewrite that lint offers, run on a server: it ends as the original statement does, and holds no client up."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orderops.local.rds.postgres import PostgresServer
from orderops.migrations.lint.linter import lint
from orderops.migrations.schema_snapshot import differences, schema_lines, thing_of
from orderops.migrations.sql.files import SqlFile, read_migrations
from support.lint_folder import BASE, write
from support.lint_server import IN_NO_TRANSACTION, WRITES_WAIT, Watched, locks_while_waiting, statements_of
from support.rewrite_cases import (
    CASES,
    NEXT_FILE,
    ROWS,
    Definition,
    OnPurpose,
    Other,
    Removed,
    Same,
    Unfinished,
    found_in,
)

pytest_plugins = ["support.postgres_fixtures"]

# What a client writes next: the default of a new column, and its next number.
NEXT_ROW = "INSERT INTO users (id, name, email) VALUES (100, 'next', 'next')"


@pytest.fixture(scope="module")
def place(postgres: PostgresServer) -> Iterator[str]:
    """The DSN of a database of which every test makes the schema anew."""
    name = f"rewrites_{uuid.uuid4().hex[:12]}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


@pytest.fixture
def connection(place: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(place, autocommit=True) as connection:
        connection.execute("SET client_min_messages TO error")
        yield connection


def prepared(connection: psycopg.Connection, case: Any) -> None:
    """The schema and rows before a migration."""
    for schema in ("public", '"Shop"'):
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())
    connection.execute(
        f"CREATE SCHEMA public; {BASE}; {getattr(case, 'before', '')}; {getattr(case, 'rows', ROWS)}".encode()
    )


def state(connection: psycopg.Connection, random: str = "") -> tuple[list[str], list[Any]]:
    """The schema, the rows, and what a client gets that writes the next row."""
    try:
        answer = connection.execute(f"{NEXT_ROW} RETURNING to_jsonb(users)".encode()).fetchone()
        next_row = masked((answer or [{}])[0], random)
    except psycopg.Error as error:
        next_row = {"refused": error.sqlstate}
    tables = connection.execute(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r'"
        " AND relnamespace::regnamespace::text !~ '^(pg_|info)' ORDER BY 1"
    ).fetchall()
    rows = [
        [
            name,
            sorted(
                json.dumps(masked(row, random), sort_keys=True)
                for (row,) in connection.execute(f"SELECT to_jsonb(each) FROM {name} each".encode())
            ),
        ]
        for (name,) in tables
    ]
    return schema_lines(connection), [next_row, rows]


def masked(row: dict[str, Any], random: str) -> dict[str, Any]:
    return {name: value is None if name == random else value for name, value in row.items()}


def carried_out(connection: psycopg.Connection, rewrite: str, dsn: str) -> list[str]:
    """Run the files of a rewrite as orderops does; the statements that hold clients up."""
    stalls = []
    for text in rewrite.split(NEXT_FILE):
        file = SqlFile(Path("V002__case.sql"), text.strip() + "\n")
        statements = [statement.text for statement in statements_of(file.text)]
        if not file.head.no_transaction:
            with connection.transaction():
                stalls += watched(connection, statements)
            continue
        for statement in statements:
            try:
                with connection.transaction():
                    stalls += watched(connection, [statement])
            except psycopg.Error as error:
                if error.sqlstate != IN_NO_TRANSACTION:
                    raise
                locks = locks_while_waiting(dsn, statement)
                stalls += [f"{statement}: {name}" for name, modes in locks.items() if modes & WRITES_WAIT]
    return stalls


def watched(connection: psycopg.Connection, statements: list[str]) -> list[str]:
    session = Watched(connection)
    return [f"{statement}: {held}" for statement in statements if (held := session.run(statement).stalls)]


def cases_of(*kinds: type) -> list[str]:
    return [name for name, case in CASES.items() if isinstance(case, kinds)]


@pytest.mark.parametrize("name", cases_of(Same, Other))
def test_a_rewrite_ends_as_the_statement_and_holds_no_client_up(
    name: str, tmp_path: Path, place: str, connection: psycopg.Connection
) -> None:
    case = CASES[name]
    random = case.random if isinstance(case, Same) else ""
    prepared(connection, case)
    for statement in statements_of(case.text):
        connection.execute(statement.text.encode())
    wanted, wanted_rows = state(connection, random)

    found = [finding for finding in found_in(tmp_path, case) if statements_of(finding.rewrite.replace(NEXT_FILE, ""))]

    assert found
    for finding in found:
        prepared(connection, case)
        assert carried_out(connection, finding.rewrite, place) == []
        schema, rows = state(connection, random)
        differing = differences(wanted, schema)
        if isinstance(case, Other):
            assert {thing_of(line) for line in differing} == case.things
        else:
            assert differing == []
            assert rows == wanted_rows


@pytest.mark.parametrize("name", cases_of(OnPurpose))
def test_a_rewrite_without_another_way_is_the_statement_with_its_conditions(
    name: str, tmp_path: Path, connection: psycopg.Connection
) -> None:
    case = CASES[name]

    (finding,) = found_in(tmp_path, case)

    comment, ignore, statement = finding.rewrite.splitlines()
    assert comment.startswith("-- ") and ignore == f"-- squawk-ignore {finding.rule}"
    assert normalized(statement) == normalized(case.text)


def normalized(text: str) -> str:
    return " ".join(statements_of(text)[0].text.replace("(", " ( ").replace(")", " ) ").split()).casefold()


@pytest.mark.parametrize("name", cases_of(Removed))
def test_a_statement_to_be_left_out_has_a_rewrite_without_statements(name: str, tmp_path: Path) -> None:
    found = found_in(tmp_path, CASES[name])

    assert found
    assert [statements_of(finding.rewrite) for finding in found] == [[]] * len(found)


@pytest.mark.parametrize("name", cases_of(Unfinished))
def test_what_the_files_do_not_say_is_left_to_the_reader(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    assert isinstance(case, Unfinished)

    (finding,) = found_in(tmp_path, case)

    assert case.note in finding.rewrite.splitlines()


@pytest.mark.parametrize("name", cases_of(Definition))
def test_a_proposed_definition_makes_the_column(name: str, tmp_path: Path, connection: psycopg.Connection) -> None:
    case = CASES[name]
    assert isinstance(case, Definition)
    prepared(connection, case)

    (finding,) = found_in(tmp_path, case)

    assert finding.rewrite == f"-- {case.definition}"
    connection.execute(f"CREATE TABLE proposed ({case.definition})".encode())


# name: the V file, and what the proposed undo leaves different from before; columns come back as far as they are known
UNDONE: dict[str, tuple[str, set[str]]] = {
    "table": ("CREATE TABLE t (id bigint)", set()),
    "column": ("ALTER TABLE users ADD b text", set()),
    "index": ("CREATE INDEX i ON users (id)", set()),
    "dropped index": ("DROP INDEX users_by_name", set()),
    "dropped column": ("ALTER TABLE users DROP legacy", set()),
    "name of a column": ("ALTER TABLE users RENAME email TO mail", set()),
    "name of a table": ("ALTER TABLE users RENAME TO people", set()),
    "constraint": ("ALTER TABLE users ADD CONSTRAINT c CHECK (id > 0) NOT VALID", set()),
    "view": ("CREATE VIEW v AS SELECT 1", set()),
    "materialized view": ("CREATE MATERIALIZED VIEW v AS SELECT 1", set()),
    "sequence": ("CREATE SEQUENCE q", set()),
    "type": ("CREATE TYPE m AS ENUM ('a')", set()),
    "schema": ("CREATE SCHEMA s", set()),
    "function": ("CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'select 1'", set()),
    "policy": ("CREATE POLICY p ON users USING (true)", set()),
    "rule": ("CREATE RULE r AS ON DELETE TO users DO ALSO NOTIFY gone", set()),
}


@pytest.mark.parametrize("name", UNDONE)
def test_a_proposed_undo_restores_the_schema(
    name: str, tmp_path: Path, place: str, connection: psycopg.Connection
) -> None:
    text, differing = UNDONE[name]
    prepared(connection, None)
    before, _ = state(connection)
    write(tmp_path, (text, "SELECT 1 WHERE false; ALTER TABLE items ALTER line DROP NOT NULL"))
    (tmp_path / "U002__case.sql").write_text("-- nothing\n")
    (finding,) = (finding for finding in lint(read_migrations(tmp_path), only=[2]) if finding.rule == "undo-empty")

    prepared(connection, None)
    connection.execute(text.encode())
    carried_out(connection, finding.rewrite, place)

    assert {thing_of(line) for line in differences(before, state(connection)[0])} == differing

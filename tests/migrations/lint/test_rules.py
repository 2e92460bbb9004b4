"""Each rule: findings, positions, exceptions, and rewrites without findings."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from orderops.migrations.lint.catalog import ERRORS
from orderops.migrations.sql.files import SqlFile
from orderops.migrations.sql.parser import read_script
from support.lint_folder import ANYTHING, BASE, forwards, linted, places

NEXT_FILE = "-- next file:"

pytest_plugins = ["support.postgres_fixtures"]

ALONE = "-- orderops: no-transaction\n"
BATCH = "-- orderops: batch 1000 by id\n"
ROWS = """\
INSERT INTO users SELECT each, 'name', 'mail ' || each FROM generate_series(1, 3) each;
INSERT INTO orders SELECT each + 10, each, each FROM generate_series(1, 3) each;
"""
# name: the file, and what is found in it as rule:line
FOUND: dict[str, tuple[str, list[str]]] = {
    "UPDATE of a whole table": ("\nUPDATE users SET name = 'x';", ["update-without-where:2"]),
    "UPDATE where nothing is chosen": ("UPDATE users SET name = 'x' WHERE true;", ["update-without-where:1"]),
    "DELETE of a whole table": ("DELETE FROM orders;", ["delete-without-where:1"]),
    "a comment in the end": ("DELETE FROM orders -- all of them\n;", ["delete-without-where:1"]),
    "TRUNCATE": ("TRUNCATE users, orders CASCADE;", ["truncate:1"]),
    "VACUUM FULL": (f"{ALONE}VACUUM (FULL, ANALYZE) users;", ["vacuum-full:2"]),
    "CLUSTER": ("CLUSTER users USING users_by_name;", ["cluster:1"]),
    "LOCK TABLE": ("LOCK TABLE users;", ["lock-table:1"]),
    "BEGIN and COMMIT": ("BEGIN;\nALTER TABLE users ADD COLUMN b text;\nCOMMIT;", []),
    "COMMIT and BEGIN in the middle": (
        "ALTER TABLE users ADD COLUMN b text;\nCOMMIT;\nBEGIN;\nALTER TABLE users ADD COLUMN c text;",
        ["transaction-control:2", "transaction-control:3"],
    ),
    "a limit of its own": ("SET lock_timeout = '5s';\nALTER TABLE users ADD b text;", ["timeout-in-file:1"]),
    "a limit by a function": ("SELECT set_config('statement_timeout', '0', true);", ["timeout-in-file:1"]),
    "CONCURRENTLY in a transaction": (
        "CREATE INDEX CONCURRENTLY i ON users (email);",
        ["needs-no-transaction:1"],
    ),
    "DROP CONCURRENTLY in a transaction": ("DROP INDEX CONCURRENTLY users_by_name;", ["needs-no-transaction:1"]),
    "CONCURRENTLY without a name": (f"{ALONE}CREATE INDEX CONCURRENTLY ON users (email);", ["cannot-be-applied:2"]),
    "no transaction for nothing": (
        f"-- Why not.\n{ALONE}ALTER TABLE users ADD COLUMN b text;",
        ["needless-no-transaction:2"],
    ),
    "serial": (
        "ALTER TABLE users ADD COLUMN b bigserial;",
        ["volatile-default:1", "prefer-identity:1"],
    ),
    "identity": (
        "ALTER TABLE users ADD COLUMN b bigint GENERATED ALWAYS AS IDENTITY;",
        ["adding-field-with-default:1"],
    ),
    "a default that differs": (
        "ALTER TABLE users\n  ADD COLUMN b text,\n  ADD COLUMN c uuid NOT NULL DEFAULT gen_random_uuid();",
        ["adding-field-with-default:3"],
    ),
    "a stored expression": (
        "ALTER TABLE users ADD COLUMN b bigint GENERATED ALWAYS AS (id * 2) STORED;",
        ["adding-field-with-default:1"],
    ),
    "a column with a CHECK": (
        "ALTER TABLE users ADD COLUMN b bigint CHECK (b > 0);",
        ["adding-field-with-check:1"],
    ),
    "a column that must be there": (
        "ALTER TABLE users ADD COLUMN b text NOT NULL;",
        ["adding-required-field:1"],
    ),
    "a column that refers": (
        "ALTER TABLE users ADD COLUMN b bigint DEFAULT 11 REFERENCES orders (number);",
        ["adding-foreign-key-constraint:1"],
    ),
    "a column that is unique": (
        "ALTER TABLE users ADD COLUMN b bigint UNIQUE;",
        ["disallowed-unique-constraint:1"],
    ),
    "FOREIGN KEY": (
        "ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE;",
        ["adding-foreign-key-constraint:1"],
    ),
    "CHECK without a name": ("ALTER TABLE orders ADD CHECK (total > 0);", ["constraint-missing-not-valid:1"]),
    "UNIQUE": (
        "ALTER TABLE users ADD UNIQUE NULLS NOT DISTINCT (email) INCLUDE (name) DEFERRABLE;",
        ["disallowed-unique-constraint:1"],
    ),
    "PRIMARY KEY": ("ALTER TABLE users ADD PRIMARY KEY (email);", ["adding-serial-primary-key-field:1"]),
    "EXCLUDE": (
        "ALTER TABLE users ADD EXCLUDE USING gist (email WITH =);",
        ["constraint-missing-not-valid:1"],
    ),
    "NOT VALID and VALIDATE together": (
        "ALTER TABLE orders ADD CONSTRAINT c CHECK (total > 0) NOT VALID;\nALTER TABLE orders VALIDATE CONSTRAINT c;",
        ["constraint-missing-not-valid:2"],
    ),
    "SET NOT NULL": ("ALTER TABLE users ALTER email SET NOT NULL;", ["adding-not-nullable-field:1"]),
    "a type": ("ALTER TABLE users ALTER legacy TYPE text USING legacy::date::text;", ["changing-column-type:1"]),
    "a shorter type": ("ALTER TABLE users ALTER name TYPE varchar(5);", ["changing-column-type:1"]),
    "RENAME COLUMN": ("ALTER TABLE users RENAME email TO mail;", ["renaming-column:1"]),
    "RENAME": ("ALTER TABLE users RENAME TO people;", ["renaming-table:1"]),
    "DROP COLUMN": ("ALTER TABLE users DROP COLUMN email CASCADE;", ["ban-drop-column:1"]),
    "DROP TABLE": ("DROP TABLE items;", ["ban-drop-table:1"]),
    "CREATE INDEX": ("CREATE INDEX ON users (lower(email)) WHERE id > 5;", ["require-concurrent-index-creation:1"]),
    "DROP INDEX": ("DROP INDEX users_by_name;", ["require-concurrent-index-deletion:1"]),
    "REINDEX": ("REINDEX (VERBOSE) TABLE users;", ["require-concurrent-reindex:1"]),
    "DETACH": ("ALTER TABLE orders DETACH PARTITION items;", ["require-concurrent-partition-detach:1"]),
    "schema and data": (
        "ALTER TABLE users ADD COLUMN b text;\nUPDATE users SET b = name WHERE b IS NULL;",
        ["schema-and-data-mixed:2"],
    ),
    "data and schema": (
        "DELETE FROM orders WHERE total = 0;\nALTER TABLE users ADD COLUMN b text;",
        ["schema-and-data-mixed:1"],
    ),
    "schema and copied rows": (
        "ALTER TABLE users ADD COLUMN b text;\nINSERT INTO users (id) SELECT number FROM orders;",
        ["schema-and-data-mixed:2"],
    ),
    "two tables": (
        "ALTER TABLE users ADD COLUMN b text;\nALTER TABLE orders ADD COLUMN b text;",
        ["locks-pile-up:2"],
    ),
    "batch of two": (
        f"{BATCH}UPDATE users SET name = 'x';\nDELETE FROM users;",
        ["batch-impossible:2"],
    ),
    "batch of something else": (f"{BATCH}ALTER TABLE users ADD COLUMN b text;", ["batch-impossible:2"]),
    "batch with RETURNING": (f"{BATCH}DELETE FROM users RETURNING id;", ["batch-impossible:2"]),
    "batch that moves its own key": (f"{BATCH}UPDATE users SET id = -id;", ["batch-impossible:2"]),
    "a wrong directive": ("-- Head.\n-- orderops: no-transactoin\nSELECT 1;", ["wrong-directive:2"]),
    "nothing": ("-- Nothing.\n", ["version-empty:1"]),
    "several ones": (
        "ALTER TABLE users ADD CONSTRAINT c CHECK (id > 0),\n  ALTER email SET NOT NULL;",
        ["constraint-missing-not-valid:1", "adding-not-nullable-field:2"],
    ),
    "a timestamp": ("CREATE TABLE t (id bigint, at timestamp);", ["prefer-timestamp-tz:1"]),
    "a small key": ("CREATE TABLE t (id int PRIMARY KEY, line int);", ["prefer-bigint-over-int:1"]),
    "a view that goes": ("DROP VIEW v;", ["ban-drop-view:1"]),
}
SILENT = {
    "a table and all about it": (
        "CREATE TABLE t (id bigint, a text);\nCREATE INDEX ON t (a);\nALTER TABLE t ADD CHECK (id > 0);\n"
        "ALTER TABLE t ADD UNIQUE (a);\nALTER TABLE t ALTER a SET NOT NULL;\nALTER TABLE t ADD COLUMN n bigserial;\n"
        "INSERT INTO t SELECT id, name FROM users;\nUPDATE t SET a = 'x';\nALTER TABLE t DROP COLUMN a;\nDELETE FROM t;"
        "\nTRUNCATE t;\nALTER TABLE t RENAME COLUMN id TO i;\nDROP INDEX t_a_idx;"
    ).replace(" n bigserial", " n bigint DEFAULT random()"),
    "a table and all about it, each by itself": (
        f"{ALONE}CREATE TABLE t (id bigint, a text);\nCREATE INDEX CONCURRENTLY i ON t (a);\n"
        "ALTER TABLE t ALTER a SET NOT NULL;\nCREATE INDEX j ON t (a);\nDROP TABLE t;"
    ),
    "a table from a query": "CREATE TABLE t AS SELECT * FROM users;\nCREATE INDEX ON t (id);",
    "a table that refers to one": "CREATE TABLE t (id bigint REFERENCES users (id));",
    "rows that are named": "UPDATE users SET name = 'x' WHERE id = 5;",
    "a few rows beside the schema": (
        "ALTER TABLE users ADD b text;\nINSERT INTO users (id) VALUES (1), (2);\n"
        "INSERT INTO users (id) SELECT number FROM (VALUES (3), (4)) few (number);"
    ),
    "defaults that are the same for all": (
        "ALTER TABLE users ADD b timestamptz NOT NULL DEFAULT now(), ADD c date DEFAULT current_date,"
        " ADD d text DEFAULT lower('X'), ADD e bigint GENERATED ALWAYS AS (id + 1) VIRTUAL;"
    ),
    "a wider type": "ALTER TABLE users ALTER name TYPE varchar(40);\nALTER TABLE users ALTER name TYPE text;",
    "a batch of a whole table": f"{BATCH}UPDATE users SET name = 'x';",
    "enum": f"{ALONE}ALTER TYPE mood ADD VALUE 'x';",
    "two tables, each by itself": f"{ALONE}ALTER TABLE users ADD b text;\nALTER TABLE orders ADD b text;",
    "a view made anew": "DROP VIEW v;\nCREATE VIEW v AS SELECT id, name FROM users;",
    "weak locks on two tables": "COMMENT ON TABLE users IS 'x';\nCOMMENT ON TABLE orders IS 'x';",
    "data behind COPY": "COPY users (id, name) FROM STDIN;\n1\tDROP TABLE users;\n2\t-- squawk-ignore\n\\.\n",
    "what is right in every column": "CREATE TABLE t (id bigint PRIMARY KEY, line int, at timestamptz, n varchar(3));",
    "int that is no key": "ALTER TABLE items ADD COLUMN pieces int DEFAULT 1 NOT NULL;",
    "an index renamed": "ALTER INDEX users_by_name RENAME TO users_name;",
}


@pytest.mark.parametrize("name", FOUND)
def test_a_harmful_statement_is_found_at_its_position(tmp_path: Path, name: str) -> None:
    text, expected = FOUND[name]

    found = forwards(tmp_path, text)

    assert places(found) == expected
    assert all(each.message and (each.level == "error") == (each.rule in ERRORS) for each in found)


@pytest.mark.parametrize("name", SILENT)
def test_a_harmless_statement_has_no_finding(tmp_path: Path, name: str) -> None:
    assert places(forwards(tmp_path, SILENT[name])) == []


@pytest.mark.parametrize("name", FOUND)
def test_a_proposed_rewrite_is_sql_without_findings(tmp_path: Path, name: str) -> None:
    found = forwards(tmp_path, FOUND[name][0])

    assert all(each.rewrite for each in found if each.level == "error")
    for number, each in enumerate(found):
        whole = [text for text in each.rewrite.split(NEXT_FILE) if read_script(SqlFile(each.file, text))]
        folder = tmp_path / str(number)
        folder.mkdir()
        assert [said for said in forwards(folder, *whole) if said.level == "error"] == []


HELD_BACK = {
    "a column that must be there": "the values of old rows are for the service to know",
    "PRIMARY KEY": "users has one",
    "EXCLUDE": "text has no operators for gist",
    "DETACH": "orders has no partitions",
    "a view that goes": "there is none",
}


def test_postgresql_runs_the_proposed_rewrites(tmp_path: Path, database: str) -> None:
    refused = {}
    with psycopg.connect(database, autocommit=True) as connection:
        for number, name in enumerate(FOUND.keys() - HELD_BACK.keys()):
            folder = tmp_path / str(number)
            folder.mkdir()
            for forward in forwards(folder, FOUND[name][0]):
                try:
                    carry_out(connection, BASE, ROWS, *forward.rewrite.split(NEXT_FILE))
                except psycopg.Error as error:
                    refused[name] = f"{error}\n{forward.rewrite}"

    assert refused == {}


def carry_out(connection: psycopg.Connection, *texts: str) -> None:
    """Each statement by itself, in a schema of its own that goes again."""
    connection.execute("CREATE SCHEMA lint; SET search_path TO lint; SET client_min_messages TO error")
    try:
        for text in texts:
            for statement in read_script(SqlFile(Path("V002__case.sql"), text)):
                connection.execute(statement.text.encode())
    finally:
        connection.execute("DROP SCHEMA lint CASCADE")


def test_the_batch_column_of_a_rewrite_is_the_primary_key(tmp_path: Path) -> None:
    users, orders = forwards(tmp_path, "UPDATE users SET name = 'x';\nDELETE FROM orders")

    assert users.rewrite == "-- orderops: batch 5000 by id\nUPDATE users SET name = 'x';"
    assert orders.rewrite == "-- orderops: batch 5000 by number\nDELETE FROM orders;"


def test_a_rewrite_quotes_names_that_need_it(tmp_path: Path) -> None:
    text = 'ALTER TABLE "Shop"."order" ALTER COLUMN "Größe" SET NOT NULL;'

    (found,) = forwards(tmp_path, text)

    assert found.column == text.index("SET") + 1
    assert found.rewrite.splitlines()[1:3] == [
        'ALTER TABLE "Shop"."order" ADD CONSTRAINT "order_Größe_is_set" CHECK ("Größe" IS NOT NULL) NOT VALID;',
        'ALTER TABLE "Shop"."order" VALIDATE CONSTRAINT "order_Größe_is_set";',
    ]


def test_a_constraint_of_an_earlier_migration_proves_not_null(tmp_path: Path) -> None:
    found = forwards(
        tmp_path,
        "ALTER TABLE users ADD CONSTRAINT filled CHECK (email IS NOT NULL) NOT VALID;",
        "ALTER TABLE users VALIDATE CONSTRAINT filled;",
        "ALTER TABLE users ALTER email SET NOT NULL;\nALTER TABLE users ALTER name SET NOT NULL;",
    )

    assert places(found) == ["adding-not-nullable-field:2"]


# name: forwards, back, what is found in the way back
UNDONE: dict[str, tuple[str, str, list[str]]] = {
    "everything": (
        "CREATE SCHEMA s; CREATE TABLE s.t (id bigint); CREATE INDEX ON s.t (id); CREATE TYPE m AS ENUM ('a');"
        " CREATE EXTENSION pg_trgm; CREATE SEQUENCE q; CREATE VIEW v AS SELECT 1;"
        " CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'select 1'; ALTER TABLE users ADD COLUMN b text;"
        " CREATE TRIGGER g BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION f();",
        "DROP TRIGGER g ON users; ALTER TABLE users DROP b; DROP FUNCTION f(); DROP VIEW v; DROP SEQUENCE q;"
        " DROP EXTENSION pg_trgm; DROP TYPE m; DROP SCHEMA s CASCADE;",
        [],
    ),
    "a table that stays": ("CREATE TABLE a (); CREATE TABLE b ();", "\nDROP TABLE a;", ["undo-incomplete:2"]),
    "a column that stays": (
        "ALTER TABLE users ADD b text, ADD c text;",
        "ALTER TABLE users DROP b;",
        ["undo-incomplete:1"],
    ),
    "an index and a constraint go with their column": (
        f"{ALONE}ALTER TABLE users ADD b text; CREATE UNIQUE INDEX CONCURRENTLY i ON users (b);"
        " ALTER TABLE users ADD CONSTRAINT i UNIQUE USING INDEX i;",
        "ALTER TABLE users DROP b;",
        [],
    ),
    "a constraint that only helped": (
        f"{ALONE}ALTER TABLE users ADD CONSTRAINT c CHECK (email IS NOT NULL) NOT VALID;"
        "ALTER TABLE users VALIDATE CONSTRAINT c; ALTER TABLE users DROP CONSTRAINT c;",
        "ALTER TABLE users ALTER email DROP NOT NULL;",
        [],
    ),
    "what is dropped comes back": (
        "-- squawk-ignore-file\nALTER TABLE users DROP name; DROP INDEX users_by_name;",
        f"{ALONE}ALTER TABLE users ADD name varchar(20); CREATE INDEX CONCURRENTLY users_by_name ON users (name);",
        [],
    ),
    "what is dropped stays away": (
        "-- squawk-ignore-file\nALTER TABLE users DROP email; DROP TABLE items;",
        "ALTER TABLE users ADD email text;",
        ["undo-incomplete:1"],
    ),
    "a name comes back": (
        "-- squawk-ignore-file\nALTER TABLE users RENAME TO people; ALTER TABLE people ADD b text;",
        "ALTER TABLE people RENAME TO users; ALTER TABLE users DROP b;",
        [],
    ),
    "a name stays": (
        "-- squawk-ignore-file\nALTER TABLE users RENAME email TO mail;",
        "ALTER TABLE users ADD email text;",
        ["undo-incomplete:1"],
    ),
    "a column that is dropped for a name": (
        "-- squawk-ignore-file\nALTER TABLE users RENAME email TO mail;",
        "ALTER TABLE users DROP mail; ALTER TABLE users ADD email text;",
        ["undo-incomplete:1"],
    ),
    "a function that was replaced": (
        "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'select 2'",
        "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'select 1'",
        [],
    ),
    "a function that stays replaced": (
        "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'select 2'",
        "ALTER TABLE users ALTER name DROP NOT NULL;",
        ["undo-incomplete:1"],
    ),
    "more than its own": (
        "CREATE TABLE t ();",
        "DROP TABLE t;\nDROP TABLE orders;",
        ["undo-removes-more:2"],
    ),
    "nothing": ("CREATE TABLE t ();", "-- Nothing.\n", ["undo-empty:1"]),
    "what cannot be seen": ("CREATE TABLE t ();", ANYTHING, []),
    "CASCADE takes a materialized view with its index": (
        "CREATE VIEW w AS SELECT id FROM users; CREATE MATERIALIZED VIEW m AS SELECT id FROM w;"
        " CREATE UNIQUE INDEX m_id ON m (id);",
        "DROP VIEW w CASCADE;",
        [],
    ),
    "CASCADE takes no index of a table": (
        "CREATE VIEW w AS SELECT id FROM users; CREATE INDEX CONCURRENTLY i ON users (email);",
        "DROP VIEW w CASCADE;",
        ["undo-incomplete:1"],
    ),
    "a table made again has lost its constraint": (
        "-- squawk-ignore-file\nDROP TABLE items; CREATE TABLE items AS SELECT id FROM users;"
        " ALTER TABLE items ADD CONSTRAINT one UNIQUE (id);",
        "DROP TABLE items; CREATE TABLE items (order_number bigint, line int);",
        [],
    ),
    "a table by CREATE TABLE AS goes back under its former name": (
        "-- squawk-ignore-file\nCREATE TABLE made AS SELECT id, max(email) AS last FROM users GROUP BY id;"
        " DROP TABLE items;",
        "ALTER TABLE made RENAME TO items; ALTER TABLE items RENAME COLUMN last TO line;"
        " ALTER TABLE items DROP COLUMN id;",
        [],
    ),
    "a column of another table": (
        "CREATE TABLE made AS SELECT id FROM users;",
        "DROP TABLE made; ALTER TABLE users DROP COLUMN email;",
        ["undo-removes-more:1"],
    ),
    "a lock in the way back": (
        "ALTER TABLE users ADD b text;",
        "ALTER TABLE users DROP b;\nCREATE INDEX i ON users (id);\nDROP INDEX i;",
        ["require-concurrent-index-creation:2", "require-concurrent-index-deletion:3"],
    ),
    "an index before its table": (
        "CREATE TABLE t (id bigint); CREATE INDEX i ON t (id);",
        "DROP INDEX i; DROP TABLE t;",
        [],
    ),
}


@pytest.mark.parametrize("name", UNDONE)
def test_an_undo_is_compared_with_its_migration(tmp_path: Path, name: str) -> None:
    there, back, expected = UNDONE[name]

    found = linted(tmp_path, (there, back))

    assert places([each for each in found if each.file.name.startswith("U")]) == expected


@pytest.mark.parametrize(
    ("there", "proposed"),
    [
        ("CREATE TABLE t ();", "DROP TABLE t;"),
        ("ALTER TABLE users ADD b text;", "ALTER TABLE users DROP COLUMN b;"),
        ("CREATE INDEX i ON users (id);", "-- orderops: no-transaction\nDROP INDEX CONCURRENTLY i;"),
        (
            "DROP INDEX users_by_name;",
            "-- orderops: no-transaction\nCREATE INDEX CONCURRENTLY users_by_name ON users (name);",
        ),
        ("ALTER TABLE users DROP legacy;", "ALTER TABLE users ADD COLUMN legacy timestamp;"),
        ("ALTER TABLE users RENAME email TO mail;", "ALTER TABLE users RENAME COLUMN mail TO email;"),
        ("ALTER TABLE users RENAME TO people;", "ALTER TABLE people RENAME TO users;"),
    ],
    ids=lambda text: text,
)
def test_the_missing_part_of_an_undo_is_proposed(tmp_path: Path, there: str, proposed: str) -> None:
    found = linted(tmp_path, (there, "ALTER TABLE items ALTER line DROP NOT NULL;"))

    missing = [each.rewrite for each in found if each.rule == "undo-incomplete"]
    assert missing == [proposed]
    (tmp_path / "after").mkdir()
    assert [each for each in linted(tmp_path / "after", (there, proposed)) if each.file.name[0] == "U"] == []

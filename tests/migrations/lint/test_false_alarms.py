"""Statements of public sets of migrations that were once reported, and do no harm; beside each, one that does."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.lint_folder import forwards, linted

OWNED = "CREATE SEQUENCE s; CREATE TABLE t (id int DEFAULT nextval('s')); "
RENAMED = """\
ALTER TABLE orders RENAME TO purchases;
ALTER INDEX orders_pkey RENAME TO purchases_pkey;
ALTER SEQUENCE orders_number_seq RENAME TO purchases_number_seq;
ALTER TABLE purchases DROP COLUMN note;
"""
MADE_ANEW = "CREATE TABLE orders (number bigint PRIMARY KEY, user_id bigint, total bigint, note text);\n"
# The way forwards, the undo that is right, and the same without a part of it.
UNDONE = {
    "a function that is new, with CREATE OR REPLACE": (
        "CREATE SCHEMA u; CREATE OR REPLACE FUNCTION u.f() RETURNS int RETURN 1;",
        "DROP SCHEMA u CASCADE;",
        "DROP SCHEMA v CASCADE;",
    ),
    "a trigger that is new, with CREATE OR REPLACE": (
        "CREATE TABLE t (id int); CREATE OR REPLACE TRIGGER r BEFORE INSERT ON t EXECUTE FUNCTION f();",
        "DROP TABLE t;",
        "DROP TABLE u;",
    ),
    "a schema that need not exist": ("DROP SCHEMA IF EXISTS r;", "DROP SCHEMA IF EXISTS r;", "DROP SCHEMA r;"),
    "an index with a condition on a dropped column": (
        "ALTER TABLE users ADD COLUMN rank int; CREATE INDEX i ON users (id) WHERE rank > 0;",
        "ALTER TABLE users DROP COLUMN rank;",
        "DROP INDEX users_by_name;",
    ),
    "an index that includes a dropped column": (
        "ALTER TABLE users ADD COLUMN rank int; CREATE INDEX i ON users (id) INCLUDE (rank);",
        "ALTER TABLE users DROP COLUMN rank;",
        "DROP INDEX users_by_name;",
    ),
    "a sequence that is owned later": (OWNED + "ALTER SEQUENCE s OWNED BY t.id;", "DROP TABLE t;", "DROP TABLE u;"),
    "a column of a table that is made anew": (
        "ALTER TABLE orders DROP COLUMN note;",
        f"ALTER TABLE orders RENAME TO former; {MADE_ANEW} INSERT INTO orders SELECT * FROM former; DROP TABLE former;",
        "ALTER TABLE orders ADD COLUMN other text;",
    ),
    "a table with another name, made anew": (RENAMED, f"{MADE_ANEW} DROP TABLE purchases;", "DROP TABLE purchases;"),
    "a column of the undo's own table": (
        "DROP TABLE orders;",
        MADE_ANEW.replace("note", "n") + "ALTER TABLE orders RENAME COLUMN n TO note;",
        "ALTER TABLE items RENAME COLUMN line TO number;",
    ),
}


@pytest.mark.parametrize("name", UNDONE)
def test_an_undo_that_is_right_is_not_reported(name: str, tmp_path: Path) -> None:
    forward, back, _ = UNDONE[name]

    found = [finding for finding in linted(tmp_path, (forward, back)) if finding.rule.startswith("undo-")]

    assert found == []


@pytest.mark.parametrize("name", UNDONE)
def test_an_undo_without_that_part_is_reported(name: str, tmp_path: Path) -> None:
    forward, _, back = UNDONE[name]

    found = {finding.rule for finding in linted(tmp_path, (forward, back)) if finding.rule.startswith("undo-")}

    assert found & {"undo-incomplete", "undo-removes-more"}


def test_a_change_of_the_catalogue_is_no_change_of_rows(tmp_path: Path) -> None:
    lock = "ALTER TABLE users DROP COLUMN legacy;\n"
    catalogue = lock + "UPDATE pg_index SET indisready = false WHERE indrelid = 'users'::regclass;"
    rows = lock + "UPDATE orders SET note = '' WHERE note IS NULL;"

    found = forwards(tmp_path, catalogue, rows)

    assert [finding.file.name[:4] for finding in found if finding.rule == "schema-and-data-mixed"] == ["V003"]


def test_rows_changed_before_a_lock_are_reported_with_what_happens_then(tmp_path: Path) -> None:
    rows, lock = "UPDATE orders SET note = '' WHERE note IS NULL;\n", "ALTER TABLE users DROP COLUMN legacy;\n"

    found = [finding for finding in forwards(tmp_path, rows + lock, lock + rows) if "mixed" in finding.rule]

    assert [(finding.file.name[:4], finding.line) for finding in found] == [("V002", 1), ("V003", 2)]
    assert "(line 2) waits for users while the changed rows of orders stay locked, and each try" in found[0].message
    assert "(line 1) blocks reads and writes of users, also while" in found[1].message


def test_a_table_that_is_dropped_as_a_precaution_locks_nothing(tmp_path: Path) -> None:
    precaution = (
        "DROP TABLE IF EXISTS map;\nCREATE TABLE map (id bigint);\nUPDATE orders SET note = '' WHERE total = 0;"
    )
    known = precaution.replace("map", "items")

    found = forwards(tmp_path, precaution, known)

    rules = {
        name: {finding.rule for finding in found if finding.file.name.startswith(name)} for name in ("V002", "V003")
    }
    assert rules["V002"] == set()
    assert {"ban-drop-table", "schema-and-data-mixed"} <= rules["V003"]


def test_a_change_of_a_collation_names_the_indexes_and_not_the_table(tmp_path: Path) -> None:
    (found,) = forwards(tmp_path, 'ALTER TABLE users ALTER name TYPE varchar(20) COLLATE "C";')

    assert found.message.startswith("the indexes and checks of users that use name are made anew, and reads and writes")


# The rule, what earlier files make, a statement that does no harm, and one that does.
HARMLESS = {
    "a domain with a default": (
        "ban-create-domain-with-constraint",
        "",
        "CREATE DOMAIN moment AS timestamptz DEFAULT now();",
        "CREATE DOMAIN moment AS timestamptz DEFAULT now() CHECK (value > '2000-01-01');",
    ),
    "a constraint of a column that is dropped": (
        "ban-drop-constraint",
        "CREATE TABLE lines (id int, item_id bigint REFERENCES users, n int CHECK (n > 0));",
        "ALTER TABLE lines DROP CONSTRAINT lines_item_id_fkey, DROP COLUMN item_id;",
        "ALTER TABLE lines DROP CONSTRAINT lines_n_check, DROP COLUMN item_id;",
    ),
    "a default that is replaced": (
        "ban-drop-default",
        "",
        "ALTER TABLE users ALTER name DROP DEFAULT, ALTER name SET DEFAULT '-';",
        "ALTER TABLE users ALTER name DROP DEFAULT, ALTER email SET DEFAULT '-';",
    ),
    "a default that the type has": (
        "ban-drop-default",
        "CREATE DOMAIN named AS text DEFAULT '-';",
        "ALTER TABLE users ALTER name DROP DEFAULT, ALTER name TYPE named;",
        "ALTER TABLE users ALTER name DROP DEFAULT, ALTER name TYPE text;",
    ),
    "a trigger that is enabled again": (
        "disabling-trigger",
        "",
        "ALTER TABLE users DISABLE TRIGGER ALL; SELECT 1; ALTER TABLE users ENABLE TRIGGER ALL;",
        "ALTER TABLE users ENABLE TRIGGER ALL; ALTER TABLE users DISABLE TRIGGER ALL; ALTER TABLE orders ENABLE"
        " TRIGGER ALL;",
    ),
    "a trigger of a table that is renamed": (
        "ban-drop-trigger",
        "CREATE TRIGGER t BEFORE INSERT ON users EXECUTE FUNCTION f();",
        "DROP TRIGGER t ON users; ALTER TABLE users RENAME TO people;"
        " CREATE TRIGGER t BEFORE INSERT ON people EXECUTE FUNCTION f();",
        "DROP TRIGGER t ON users; CREATE TRIGGER t BEFORE INSERT ON orders EXECUTE FUNCTION f();",
    ),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_a_statement_is_reported_only_where_it_does_harm(name: str, tmp_path: Path) -> None:
    rule, before, harmless, harmful = HARMLESS[name]

    found = [
        finding for finding in forwards(tmp_path, before or "SELECT 1;", harmless, harmful) if finding.rule == rule
    ]

    assert [finding.file.name[:4] for finding in found] == ["V004"]

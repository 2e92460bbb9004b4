"""Kinds of schema changes, each run on a server: lint reports those that hold clients up or break them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from orderops.local.rds.postgres import PostgresServer
from orderops.migrations.lint.linter import lint
from orderops.migrations.sql.files import read_migrations
from support.lint_folder import ANYTHING, write
from support.lint_server import IN_NO_TRANSACTION, Watched, statements_of

pytest_plugins = ["support.postgres_fixtures"]

THERE = """
CREATE TYPE mood AS ENUM ('a');
CREATE DOMAIN address AS text;
CREATE TABLE users (id bigint PRIMARY KEY, name varchar(20), email text, price numeric(8,2), net cidr,
    lasts interval(3), at timestamp, feels mood, home address);
CREATE TABLE orders (number bigint PRIMARY KEY, user_id bigint, total bigint, code varchar(20));
CREATE INDEX users_by_name ON users (name);
CREATE VIEW v AS SELECT id, name FROM users;
CREATE MATERIALIZED VIEW m AS SELECT id, name FROM users;
CREATE UNIQUE INDEX m_id ON m (id);
CREATE TABLE parted (id bigint, d date) PARTITION BY RANGE (d);
CREATE TABLE old PARTITION OF parted FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE fresh (id bigint, d date);
CREATE TABLE proven (id bigint, d date, CHECK (d IS NOT NULL AND d >= '2026-01-01' AND d < '2026-02-01'));
CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'begin return new; end';
CREATE TRIGGER t BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION touched();
CREATE SCHEMA shop; CREATE TABLE shop.goods (id bigint);
CREATE DOMAIN positive AS bigint CHECK (value > 0); CREATE DOMAIN most_positive AS positive;
CREATE DOMAIN dated AS timestamptz DEFAULT now(); CREATE DOMAIN token AS uuid DEFAULT gen_random_uuid();
CREATE TABLE listed (id bigint, a text) PARTITION BY LIST (a);
CREATE TABLE unlisted PARTITION OF listed DEFAULT;
CREATE TABLE loose (id bigint NOT NULL, n bigint, user_id bigint CONSTRAINT f REFERENCES users NOT ENFORCED);
CREATE UNIQUE INDEX loose_id ON loose (id); CREATE UNIQUE INDEX loose_n ON loose (n);
CREATE FUNCTION emptied() RETURNS void LANGUAGE plpgsql AS $$ begin execute 'truncate orders'; end $$;
"""
ROWS = """
INSERT INTO users SELECT n, 'n', 'm' || n, n, '10.0.0.0/8', '1 s', now(), 'a', 'x' FROM generate_series(1, 50) n;
INSERT INTO orders SELECT n, n, n FROM generate_series(1, 50) n;
INSERT INTO old SELECT n, '2025-05-05' FROM generate_series(1, 50) n;
INSERT INTO fresh SELECT n, '2026-01-05' FROM generate_series(1, 50) n;
INSERT INTO proven SELECT n, '2026-01-05' FROM generate_series(1, 50) n;
INSERT INTO shop.goods VALUES (1);
INSERT INTO unlisted VALUES (1, 'a');
INSERT INTO loose VALUES (1, 1, 1);
REFRESH MATERIALIZED VIEW m;
"""
RELEASE = (
    "SELECT DISTINCT * FROM users",
    "SELECT id, name, email, price, net, lasts, at, feels, home FROM users",
    "INSERT INTO users (id, name, email, price, net, lasts, at, feels, home)"
    " VALUES (1000, 'n', 'm', 1, '10.0.0.0/8', '1 s', now(), 'a', 'x') RETURNING 1",
    "SELECT number, user_id, total FROM orders",
    "INSERT INTO orders (number, user_id, total) VALUES (1000, 1, 1) RETURNING 1",
    "SELECT * FROM v",
    "SELECT * FROM m",
    "SELECT * FROM parted",
    "SELECT * FROM shop.goods",
)
"""What the running release sends, as a role that owns no table."""
TABLES = ("users", "orders")
ALONE = "-- orderops: no-transaction\n"

OPERATIONS = {
    "a column with a random default": "ALTER TABLE users ADD b uuid DEFAULT gen_random_uuid()",
    "a column with a constant": "ALTER TABLE users ADD b int DEFAULT 5",
    "a column with the time of each row": "ALTER TABLE users ADD b timestamptz DEFAULT clock_timestamp()",
    "a column with the time of the statement": "ALTER TABLE users ADD b timestamptz NOT NULL DEFAULT now()",
    "a required column": "ALTER TABLE users ADD b text NOT NULL",
    "a serial column": "ALTER TABLE users ADD b bigserial",
    "an identity": "ALTER TABLE users ADD b bigint GENERATED ALWAYS AS IDENTITY",
    "a stored expression": "ALTER TABLE users ADD b bigint GENERATED ALWAYS AS (id * 2) STORED",
    "a virtual expression": "ALTER TABLE users ADD b bigint GENERATED ALWAYS AS (id * 2) VIRTUAL",
    "a json column": "ALTER TABLE users ADD b json",
    "a jsonb column": "ALTER TABLE users ADD b jsonb",
    "a column that refers": "ALTER TABLE users ADD b bigint REFERENCES orders",
    "a unique column": "ALTER TABLE users ADD b text UNIQUE",
    "a column that refers in every row": "ALTER TABLE users ADD b bigint DEFAULT 1 REFERENCES orders",
    "a foreign key": "ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users",
    "a foreign key that is not valid": "ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users NOT VALID",
    "a foreign key that is not enforced": "ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users NOT ENFORCED",
    "NOT VALID and VALIDATE": "ALTER TABLE orders ADD CONSTRAINT c CHECK (total > 0) NOT VALID;"
    " ALTER TABLE orders VALIDATE CONSTRAINT c",
    "a CHECK": "ALTER TABLE orders ADD CHECK (total > 0)",
    "a CHECK that is not enforced": "ALTER TABLE orders ADD CHECK (total > 0) NOT ENFORCED",
    "SET NOT NULL": "ALTER TABLE users ALTER email SET NOT NULL",
    "SET NOT NULL of a key": "ALTER TABLE users ALTER id SET NOT NULL",
    "a NOT NULL with a name": "ALTER TABLE users ADD CONSTRAINT n NOT NULL email",
    "a NOT NULL that is not valid": "ALTER TABLE users ADD CONSTRAINT n NOT NULL email NOT VALID",
    "UNIQUE": "ALTER TABLE users ADD UNIQUE (email)",
    "PRIMARY KEY": "ALTER TABLE fresh ADD PRIMARY KEY (id)",
    "EXCLUDE": "ALTER TABLE users ADD EXCLUDE (email WITH =)",
    "another integer": "ALTER TABLE orders ALTER total TYPE int",
    "the same integer": "ALTER TABLE orders ALTER total TYPE bigint",
    "a domain to its type": "ALTER TABLE users ALTER home TYPE text",
    "a longer varchar": "ALTER TABLE orders ALTER code TYPE varchar(40)",
    "varchar to text": "ALTER TABLE orders ALTER code TYPE text",
    "other digits": "ALTER TABLE users ALTER price TYPE numeric(10,3)",
    "longer digits": "ALTER TABLE users ALTER price TYPE numeric(10,2)",
    "cidr to inet": "ALTER TABLE users ALTER net TYPE inet",
    "a longer interval": "ALTER TABLE users ALTER lasts TYPE interval(6)",
    "a time zone": "ALTER TABLE users ALTER at TYPE timestamptz",
    "CREATE INDEX": "CREATE INDEX ON users (email)",
    "CREATE INDEX on a materialized view": "CREATE INDEX ON m (name)",
    "REINDEX TABLE": "REINDEX TABLE users",
    "REINDEX INDEX": "REINDEX INDEX users_by_name",
    "RENAME COLUMN": "ALTER TABLE users RENAME email TO mail",
    "RENAME TABLE": "ALTER TABLE users RENAME TO people",
    "RENAME VALUE": "ALTER TYPE mood RENAME VALUE 'a' TO 'b'",
    "RENAME SCHEMA": "ALTER SCHEMA shop RENAME TO store",
    "DROP COLUMN": "ALTER TABLE orders DROP COLUMN total",
    "DROP TABLE": "DROP TABLE orders",
    "DROP SCHEMA": "DROP SCHEMA shop CASCADE",
    "TRUNCATE": "TRUNCATE orders",
    "VACUUM FULL": f"{ALONE}VACUUM FULL users",
    "CLUSTER": "CLUSTER users USING users_by_name",
    "UPDATE of all rows": "UPDATE users SET email = 'x'",
    "DELETE of all rows": "DELETE FROM orders",
    "schema and rows": "ALTER TABLE users ADD b text; UPDATE users SET b = name WHERE id > 0",
    "ATTACH": "ALTER TABLE parted ATTACH PARTITION fresh FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
    "ATTACH of what a CHECK proves": "ALTER TABLE parted ATTACH PARTITION proven FOR VALUES FROM ('2026-01-01')"
    " TO ('2026-02-01')",
    "a partition beside a default partition": "CREATE TABLE x PARTITION OF listed FOR VALUES IN ('x')",
    "a partition without a default partition": "CREATE TABLE x PARTITION OF parted"
    " FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')",
    "a column of a domain": "ALTER TABLE users ADD b positive",
    "a column of a domain of a domain": "ALTER TABLE users ADD b most_positive DEFAULT 1",
    "a column of a domain that refuses nothing": "ALTER TABLE users ADD b address",
    "a column of a domain with a default": "ALTER TABLE users ADD b dated",
    "a column of a domain with a random default": "ALTER TABLE users ADD b token",
    "a column of an array of a domain": "ALTER TABLE users ADD b positive[]",
    "SET NOT NULL of a domain": "ALTER DOMAIN address SET NOT NULL",
    "a CHECK of a domain that is not valid": "ALTER DOMAIN address ADD CHECK (value <> '') NOT VALID",
    "ENFORCED": "ALTER TABLE loose ALTER CONSTRAINT f ENFORCED",
    "DEFERRABLE": "ALTER TABLE loose ALTER CONSTRAINT f DEFERRABLE",
    "PRIMARY KEY by an index": "ALTER TABLE loose ADD PRIMARY KEY USING INDEX loose_id",
    "PRIMARY KEY by an index of what may be NULL": "ALTER TABLE loose ADD PRIMARY KEY USING INDEX loose_n",
    "DETACH": "ALTER TABLE parted DETACH PARTITION old",
    "REFRESH": "REFRESH MATERIALIZED VIEW m",
    "REFRESH CONCURRENTLY": "REFRESH MATERIALIZED VIEW CONCURRENTLY m",
    "REFRESH WITH NO DATA": "REFRESH MATERIALIZED VIEW m WITH NO DATA",
    "a new value": "ALTER TYPE mood ADD VALUE 'b'",
    "a new value that is used": "ALTER TYPE mood ADD VALUE 'b'; CREATE TABLE w (x mood DEFAULT 'b')",
    "a new value that is selected": "ALTER TYPE mood ADD VALUE 'b'; SELECT id FROM users WHERE feels = 'b'",
    "CREATE TRIGGER": "CREATE TRIGGER g BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touched()",
    "SET TABLESPACE": "ALTER TABLE users SET TABLESPACE fast",
    "SET TABLESPACE of an index": "ALTER INDEX users_by_name SET TABLESPACE fast",
    "SET TABLESPACE of a partitioned table": "ALTER TABLE parted SET TABLESPACE fast",
    "SET UNLOGGED": "ALTER TABLE users SET UNLOGGED",
    "a storage parameter": "ALTER TABLE users SET (fillfactor = 70)",
    "statistics": "ALTER TABLE users ALTER name SET STATISTICS 500",
    "row security": "ALTER TABLE users ENABLE ROW LEVEL SECURITY",
    "row security with a policy": "CREATE POLICY p ON users USING (true); ALTER TABLE users ENABLE ROW LEVEL SECURITY",
    "LOCK TABLE": "LOCK TABLE users",
    "two tables": "ALTER TABLE users ADD b text; ALTER TABLE orders ADD b text",
    "a change in a DO block": "DO $$ BEGIN ALTER TABLE users ADD b uuid DEFAULT gen_random_uuid(); END $$",
    "a harmless change in a DO block": "DO $$ BEGIN ALTER TABLE users ADD b text; END $$",
    "a text that a DO block executes": "DO $$ BEGIN EXECUTE 'ALTER TABLE users RENAME email TO mail'; END $$",
    "a function that is called": "SELECT emptied()",
    "a function that is created": "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql"
    " AS $$ begin truncate orders; end $$",
    "DROP VIEW": "DROP VIEW v",
    "a view with another column": "CREATE OR REPLACE VIEW v AS SELECT id, name, email FROM users",
    "a default": "ALTER TABLE orders ALTER total SET DEFAULT 0",
    "REPLICA IDENTITY": "ALTER TABLE users REPLICA IDENTITY FULL",
    "CREATE POLICY": "CREATE POLICY p ON users USING (true)",
}
# Reported for what a server does not show here: what each is about.
ADVICE = {
    "DROP INDEX": ("DROP INDEX users_by_name", "it waits for its lock, and everybody behind it"),
    "DISABLE TRIGGER": ("ALTER TABLE users DISABLE TRIGGER t", "what the trigger does is no longer done"),
    "ATTACH of what a narrower CHECK proves": (
        "ALTER TABLE parted ATTACH PARTITION proven FOR VALUES FROM ('2026-01-01') TO ('2026-03-01')",
        "lint compares words, not values",
    ),
    "a CHECK of a domain": ("ALTER DOMAIN address ADD CHECK (value <> '')", "it reads the tables that use it"),
    "DROP NOT NULL": ("ALTER TABLE orders ALTER total DROP NOT NULL", "the release may not expect NULL"),
    "DROP CONSTRAINT": ("ALTER TABLE fresh DROP CONSTRAINT f", "invalid rows are let in"),
    "a statement from parts": (
        "DO $$ DECLARE n text = 'users'; BEGIN EXECUTE format('ALTER TABLE %I ADD b int', n); END $$",
        "it cannot be read",
    ),
}


@pytest.fixture(scope="module")
def connection(postgres: PostgresServer) -> Iterator[psycopg.Connection]:
    name = f"operations_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres.create_database(name), autocommit=True) as connection:
        connection.execute("SET timezone = 'Australia/Sydney'")
        connection.execute(f"{THERE}; {ROWS}; CREATE ROLE {name}; GRANT USAGE ON SCHEMA shop TO {name}".encode())
        connection.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public, shop TO {name}".encode())
        connection.execute(f"SET orderops.release = '{name}'".encode())
        connection.execute("SET allow_in_place_tablespaces = on")
        connection.execute("CREATE TABLESPACE fast LOCATION ''")
        yield connection
        connection.execute("DROP TABLESPACE fast")
        connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}".encode())
    postgres.drop_database(name)


def harm(connection: psycopg.Connection, text: str) -> list[str]:
    """What a migration does to clients: statements that stall or fail, and queries that no longer answer the same."""
    found: list[str] = []
    statements = statements_of(text)
    with connection.transaction(force_rollback=True):
        before = answers(connection)
        session = Watched(connection)
        blocked: set[str] = set()
        for statement in statements:
            try:
                with connection.transaction():
                    rows = changed_rows(connection)
                    effect = session.run(statement.text)
            except psycopg.Error as error:
                refused = error.sqlstate != IN_NO_TRANSACTION
                return [f"refused: {error}"] if refused else rewritten_alone(connection, statement.text)
            found += [f"stalls {name}" for name in effect.stalls]
            locked = {name for name, modes in effect.locks.items() if "AccessExclusiveLock" in modes} & {
                "users",
                "orders",
            }
            found += ["locks pile up"] if locked - blocked and blocked else []
            found += ["LOCK"] if statement.kind == "lock_stmt" else []
            blocked |= locked
            found += ["every row is written"] if changed_rows(connection) - rows >= 50 else []
        after = answers(connection)
        found += [f"breaks {query}" for query in RELEASE if after[query] < before[query]]
    return found


def answers(connection: psycopg.Connection) -> dict[str, int]:
    """How many rows each query of the release gets; -1 for an error."""
    got = {}
    for query in RELEASE:
        try:
            with connection.transaction(force_rollback=True):
                connection.execute("SELECT set_config('role', current_setting('orderops.release'), true)")
                got[query] = len(connection.execute(query.encode()).fetchall())
        except psycopg.Error:
            got[query] = -1
    return got


def changed_rows(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT sum(n_tup_upd + n_tup_del) FROM pg_stat_xact_user_tables").fetchone()
    return int((row or [0])[0])


def rewritten_alone(connection: psycopg.Connection, statement: str) -> list[str]:
    """What a statement that runs in no transaction writes anew."""
    with psycopg.connect(connection.info.dsn, password=connection.info.password, autocommit=True) as other:
        query = "SELECT oid::regclass::text, relfilenode FROM pg_class WHERE relkind = 'r' AND relname = 'users'"
        before = other.execute(query).fetchall()
        other.execute(statement.encode())
        return ["written anew"] if other.execute(query).fetchall() != before else []


def reports(folder: Path, text: str) -> list[str]:
    """The rules of lint's findings."""
    write(folder, (text, ANYTHING))
    (folder / "V001__case.sql").write_text(THERE)
    return [finding.rule for finding in lint(read_migrations(folder), only=[2]) if finding.file.name[0] == "V"]


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_reported_where_it_holds_clients_up_or_breaks_them(
    name: str, tmp_path: Path, connection: psycopg.Connection
) -> None:
    text = OPERATIONS[name]

    found, wrong = reports(tmp_path, text), harm(connection, text)

    assert bool(found) is bool(wrong), (found, wrong)


@pytest.mark.parametrize("name", ADVICE)
def test_an_operation_is_reported_for_what_a_server_does_not_show(name: str, tmp_path: Path) -> None:
    assert reports(tmp_path, ADVICE[name][0])

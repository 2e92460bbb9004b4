"""Ledgers of other tools, created as those tools create them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from orderops.errors import OrderopsError
from orderops.local.rds.postgres import PostgresServer
from orderops.migrations.ledger.other_tools import OtherToolEntry, OtherToolLedger, ledgers_of_other_tools, match
from orderops.migrations.sql.files import Migration, SqlFile

pytest_plugins = ["support.postgres_fixtures"]

OF_FLYWAY = """
CREATE TABLE flyway_schema_history (
    installed_rank int PRIMARY KEY, version varchar(50), description varchar(200) NOT NULL, type varchar(20) NOT NULL,
    script varchar(1000) NOT NULL, checksum int, installed_by varchar(100) NOT NULL,
    installed_on timestamp NOT NULL DEFAULT now(), execution_time int NOT NULL, success boolean NOT NULL)
"""
OF_DBMATE = "CREATE TABLE schema_migrations (version varchar(128) PRIMARY KEY)"
OF_YOYO = """
CREATE TABLE _yoyo_migration (
    migration_hash varchar(64), migration_id varchar(255), applied_at_utc timestamp, PRIMARY KEY (migration_hash))
"""
OF_GOLANG_MIGRATE = "CREATE TABLE schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL)"
BESIDE_RAILS = """
CREATE TABLE ar_internal_metadata (
    key varchar PRIMARY KEY, value varchar, created_at timestamp(6) NOT NULL, updated_at timestamp(6) NOT NULL)
"""
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def place(postgres: PostgresServer) -> Iterator[str]:
    """The DSN of a database that stays empty: what a test makes in it is rolled back."""
    name = f"foreign_{uuid.uuid4().hex[:12]}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


@pytest.fixture
def connection(place: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(place) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def flyway(connection: psycopg.Connection) -> Callable[..., OtherToolLedger]:
    """What is read of a history of Flyway's with these rows, (version, description, type, success) each."""

    def read(*rows: tuple[str | None, str, str, bool]) -> OtherToolLedger:
        connection.execute(OF_FLYWAY)
        for rank, (version, description, kind, success) in enumerate(rows, 1):
            connection.execute(
                "INSERT INTO flyway_schema_history VALUES (%s, %s, %s, %s, 'a script', 1, 'me', %s, 5, %s)",
                [rank, version, description, kind, NOON.replace(tzinfo=None), success],
            )
        return only(connection)

    return read


def test_a_database_without_other_tools_has_no_ledgers(connection: psycopg.Connection) -> None:
    connection.execute("CREATE TABLE users (version varchar)")

    assert ledgers_of_other_tools(connection) == []


def test_applied_versions_of_flyway_are_read(flyway: Callable[..., OtherToolLedger]) -> None:
    told = flyway(("001", "create users", "SQL", True), ("2", "fill users", "JDBC", True))

    assert told == OtherToolLedger(
        "flyway",
        "public.flyway_schema_history",
        applied=(OtherToolEntry("001", "create users", NOON), OtherToolEntry("2", "fill users", NOON)),
        failed=(),
    )
    assert versions(match(told, files(1, 2, 3))) == ([1, 2], [])


def test_a_failed_version_of_flyway_is_not_applied(flyway: Callable[..., OtherToolLedger]) -> None:
    told = flyway(("1", "create users", "SQL", True), ("2", "index users", "SQL", False))

    assert told.failed == (OtherToolEntry("2", "index users", NOON),)
    assert versions(match(told, files(1, 2))) == ([1], [])


def test_a_repaired_version_of_flyway_is_applied(flyway: Callable[..., OtherToolLedger]) -> None:
    told = flyway(("1", "create users", "SQL", False), ("1", "create users", "SQL", True))

    assert (len(told.applied), told.failed) == (1, ())


@pytest.mark.parametrize("undone_as", ["2", "02", "2.0"])
def test_an_undone_version_of_flyway_is_applied_only_after_a_new_apply(
    connection: psycopg.Connection, flyway: Callable[..., OtherToolLedger], undone_as: str
) -> None:
    told = flyway(("1", "a", "SQL", True), ("2", "b", "SQL", True), (undone_as, "b", "UNDO_SQL", True))
    assert versions(match(told, files(1, 2))) == ([1], [])

    connection.execute(
        "INSERT INTO flyway_schema_history VALUES (4, '2', 'b', 'SQL', 's', 1, 'me', now(), 5, true)",
    )
    assert versions(match(only(connection), files(1, 2))) == ([1, 2], [])


def test_a_failed_undo_of_flyway_is_listed_as_failed(flyway: Callable[..., OtherToolLedger]) -> None:
    told = flyway(("1", "a", "SQL", True), ("1", "a", "UNDO_SQL", False))

    assert (told.applied, told.failed) == ((), (OtherToolEntry("1", "a", NOON),))


def test_a_version_that_flyway_marked_as_deleted_is_not_applied(flyway: Callable[..., OtherToolLedger]) -> None:
    told = flyway(("1", "a", "SQL", True), ("2", "b", "SQL", True), ("2", "b", "DELETE", True))

    assert [entry.version for entry in told.applied] == ["1"]


@pytest.mark.parametrize("kind", ["BASELINE", "SQL_BASELINE"])
def test_a_baseline_of_flyway_covers_all_versions_up_to_it(flyway: Callable[..., OtherToolLedger], kind: str) -> None:
    told = flyway(("3", "<< Flyway Baseline >>", kind, True), ("5", "later", "SQL", True))

    assert (told.up_to, [entry.version for entry in told.applied]) == ("3", ["5"])
    assert versions(match(told, files(1, 2, 3, 4, 5, 6))) == ([1, 2, 3, 5], [])


@pytest.mark.parametrize(("up_to", "under"), [("2.5", [1, 2]), ("2", [1, 2]), ("10", [1, 2, 3]), ("0.9", [])])
def test_a_baseline_is_compared_as_a_version_and_not_as_text(
    flyway: Callable[..., OtherToolLedger], up_to: str, under: list[int]
) -> None:
    assert versions(match(flyway((up_to, "b", "BASELINE", True)), files(1, 2, 3))) == (under, [])


def test_the_highest_baseline_counts(flyway: Callable[..., OtherToolLedger]) -> None:
    assert flyway(("9", "b", "BASELINE", True), ("10", "b", "SQL_BASELINE", True)).up_to == "10"


def test_a_version_with_a_dot_matches_no_file(flyway: Callable[..., OtherToolLedger]) -> None:
    told = flyway(("1", "a", "SQL", True), ("1.2", "b", "SQL", True), ("20221219.1720", "c", "SQL", True))

    assert versions(match(told, files(1, 2, 12, 20221219))) == ([1], ["1.2", "20221219.1720"])


def test_repeatable_migrations_are_separate_and_internal_rows_left_out(flyway: Callable[..., OtherToolLedger]) -> None:
    told = flyway(
        (None, "<< Flyway Schema Creation >>", "SCHEMA", True),
        ("1", "create users", "SQL", True),
        (None, "views", "SQL", True),
        (None, "grants", "SQL", True),
        (None, "views", "SQL", True),
        (None, "old views", "SQL", True),
        (None, "old views", "DELETE", True),
    )

    assert [entry.description for entry in told.applied] == ["create users"]
    assert [entry.description for entry in told.repeatable] == ["grants", "views"]
    assert versions(match(told, files(1))) == ([1], [])


def test_dbmate_entries_have_only_versions(connection: psycopg.Connection) -> None:
    connection.execute(OF_DBMATE)
    connection.execute("INSERT INTO schema_migrations VALUES ('20260102030405'), ('20260101000000'), ('003')")

    told = only(connection)

    assert (told.tool, told.table) == ("dbmate", "public.schema_migrations")
    assert told.applied[0] == OtherToolEntry("003", "", None)
    assert versions(match(told, files(3, 20260101000000))) == ([3, 20260101000000], ["20260102030405"])


def test_yoyo_entries_have_ids_and_times(connection: psycopg.Connection) -> None:
    of_yoyo(connection, "0001.create-users", "2-add_status", "20230101_01_AbCde-add-orders", "init")

    told = only(connection)

    assert told.tool == "yoyo"
    assert told.applied == (
        OtherToolEntry("0001", "create users", NOON.replace(minute=0)),
        OtherToolEntry("2", "add status", NOON.replace(minute=1)),
        OtherToolEntry("20230101_01", "add orders", NOON.replace(minute=2)),
        OtherToolEntry("init", "", NOON.replace(minute=3)),
    )
    assert versions(match(told, files(1, 2, 3, 20230101))) == ([1, 2, 20230101], ["init"])


def test_several_yoyo_entries_of_one_day_match_different_files(connection: psycopg.Connection) -> None:
    of_yoyo(connection, "20230101_01_AbCde-users", "20230101_02_XyZzy-orders")
    told = only(connection)

    assert versions(match(told, files(20230101))) == ([20230101], ["20230101_02"])
    assert versions(match(told, files(2023010101, 2023010102))) == ([2023010101, 2023010102], [])


def test_the_version_of_golang_migrate_covers_all_earlier_ones(connection: psycopg.Connection) -> None:
    connection.execute(OF_GOLANG_MIGRATE)
    connection.execute("INSERT INTO schema_migrations VALUES (3, false)")

    told = only(connection)

    assert told == OtherToolLedger(
        "golang-migrate", "public.schema_migrations", (OtherToolEntry("3", "", None),), (), up_to="3"
    )
    assert versions(match(told, files(1, 2, 3, 4))) == ([1, 2, 3], [])
    assert versions(match(told, files(1, 2))) == ([1, 2], ["3"])


@pytest.mark.parametrize(("at", "under"), [(3, [1, 2]), (1, []), (0, []), (-1, [])])
def test_a_dirty_version_of_golang_migrate_is_not_applied_but_earlier_ones_are(
    connection: psycopg.Connection, at: int, under: list[int]
) -> None:
    connection.execute(OF_GOLANG_MIGRATE)
    connection.execute("INSERT INTO schema_migrations VALUES (%s, true)", [at])

    told = only(connection)

    assert (told.applied, told.failed) == ((), (OtherToolEntry(str(at), "", None),))
    assert versions(match(told, files(0, 1, 2, 3, 4))) == ([0, *under] if at > 0 else [], [])


@pytest.mark.parametrize(
    ("made", "tool"),
    [(OF_FLYWAY, "flyway"), (OF_DBMATE, "dbmate"), (OF_YOYO, "yoyo"), (OF_GOLANG_MIGRATE, "golang-migrate")],
)
def test_an_empty_ledger_is_found(connection: psycopg.Connection, made: str, tool: str) -> None:
    connection.execute(made.encode())

    told = only(connection)

    assert (told.tool, told.applied, told.failed, told.up_to) == (tool, (), (), "")
    assert versions(match(told, files(1))) == ([], [])


@pytest.mark.parametrize(
    ("made", "tool", "words"),
    [
        ([OF_DBMATE, BESIDE_RAILS], "rails", "is the ledger of Rails"),
        (["CREATE TABLE schema_migrations (version bigint, inserted_at timestamp)"], "unknown", "does not know"),
        (["CREATE TABLE flyway_schema_history (version varchar)"], "unknown", "does not know"),
    ],
)
def test_a_table_with_other_columns_is_not_read(
    connection: psycopg.Connection, made: list[str], tool: str, words: str
) -> None:
    for statement in made:
        connection.execute(statement.encode())
    connection.execute(f"INSERT INTO {made[0].split()[2]} (version) VALUES (1)".encode())

    told = only(connection)

    assert (told.tool, told.applied) == (tool, ())
    with pytest.raises(OrderopsError, match=words):
        match(told, files(1))


def test_ledgers_are_found_on_the_search_path_and_in_public(connection: psycopg.Connection) -> None:
    for schema in ("sales", "Hidden", "Häfen"):
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        connection.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(schema)))
        connection.execute(OF_DBMATE)
    connection.execute("SET search_path TO public")
    connection.execute(OF_FLYWAY)
    connection.execute('SET search_path TO sales, "Häfen", nowhere')

    found = [(ledger.tool, ledger.table) for ledger in ledgers_of_other_tools(connection)]

    assert found == [
        ("dbmate", "Häfen.schema_migrations"),
        ("flyway", "public.flyway_schema_history"),
        ("dbmate", "sales.schema_migrations"),
    ]


def test_a_rails_schema_does_not_affect_another_schema(connection: psycopg.Connection) -> None:
    connection.execute("CREATE SCHEMA app")
    connection.execute(OF_DBMATE)
    connection.execute("SET search_path TO app")
    connection.execute(OF_DBMATE)
    connection.execute(BESIDE_RAILS)

    assert [ledger.tool for ledger in ledgers_of_other_tools(connection)] == ["rails", "dbmate"]


def test_the_error_for_an_unreadable_ledger_has_the_grant(connection: psycopg.Connection) -> None:
    connection.execute('CREATE SCHEMA "Old"; SET search_path TO "Old"')
    connection.execute(OF_YOYO)
    connection.execute('CREATE ROLE "reader of yoyo"; GRANT USAGE ON SCHEMA "Old" TO "reader of yoyo"')
    connection.execute('SET ROLE "reader of yoyo"')

    with pytest.raises(OrderopsError) as refused:
        ledgers_of_other_tools(connection)

    told = "Old._yoyo_migration, the ledger of yoyo, cannot be read by user reader of yoyo"
    assert refused.value.message == told
    connection.execute("RESET ROLE")
    connection.execute(refused.value.hint.removeprefix("as its owner: ").encode())
    connection.execute('SET ROLE "reader of yoyo"')
    assert only(connection).tool == "yoyo"


def test_reading_changes_nothing_and_works_with_any_row_factory(database: str) -> None:
    with psycopg.connect(database) as maker:
        maker.execute(OF_DBMATE)
    with psycopg.connect(database, row_factory=dict_row) as connection:
        connection.read_only = True
        assert [ledger.tool for ledger in ledgers_of_other_tools(connection)] == ["dbmate"]


def only(connection: psycopg.Connection) -> OtherToolLedger:
    (ledger,) = ledgers_of_other_tools(connection)
    return ledger


def of_yoyo(connection: psycopg.Connection, *named: str) -> None:
    connection.execute(OF_YOYO)
    for minute, each in enumerate(named):
        when = NOON.replace(tzinfo=None, minute=minute)
        connection.execute("INSERT INTO _yoyo_migration VALUES (md5(%s), %s, %s)", [each, each, when])


def files(*versions: int) -> list[Migration]:
    empty = SqlFile(Path("V.sql"), "")
    return [Migration(version, f"number {version}", empty, empty) for version in versions]


def versions(told: tuple[list[Migration], list[OtherToolEntry]]) -> tuple[list[int], list[str]]:
    matched, missing = told
    return [each.version for each in matched], [each.version for each in missing]

"""The ledger is true at any time, in info, in history and in its view."""

from __future__ import annotations

import getpass
import hashlib
import re
import socket
import subprocess
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from orderops import __version__
from orderops.local.rds.postgres import PostgresServer
from orderops.migrations.ledger import table
from support.migrate_runs import Run, until

pytest_plugins = ["support.postgres_fixtures", "support.migrate_fixtures"]
HALF_WAY = "-- orderops: no-transaction\n"
MIGRATION = ["version", "description", "state", "file", "next", "checksum"]
ATTEMPT = [
    "action",
    "outcome",
    "who",
    "host",
    "tool_version",
    "started",
    "finished",
    "duration_seconds",
    "lock_tries",
    "lock_waited_seconds",
    "statements",
    "statements_done",
    "rows_changed",
    "applied_checksum",
    "note",
    "predicted_seconds",
    "receipt",
]


def told(run: Run) -> tuple[list[str], list[object], list[str]]:
    """What info, the view and history say: how each version stands, twice, and each attempt with its end."""
    return (
        [f"{line['version']} {line['state']}" for line in run("info", "--json").json["migrations"]],
        [said for (said,) in run.rows("select version || ' ' || state from orderops_ledger.migrations")],
        [f"{each['version']} {each['action']} {each['outcome']}" for each in run("history", "--json").json],
    )


def test_info_history_and_the_view_agree_after_every_kind_of_attempt(run: Run) -> None:
    run.write("001__a", "create table a (id int);\n", "drop table a;\n")
    two = run.write("002__b", f"{HALF_WAY}create table b (id int);\ncreate table nowhere.c ();\n", "drop table b;\n")
    run("apply", "--yes")
    history = ["2 apply failed", "1 apply done"]
    assert told(run) == (["1 applied", "2 partly applied"], ["1 applied", "2 partly applied"], history)

    two.write_text(f"{HALF_WAY}create table b (id int);\n")
    run("apply", "--yes")
    history = ["2 apply done", *history]
    assert told(run) == (["1 applied", "2 applied"], ["1 applied", "2 applied"], history)

    (run.folder / "U002__b.sql").write_text("drop table b;\nselect 1 / 0;\n")
    run("undo", "--yes")
    history = ["2 undo failed", *history]
    assert told(run) == (["1 applied", "2 applied"], ["1 applied", "2 applied"], history)

    (run.folder / "U002__b.sql").write_text("drop table b;\n")
    run("undo", "--yes")
    history = ["2 undo done", *history]
    assert told(run) == (["1 applied", "2 pending"], ["1 applied", "2 pending"], history)

    run("repair", "--version", "2", "--as", "applied", "--yes")
    run("repair", "--version", "1", "--as", "pending", "--yes")
    history = ["1 forget done", "2 baseline done", *history]
    assert told(run) == (["1 out of order", "2 applied"], ["1 pending", "2 applied"], history)


def test_an_interrupted_attempt_is_marked_by_the_next_run(run: Run) -> None:
    run.write("001__slow", "create table a (id int);\nselect pg_sleep(60);\n", "drop table a;\n")
    run.write("002__b", "select 1;\n")
    first = run.process("apply", "--yes")
    sleeping = "select count(*) from pg_stat_activity where query like 'select pg_sleep(60)%' and state = 'active'"
    until(lambda: run.rows(sleeping)[0][0] == 1, "the statement at work")

    meanwhile = run("info")
    first.kill()
    run.execute("select pg_terminate_backend(pid) from pg_stat_activity where query like 'select pg_sleep(60)%'")
    until(lambda: run.rows(sleeping)[0][0] == 0, "the statement is over")

    assert meanwhile.out.splitlines()[0].split() == ["V001", "slow", "running"]
    who = re.escape(f"{getpass.getuser()} on {socket.gethostname()}")
    assert re.search(rf"being migrated by {who} \(pid \d+\) since \d\d:\d\d:\d\dZ", meanwhile.err)
    assert told(run) == (["1 pending", "2 pending"], ["1 pending"], ["1 apply running"])
    (run.folder / "V001__slow.sql").write_text("create table a (id int);\n")
    assert run("apply", "--yes").code == 0
    assert told(run)[2] == ["2 apply done", "1 apply done", "1 apply failed"]
    assert [each["note"] for each in run("history", "--json").json] == [None, None, "cut off"]


def test_json_has_the_documented_keys(run: Run) -> None:
    checksum = hashlib.sha256(b"create table a ();\n").hexdigest()
    run.write("001__a", "create table a ();\n", "drop table a;\n")
    run.write("002__b", "create table b ();\n", "drop table b;\n")
    assert list(run("info", "--json").json["migrations"][0]) == MIGRATION + ATTEMPT
    run("apply", "--to", "1", "--yes")

    info = run("info", "--json").json
    (attempt,) = run("history", "--json").json

    assert list(info) == ["migrations", "held_by", "foreign", "schema_owner"]
    # Another database than an environment's keeps its owners.
    assert info["schema_owner"]["role"] is None
    assert (info["held_by"], info["foreign"]) == (None, [])
    assert [list(migration) for migration in info["migrations"]] == [MIGRATION + ATTEMPT] * 2
    assert list(attempt) == ["version", "description", *ATTEMPT]
    applied, pending = info["migrations"]
    assert {key: value for key, value in attempt.items() if key in ATTEMPT} == {key: applied[key] for key in ATTEMPT}
    assert [applied[key] for key in MIGRATION] == [1, "a", "applied", "V001__a.sql", None, checksum]
    assert [pending[key] for key in MIGRATION[:5]] == [2, "b", "pending", "V002__b.sql", "apply"]
    assert {pending[key] for key in ATTEMPT} == {None}
    never = {"started", "finished", "duration_seconds", "lock_waited_seconds"}
    assert {key: value for key, value in attempt.items() if key not in never} == {
        "version": 1,
        "description": "a",
        "action": "apply",
        "outcome": "done",
        "who": getpass.getuser(),
        "host": socket.gethostname(),
        "tool_version": __version__,
        "lock_tries": 0,
        "statements": 1,
        "statements_done": 1,
        "rows_changed": None,
        "applied_checksum": checksum,
        "note": None,
        "predicted_seconds": None,
        "receipt": None,
    }


def test_times_come_from_the_database_and_are_shown_in_utc(run: Run) -> None:
    ((name,),) = run.rows("select current_database()")
    run.execute(f"alter database {name} set timezone to 'Asia/Tokyo'")
    run.write("001__a", "select 1;\n")
    ((before,),) = run.rows("select clock_timestamp()")
    run("apply", "--yes")
    ((after,),) = run.rows("select clock_timestamp()")

    (attempt,) = run("history", "--json").json

    started, finished = (datetime.fromisoformat(attempt[key]) for key in ("started", "finished"))
    assert isinstance(before, datetime) and isinstance(after, datetime)
    assert before <= started <= finished <= after
    assert attempt["started"].endswith("+00:00")
    shown = f"{finished.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
    assert run("info").out == f"V001  {'a':34}  {'applied':14}  {shown}\n"
    assert run("history").out.startswith(f"{shown}  done     apply     V001 a")


def test_the_history_names_the_operator(run: Run) -> None:
    run.write("001__fill", "-- orderops: batch 5 by id\nupdate a set n = 1;\n")
    run.execute("create table a (id int primary key, n int)", "insert into a select i from generate_series(1, 12) i")
    run("apply", "--yes")
    run.write("002__b", "select 1;\nselect 1 / 0;\n")
    run("apply", "--yes")

    failed, who, note, applied, by_whom = run("history").out.splitlines()

    author = f"    {getpass.getuser()} on {socket.gethostname()}, orderops {__version__}"
    assert failed.split()[2:-2] == ["failed", "apply", "V002", "b"]
    assert who == f"{author}, 0 of 2 statements"
    assert note == "    V002__b.sql:2:1: division by zero; nothing of this file was applied"
    assert applied.split()[2:6] == ["done", "apply", "V001", "fill"]
    assert by_whom == f"{author}, 12 rows"
    assert run("history", "--last", "1").out.splitlines() == [failed, who, note]


def test_the_history_of_a_new_database_is_empty(run: Run) -> None:
    said = run("history")

    assert (said.code, said.out) == (0, "")
    assert said.err.startswith("nothing was done to test_")
    assert run("history", "--json").json == []


def test_info_and_history_change_nothing(run: Run) -> None:
    run.write("001__a", "select 1;\n")

    for words in (("info",), ("apply", "--dry-run"), ("undo", "--dry-run"), ("history",)):
        assert run(*words).code == 0

    assert run.rows("select to_regnamespace('orderops_ledger')") == [(None,)]


def test_a_later_apply_keeps_the_rows_of_an_existing_ledger(run: Run) -> None:
    run.write("001__a", "create table a ();\n")
    assert run("apply", "--yes").code == 0
    before = run.rows("select * from orderops_ledger.ledger order by id")

    run.write("002__b", "create table b ();\n")
    assert run("apply", "--yes").code == 0

    assert len(before) == 1
    assert run.rows("select * from orderops_ledger.ledger where version = 1 order by id") == before
    assert run.rows("select version, state from orderops_ledger.ledger order by id") == [(1, "done"), (2, "done")]


def test_an_index_of_another_table_with_the_same_name_is_left_alone(run: Run) -> None:
    run.execute("create table a (id int, n int)", "create index a_by_n on a (id)")
    run.write("001__index", f"{HALF_WAY}create index concurrently a_by_n on a (n);\n")

    for _ in range(2):
        refused = run("apply", "--yes")
        assert (refused.code, 'relation "a_by_n" already exists' in refused.err) == (1, True)
        assert run("info", "--json").json["migrations"][0]["state"] == "pending"


def test_hundreds_of_migrations_are_listed_in_order(run: Run) -> None:
    for number in range(1, 301):
        run.write(f"{number:03}__step_{number}", f"select {number};\n")
    run("baseline", "--version", "300", "--yes")
    run.write("301__step_301", "select 301;\n")

    info = run("info")

    assert [line.split()[0] for line in info.out.splitlines()] == [f"V{number:03}" for number in range(1, 302)]
    assert f"301 migrations: 300 applied, 1 pending\nnext: orderops migrate apply --sql {run.folder}\n" in info.err
    assert len(run("history").out.splitlines()) == 20 * 3
    assert len(run("history", "--last", "1000", "--json").json) == 300


def test_the_view_shows_the_status_of_each_migration(run: Run, postgres: PostgresServer) -> None:
    run.write("001__create_a", "create table a ();\n")
    run.write("002__slow", "select pg_sleep(0.02);\nselect 1 / 0;\n")
    run("apply", "--yes")
    asked = "select version, description, state, who from orderops_ledger.migrations"

    psql = [str(postgres.bindir / "psql"), "--no-psqlrc", "--csv", "-d", run.dsn, "-c"]
    answer = subprocess.run([*psql, asked], capture_output=True, text=True, check=True).stdout
    described = subprocess.run(
        [*psql, r"\d+ orderops_ledger.ledger"], capture_output=True, text=True, check=True
    ).stdout

    who = getpass.getuser()
    assert answer.splitlines()[1:] == [f"1,create a,applied,{who}", f"2,slow,pending,{who}"]
    assert "SHA-256 of the V file" in described
    ((duration,),) = run.rows("select min(duration) >= '0' from orderops_ledger.ledger")
    assert duration is True


def test_apply_creates_the_ledger_in_an_empty_schema_made_for_it(run: Run) -> None:
    run.execute("create schema orderops_ledger")
    run.write("001__a", "create table a ();\n")
    pending = run("info", "--json").json["migrations"]

    assert run("apply", "--yes").code == 0

    assert [migration["state"] for migration in pending] == ["pending"]
    assert run.rows("select version, state from orderops_ledger.migrations") == [(1, "applied")]


def test_a_role_named_orderops_creates_its_tables_outside_the_ledgers_schema(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.execute("create role orderops login createdb password 'of a test'", "grant all on schema public to orderops")
    ((name,),) = run.rows("select current_database()")
    run.execute(f"grant create on database {name} to orderops")
    monkeypatch.setenv("ORDEROPS_DSN", make_conninfo(run.dsn, user="orderops", password="of a test"))
    try:
        run.write("001__a", "create table a ();\n", "drop table a;\n")
        run.write("002__b", "set local search_path = '';\ncreate table public.b ();\n")
        run.write("003__c", "create table c ();\nalter table a add column n int;\n")
        assert run("apply", "--yes").code == 0

        assert run.rows(
            "select schemaname || '.' || tablename from pg_tables where tableowner = 'orderops' order by 1"
        ) == [
            ("orderops_ledger.ledger",),
            ("public.a",),
            ("public.b",),
            ("public.c",),
        ]
    finally:
        run.execute("drop schema if exists orderops_ledger cascade", "drop owned by orderops", "drop role orderops")


# the schema where the ledger was once


FORMER = """
create schema orderops;
alter table orderops_ledger.ledger set schema orderops;
alter view orderops_ledger.migrations set schema orderops;
drop schema orderops_ledger;
"""


@pytest.fixture
def former(run: Run) -> Run:
    """A database whose ledger is in its former schema, with one applied migration and one pending."""
    run.write("001__a", "create table a ();\n", "drop table a;\n")
    run("apply", "--yes")
    run.execute(FORMER)
    run.write("002__b", "create table b ();\n", "drop table b;\n")
    return run


def test_commands_that_only_read_use_the_ledger_where_it_is(former: Run) -> None:
    states = [migration["state"] for migration in former("info", "--json").json["migrations"]]

    assert states == ["applied", "pending"]
    assert len(former("history", "--json").json) == 1
    assert former.rows("select to_regclass('orderops.ledger') is not null") == [(True,)]


def test_the_next_change_moves_the_ledger_with_all_attempts_and_deletes_the_empty_schema(former: Run) -> None:
    assert former("apply", "--yes").code == 0

    assert former.rows("select version, state from orderops_ledger.migrations order by 1") == [
        (1, "applied"),
        (2, "applied"),
    ]
    assert former.rows("select id from orderops_ledger.ledger order by id") == [(1,), (2,)]
    assert former.rows("select to_regnamespace('orderops')") == [(None,)]
    assert former("undo", "--yes").code == 0


def test_tables_of_the_service_stay_in_the_former_schema(former: Run) -> None:
    former.execute("create table orderops.made_by_the_service (id int)")

    assert former("apply", "--yes").code == 0

    assert former.rows("select tablename from pg_tables where schemaname = 'orderops'") == [("made_by_the_service",)]


def test_a_table_of_the_service_called_ledger_is_not_taken_for_ours(run: Run) -> None:
    run.execute("create schema orderops", "create table orderops.ledger (id int, version int, state text)")
    run.write("001__a", "create table a ();\n")

    assert run("apply", "--yes").code == 0

    assert run.rows("select version from orderops_ledger.ledger") == [(1,)]
    assert run.rows("select count(*) from orderops.ledger") == [(0,)]


def test_somebody_who_reads_the_former_ledger_does_not_stop_the_run_for_good(
    former: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "10s" in table.MOVE
    monkeypatch.setattr(table, "MOVE", table.MOVE.replace("10s", "100ms"))
    with psycopg.connect(former.dsn) as reader:
        reader.execute("select * from orderops.ledger")

        refused = former("apply", "--yes")

    assert refused.code == 1
    assert "lock timeout" in refused.err
    assert former("apply", "--yes").code == 0


def test_a_role_with_the_name_of_the_ledgers_schema_is_refused(run: Run) -> None:
    run.execute("create role orderops_ledger")
    run.write("001__a", "create table a ();\n")
    try:
        refused = run("apply", "--yes")

        assert refused.code == 1
        assert "error: the role orderops_ledger has the name of the ledger's schema" in refused.err
        assert run.rows("select to_regnamespace('orderops_ledger'), to_regclass('a')") == [(None, None)]
    finally:
        run.execute("drop role orderops_ledger")


def test_unqualified_names_of_the_service_never_mean_the_ledger(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.execute("create role orderops login password 'of a test'", "grant all on schema public to orderops")
    ((name,),) = run.rows("select current_database()")
    run.execute(f"grant create on database {name} to orderops")
    monkeypatch.setenv("ORDEROPS_DSN", make_conninfo(run.dsn, user="orderops", password="of a test"))
    try:
        run.write("001__a", "create table migrations (id bigint primary key);\n", "drop table migrations;\n")
        assert run("apply", "--yes").code == 0

        with psycopg.connect(make_conninfo(run.dsn, user="orderops", password="of a test")) as service:
            service.execute("insert into migrations values (1)")
            service.execute("create table made_by_the_service (i int)")
        assert run.rows("select schemaname from pg_tables where tablename = 'made_by_the_service'") == [("public",)]
    finally:
        run.execute("drop owned by orderops", "drop role orderops")

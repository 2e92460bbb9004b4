"""Files that do not match the ledger, missing privileges, and servers that reject changes."""

from __future__ import annotations

import pytest

from support.migration_cases import Input, Place

pytest_plugins = ["support.postgres_fixtures", "support.migration_case_fixtures"]

A, B, C = "V001__a.sql", "V002__b.sql", "V003__c.sql"
NO_TRANSACTION = "-- orderops: no-transaction\n"
TABLE = "create table a (id int);\n"
ONE = ("V1 apply done 1/1",)

EDITED: dict[str, Input] = {
    "an applied file that was edited": Input(
        {A: "create table a (id bigint);\n", B: "create table b ();\n"},
        "V001__a.sql was applied and has been edited since",
        "restore the file and make the change in a new one: git checkout -- sql/V001__a.sql\n"
        "or accept the edited file: orderops migrate repair",
        first={A: TABLE},
        holds=("table a (id integer)",),
        ledger=ONE,
    ),
    "an applied file with a comment more": Input(
        {A: f"{TABLE}-- what we sell\n"},
        "V001__a.sql was applied and has been edited since",
        "restore the file and make the change in a new one: git checkout -- sql/V001__a.sql\n"
        "or accept the edited file: orderops migrate repair",
        first={A: TABLE},
        holds=("table a (id integer)",),
        ledger=ONE,
    ),
    "an applied file with the line ends of Windows and a byte order mark": Input(
        {A: b"\xef\xbb\xbf" + TABLE.replace("\n", "\r\n").encode()},
        first={A: TABLE},
        holds=("table a (id integer)",),
        ledger=ONE,
        says=("0 pending: ",),
    ),
    "an applied file with another name": Input(
        {A: None, "U001__a.sql": None, "V1__users.sql": TABLE},
        first={A: TABLE},
        holds=("table a (id integer)",),
        ledger=ONE,
        says=("0 pending: ",),
    ),
    "an applied file that is gone": Input(
        {A: None, "U001__a.sql": None, B: "create table b ();\n"},
        "V001 'a' was applied and has no file here",
        "restore the file: git log --oneline -- 'sql/V*1__*.sql'\n"
        "or remove it from the ledger: orderops migrate repair",
        first={A: TABLE},
        holds=("table a (id integer)",),
        ledger=ONE,
    ),
    "a way back that was edited": Input(
        {"U001__a.sql": "drop table a;\n"}, first={A: TABLE}, holds=("table a (id integer)",), ledger=ONE
    ),
}

LATE: dict[str, Input] = {
    "a gap behind what is applied": Input(
        {C: "create table c ();\n"},
        "V002 is missing before V003__c.sql; nothing was applied",
        "add it, or renumber V003__c.sql and its U file",
        first={A: TABLE},
        holds=("table a (id integer)",),
        ledger=ONE,
    ),
    "a branch that came late": Input(
        {"V20261102__b.sql": "create table b ();\n", "V20261104__d.sql": "create table d ();\n"},
        "V20261102__b.sql came after V20261103 was applied; nothing was applied",
        "renumber it and its U file, or apply it anyway: orderops migrate apply --out-of-order",
        first={"V20261101__a.sql": TABLE, "V20261103__c.sql": "create table c ();\n"},
        holds=("table a (id integer)", "table c"),
        ledger=("V20261101 apply done 1/1", "V20261103 apply done 1/1"),
    ),
    "a branch that came late, as it is wanted": Input(
        {"V20261102__b.sql": "create table b ();\n", "V20261104__d.sql": "create table d ();\n"},
        first={"V20261101__a.sql": TABLE, "V20261103__c.sql": "create table c ();\n"},
        holds=("table a (id integer)", "table b", "table c", "table d"),
        ledger=tuple(f"V2026110{day} apply done 1/1" for day in (1, 3, 2, 4)),
        words=("--out-of-order",),
    ),
}

HALVES: dict[str, Input] = {
    "a file that failed and was mended": Input(
        {A: TABLE},
        first={A: "create table a (id int);\nselect 1 / 0;\n"},
        holds=("table a (id integer)",),
        ledger=("V1 apply failed 0/2", "V1 apply done 1/1"),
    ),
    "a file that stopped half-way, its statement mended": Input(
        {A: f"{NO_TRANSACTION}{TABLE}create table b (id int);\ncreate table c ();\n"},
        first={A: f"{NO_TRANSACTION}{TABLE}create table b (id nothing);\ncreate table c ();\n"},
        holds=("table a (id integer)", "table b (id integer)", "table c"),
        ledger=("V1 apply failed 1/3", "V1 apply done 3/3"),
    ),
    "a file that stopped half-way, a comment added to what is done": Input(
        {A: f"{NO_TRANSACTION}-- the first\n{TABLE}\ncreate table b (id int);\n"},
        first={A: f"{NO_TRANSACTION}{TABLE}create table b (id nothing);\n"},
        holds=("table a (id integer)", "table b (id integer)"),
        ledger=("V1 apply failed 1/2", "V1 apply done 2/2"),
    ),
    "a file that stopped half-way, and what is done was edited": Input(
        {A: f"{NO_TRANSACTION}create table a (id bigint);\ncreate table b (id int);\n"},
        "V001__a.sql is partially applied, and its statement 1, which is applied, was edited since then",
        "undo the edit, or set the true status, pending or applied: orderops migrate repair --version 1 --as pending",
        first={A: f"{NO_TRANSACTION}{TABLE}create table b (id nothing);\n"},
        holds=("table a (id integer)",),
        ledger=("V1 apply failed 1/2", "V1 apply failed 1/2"),
    ),
    "a file that stopped half-way, and is to go on in a transaction": Input(
        {A: "insert into a values (1);\ninsert into a values (2);\n"},
        "V001__a.sql is partially applied, and its statement 1, which is applied, was edited since then",
        "undo the edit, or set the true status, pending or applied: orderops migrate repair --version 1 --as pending",
        before=TABLE,
        first={A: f"{NO_TRANSACTION}insert into a values (1);\ninsert into a values (1 / 0);\n"},
        holds=("table a (id integer)",),
        ledger=("V1 apply failed 1/2",),
        after="select count(*)::text from a",
        answer="1",
    ),
    "a file that stopped half-way, and lost what is done": Input(
        {A: f"{NO_TRANSACTION}{TABLE}"},
        "V001__a.sql is partially applied, and its statement 2, which is applied, was edited since then",
        "undo the edit, or set the true status, pending or applied: orderops migrate repair --version 1 --as pending",
        first={A: f"{NO_TRANSACTION}{TABLE}create table b ();\nselect 1 / 0;\n"},
        holds=("table a (id integer)", "table b"),
        ledger=("V1 apply failed 2/3",),
    ),
    "a file that stopped half-way, and is gone": Input(
        {A: None, "U001__a.sql": None, B: "create table b ();\n"},
        "V001 'a' is partly applied and has no file here",
        "restore the file: git log --oneline -- 'sql/V*1__*.sql'\n"
        "or set its true status, pending or applied: orderops migrate repair --version 1 --as pending",
        first={A: f"{NO_TRANSACTION}{TABLE}create table b (id nothing);\n"},
        holds=("table a (id integer)",),
        ledger=("V1 apply failed 1/2",),
    ),
    "a file that stopped half-way, and what comes after it": Input(
        {B: "create table b ();\n"},
        'V001__a.sql:3:20: type "nothing" does not exist; '
        "statement 1 is applied and stays, the others are not\nin: create table b (id nothing)",
        "fix sql/V001__a.sql, then re-run this command",
        first={A: f"{NO_TRANSACTION}{TABLE}create table b (id nothing);\n"},
        holds=("table a (id integer)",),
        ledger=("V1 apply failed 1/2", "V1 apply failed 1/2"),
    ),
    "an index that was left half built": Input(
        {A: f"{NO_TRANSACTION}{TABLE}insert into a values (1), (1);\ncreate index concurrently a_id on a (id);\n"},
        first={
            A: f"{NO_TRANSACTION}{TABLE}insert into a values (1), (1);\n"
            "create unique index concurrently a_id on a (id);\n"
        },
        holds=("index a_id", "table a (id integer)"),
        ledger=("V1 apply failed 2/3", "V1 apply done 3/3"),
        says=("index a_id is invalid after an interruption: dropped and built again",),
    ),
}

A_ROLE = "create role DATABASE_r login password 'secret';"
LEDGERS: dict[str, Input] = {
    "a ledger that somebody dropped": Input(
        {A: TABLE},
        'V001__a.sql:1:1: relation "a" already exists; nothing of this file was applied\nin: create table a (id int)',
        "if it existed before orderops was used: orderops migrate baseline --version N",
        before=TABLE + "create schema orderops_ledger;",
        holds=("table a (id integer)",),
        ledger=("V1 apply failed 0/1",),
    ),
    "a ledger that may not be read": Input(
        {B: "create table b ();\n"},
        "database DATABASE on SERVER: permission denied for schema orderops_ledger",
        "DATABASE_r needs this privilege; the owner of the schema orderops_ledger has it",
        before=A_ROLE,
        first={A: TABLE},
        user="DATABASE_r",
        holds=("table a (id integer)",),
        ledger=ONE,
    ),
    "a role that may not create a schema": Input(
        {A: TABLE},
        "database DATABASE on SERVER: permission denied for database DATABASE",
        "DATABASE_r needs this privilege; the owner of the schema orderops_ledger has it",
        before=A_ROLE,
        user="DATABASE_r",
    ),
    "a role that may not create a table": Input(
        {A: TABLE},
        "V001__a.sql:1:14: permission denied for schema public; nothing of this file was applied\n"
        "in: create table a (id int)",
        "connect as the owner, or name the role in the head: -- orderops: owner ROLE",
        before=f"{A_ROLE} grant create on database DATABASE to DATABASE_r",
        user="DATABASE_r",
        ledger=("V1 apply failed 0/1",),
    ),
    "a role that may not log in": Input(
        {A: TABLE},
        'database DATABASE on SERVER cannot be opened: connection failed: connection to server at "127.0.0.1", '
        'port PORT failed: FATAL:  role "DATABASE_r" is not permitted to log in',
        "check user, password and database, then re-run this command",
        before="create role DATABASE_r password 'secret'",
        user="DATABASE_r",
    ),
    "a server that takes no writes": Input(
        {A: TABLE},
        "database DATABASE on SERVER: cannot execute CREATE SCHEMA in a read-only transaction",
        r"default_transaction_read_only is on, set for the database (\drds shows it); remove it: "
        'alter database "DATABASE" reset default_transaction_read_only',
        before="alter database DATABASE set default_transaction_read_only = on",
    ),
}

ENDS: dict[str, Input] = {
    "a constraint that is checked at COMMIT": Input(
        {
            A: "create table a (id int primary key);\n"
            "create table b (id int references a deferrable initially deferred);\n"
            "insert into b values (1);\ncomment on table b is 'more';\n"
        },
        'V001__a.sql, at its end: insert or update on table "b" violates foreign key constraint "b_id_fkey"; '
        'nothing of this file was applied\ndetail: Key (id)=(1) is not present in table "a".',
        "fix sql/V001__a.sql, then re-run this command",
        ledger=("V1 apply failed 0/4",),
    ),
    "a body that drops the ledger": Input(
        {A: "do $$ begin drop schema orderops_ledger cascade; end $$;\n"},
        'V001__a.sql, at its end: relation "orderops_ledger.ledger" does not exist; nothing of this file was applied',
        "fix sql/V001__a.sql, then re-run this command",
        ledger=("V1 apply failed 0/1",),
    ),
    "a body that takes the role away": Input(
        {A: "create table a ();\ndo $$ begin set role pg_monitor; end $$;\n", B: "create table b ();\n"},
        holds=("table a", "table b"),
        ledger=("V1 apply done 2/2", "V2 apply done 1/1"),
    ),
    "a body that empties the ledger": Input(
        {A: "create table a ();\ndo $$ begin delete from orderops_ledger.ledger; end $$;\n"},
        "the line of version 1 in orderops_ledger.ledger is gone; it cannot be recorded",
        "does the file or another session change that table? Uncommitted changes are rolled back",
        ledger=("V1 apply failed 0/2",),
    ),
    "a temporary table does not stand before a table in the next file": Input(
        {A: "create temporary table b (id int);\n", B: "insert into b values (1);\n"},
        before="create table b (id int)",
        holds=("table b (id integer)",),
        ledger=("V1 apply done 1/1", "V2 apply done 1/1"),
        after="select count(*)::text from b",
        answer="1",
    ),
}

HISTORIES = EDITED | LATE | HALVES | LEDGERS | ENDS


@pytest.mark.parametrize("given", HISTORIES.values(), ids=HISTORIES)
def test_the_report_matches_the_database(given: Input, place: Place) -> None:
    assert place.outcome(given) == given.outcome


def test_many_statements_are_applied_in_one_transaction(place: Place) -> None:
    rows = "".join(f"insert into a values ({number}, 'größe {number}');\n" for number in range(20_000))
    given = Input(
        {A: f"create table a (id int, t text);\n{rows}"},
        holds=("table a (id integer, t text)",),
        ledger=("V1 apply done 20001/20001",),
        after="select count(distinct id) || ' ' || max(t) || ' ' || count(distinct xmin::text) from a",
        answer="20000 größe 9999 1",
    )

    assert place.outcome(given) == given.outcome

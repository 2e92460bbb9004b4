"""Invalid folders: each is one error with its position, before the database is touched."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from orderops.local.rds.postgres import PostgresServer
from orderops.migrations.sql.files import FORM
from support.command_line import Orderops
from support.migration_cases import HOLDS, Input, Place

pytest_plugins = ["support.postgres_fixtures"]

A = "V001__a.sql"
NO_TRANSACTION = "-- orderops: no-transaction\n"
PLAIN = "remove it: a migration is plain SQL"
OWN_TRANSACTION = (
    "a file already runs in a transaction and cannot begin or end one",
    "remove it; for one transaction per statement: -- orderops: no-transaction",
)


def refused(text: str | bytes, error: str, hint: str) -> Input:
    """A file that is refused, as everything else in its folder is then not applied either."""
    return Input({A: "create table a ();\n", "V002__b.sql": text}, error, hint, code=2)


NAMES = (
    "v002__b.sql",
    "V002_b.sql",
    "V002__Add_B.sql",
    "V002__add b.sql",
    "V002__b.SQL",
    "V__b.sql",
    "V1.2__b.sql",
    "V99999999999999999999__b.sql",
    "README.sql",
)
NAMED: dict[str, Input] = {
    f"named {name}": Input(
        {A: "create table a ();", name: "select 1;"}, f"sql/{name} is not named like a migration", FORM, code=2
    )
    for name in NAMES
}

ALONE: dict[str, Input] = {
    "version 0": Input(
        {"V000__a.sql": "select 1;"},
        "sql/V000__a.sql has version 0, which means a database without migrations",
        "start at V001",
        code=2,
    ),
    "leading zeros that collide": Input(
        {A: "create table a ();", "V1__b.sql": "create table b ();"},
        "version 1 has 2 files: V001__a.sql, V1__b.sql",
        "renumber one of them",
        code=2,
    ),
    "a version twice": Input(
        {A: "create table a ();", "V001__b.sql": "create table b ();"},
        "version 1 has 2 files: V001__a.sql, V001__b.sql",
        "renumber one of them",
        code=2,
    ),
    "V without U": Input(
        {A: "create table a ();", "U001__a.sql": None},
        "sql/V001__a.sql has no U file",
        "write the file that undoes it: sql/U001__a.sql",
        code=2,
    ),
    "U without V": Input(
        {A: "create table a ();", "U002__b.sql": "drop table b;"},
        "sql/U002__b.sql has no V file",
        "is sql/V002__b.sql missing here?",
        code=2,
    ),
    "no file": Input({}, "no V*.sql in sql", "pass the folder of the migrations: --sql DIR", code=2),
    "a gap": Input(
        {A: "create table a ();", "V003__c.sql": "create table c ();"},
        "V002 is missing before V003__c.sql; nothing was applied",
        "add it, or renumber V003__c.sql and its U file",
    ),
    "a mistake in a U file": Input(
        {A: "create table a ();", "U001__a.sql": "drop tabel a;\n"},
        'sql/U001__a.sql:1:6: syntax error at or near "tabel"\ndrop tabel a;',
        "fix sql/U001__a.sql; nothing of it was applied",
        code=2,
    ),
}

TEXTS: dict[str, Input] = {
    "UTF-16": refused("select 1;".encode("utf-16"), "sql/V002__b.sql is UTF-16", "save it as UTF-8"),
    "Latin-1": refused(
        "-- für alle\nselect 1;\n".encode("latin-1"), "sql/V002__b.sql:1:5: byte 0xfc is not UTF-8", "save it as UTF-8"
    ),
    "a zero byte": refused(b"select '\0';", "sql/V002__b.sql:1:9: a zero byte", "is it SQL? Save it as UTF-8"),
    "an unterminated value": refused(
        "select 1;\nselect 'it's';\n",
        "sql/V002__b.sql:2:13: unterminated quoted string at or near \"';\n\"\nselect 'it's';",
        "fix sql/V002__b.sql; nothing of it was applied",
    ),
    "an unterminated body": refused(
        "do $$ begin end $;\n",
        'sql/V002__b.sql:1:4: unterminated dollar-quoted string at or near "$$ begin end $;\n"\ndo $$ begin end $;',
        "fix sql/V002__b.sql; nothing of it was applied",
    ),
    "an unterminated comment": refused(
        "select 1; /* and\n",
        'sql/V002__b.sql:1:11: unterminated /* comment at or near "/* and\n"\nselect 1; /* and',
        "fix sql/V002__b.sql; nothing of it was applied",
    ),
    "\\i": refused("\\i other.sql\n", "sql/V002__b.sql:1:1: \\i is a command of psql, not SQL", PLAIN),
    "\\copy": refused(
        "create table b (a int);\n\\copy b from 'b.csv' csv\n",
        "sql/V002__b.sql:2:1: \\copy is a command of psql, not SQL",
        PLAIN,
    ),
    "\\set": refused("\\set owner shop\n", "sql/V002__b.sql:1:1: \\set is a command of psql, not SQL", PLAIN),
    "a variable": refused(
        "alter table a owner to :owner;\n", "sql/V002__b.sql:1:24: :owner is a variable of psql, not SQL", PLAIN
    ),
    "COPY without an end": refused(
        "create table b (a int);\ncopy b from stdin;\n1\n2\n",
        "sql/V002__b.sql:2:1: the data of COPY … FROM STDIN has no end",
        r"end it with a line \.",
    ),
    "COPY with data on its line": refused(
        "copy a from stdin; select 1;\n",
        "sql/V002__b.sql:1:1: COPY … FROM STDIN has no data",
        r"the data begins on the next line and ends with a line \.",
    ),
    "COPY from a file": refused(
        "copy a from '/tmp/a.csv';\n",
        "sql/V002__b.sql:1:1: COPY reads or writes a file on the server",
        "use COPY … FROM STDIN",
    ),
    "COPY to nobody": refused(
        "copy a to stdout;\n", "sql/V002__b.sql:1:1: COPY … TO STDOUT has no receiver in a migration", "remove it"
    ),
}

STATEMENTS: dict[str, Input] = {
    **{
        text: refused(
            f"create table b ();\n{text};\n", f"sql/V002__b.sql:2:1: {word}: {OWN_TRANSACTION[0]}", OWN_TRANSACTION[1]
        )
        for text, word in {
            "begin": "BEGIN",
            "start transaction read only": "START",
            "commit": "COMMIT",
            "end": "END",
            "rollback": "ROLLBACK",
            "savepoint one": "SAVEPOINT",
            "prepare transaction 'one'": "PREPARE",
        }.items()
    },
    "a transaction of its own with an isolation level": refused(
        "begin isolation level serializable;\ncreate table b ();\ncommit;\n",
        f"sql/V002__b.sql:1:1: BEGIN: {OWN_TRANSACTION[0]}",
        OWN_TRANSACTION[1],
    ),
    "two transactions of its own": refused(
        "begin;\ncreate table b ();\ncommit;\nbegin;\ncommit;\n",
        f"sql/V002__b.sql:3:1: COMMIT: {OWN_TRANSACTION[0]}",
        OWN_TRANSACTION[1],
    ),
    "a directive after BEGIN": refused(
        "begin;\n-- orderops: lock-timeout 2s\ncreate table b ();\ncommit;\n",
        "sql/V002__b.sql:2:1: '-- orderops: lock-timeout 2s' is after the first statement",
        "move it to the head of the file",
    ),
    "an index that is built beside others": refused(
        "create index concurrently b on a (a);\n",
        "sql/V002__b.sql:1:1: create index concurrently b on a (a)\n"
        "PostgreSQL cannot run this in a transaction, and a file runs in one",
        "add to the head of the file: -- orderops: no-transaction",
    ),
    "vacuum": refused(
        "vacuum (full) a;\n",
        "sql/V002__b.sql:1:1: vacuum (full) a\nPostgreSQL cannot run this in a transaction, and a file runs in one",
        "add to the head of the file: -- orderops: no-transaction",
    ),
    "an index without a name": refused(
        f"{NO_TRANSACTION}create index concurrently on a (id);\n",
        "sql/V002__b.sql:2:1: the index has no name, so an invalid one left by an interruption could not be found",
        "name it: CREATE INDEX CONCURRENTLY a_… ON a …",
    ),
    "two indexes at once": refused(
        f"{NO_TRANSACTION}drop index concurrently one, two;\n",
        "sql/V002__b.sql:2:1: DROP INDEX CONCURRENTLY takes one index",
        "write one statement for each",
    ),
    "a database": refused(
        "create database b;\n",
        "sql/V002__b.sql:1:1: create database b\nafter an interruption it would be unknown whether this was done",
        "run it by hand: a migration changes one database only",
    ),
    "a setting of the whole server": refused(
        f"{NO_TRANSACTION}alter system set work_mem = '1GB';\n",
        "sql/V002__b.sql:2:1: alter system set work_mem = '1GB'\n"
        "after an interruption it would be unknown whether this was done",
        "run it by hand: a migration changes one database only",
    ),
    "SET lock_timeout": refused(
        "set lock_timeout = '10s';\n",
        "sql/V002__b.sql:1:1: lock_timeout is set by orderops",
        "set it in the head: -- orderops: lock-timeout 2s",
    ),
    "SET LOCAL statement_timeout": refused(
        "set local statement_timeout to 0;\n",
        "sql/V002__b.sql:1:1: statement_timeout is set by orderops",
        "set it in the head: -- orderops: statement-timeout 1h",
    ),
    "RESET lock_timeout": refused(
        "reset lock_timeout;\n",
        "sql/V002__b.sql:1:1: lock_timeout is set by orderops",
        "set it in the head: -- orderops: lock-timeout 2s",
    ),
    "SET transaction_timeout": refused(
        "set transaction_timeout = 0;\n", "sql/V002__b.sql:1:1: transaction_timeout is set by orderops", "remove it"
    ),
    "RESET ALL": refused(
        "reset all;\n",
        "sql/V002__b.sql:1:1: RESET ALL would remove the timeouts of the migration",
        "reset settings by name, or remove it: settings of a file end with the file",
    ),
    "DISCARD ALL": refused(
        "discard all;\n", "sql/V002__b.sql:1:1: DISCARD ALL would release the locks of this run", "remove it"
    ),
    "SET ROLE": refused(
        "select 1; set role shop;\n",
        "sql/V002__b.sql:1:11: set role shop\na file runs as one role",
        "set it in the head: -- orderops: owner ROLE",
    ),
    "SET SESSION AUTHORIZATION": refused(
        "set session authorization default;\n",
        "sql/V002__b.sql:1:1: set session authorization default\na file runs as one role",
        "set it in the head: -- orderops: owner ROLE",
    ),
    "SET client_encoding": refused(
        "set client_encoding = 'LATIN1';\n",
        "sql/V002__b.sql:1:1: a file is sent as UTF-8, not as latin1",
        "remove it",
    ),
    "SET standard_conforming_strings": refused(
        "set standard_conforming_strings = off;\n",
        "sql/V002__b.sql:1:1: a file is read with standard_conforming_strings = on",
        r"remove it; with a backslash: E'a\nb'",
    ),
    **{
        text: refused(
            f"{text};\n",
            f"sql/V002__b.sql:1:1: {text}\nthe schema orderops_ledger holds the ledger: no migration may change it",
            "remove it; to correct the ledger: orderops migrate repair",
        )
        for text in (
            "drop schema a, orderops_ledger cascade",
            "drop table orderops_ledger.ledger cascade",
            "truncate orderops_ledger.ledger",
            "delete from orderops_ledger.ledger where version = 1",
            "update orderops_ledger.ledger set state = 'done'",
            "alter table orderops_ledger.ledger drop column note",
            "create table orderops_ledger.mine (id int)",
            "alter schema orderops_ledger rename to ours",
        )
    },
}

DIRECTIVES: dict[str, Input] = {
    "a directive that nobody knows": refused(
        "-- orderops: concurently\nselect 1;\n",
        "V002__b.sql:1: orderops has no directive 'concurently'",
        "directives: no-transaction [repeatable], lock-timeout 2s, statement-timeout 10min, owner ROLE,"
        " batch 5000 by id",
    ),
    "a directive after the first statement": refused(
        "select 1;\n-- orderops: no-transaction\ncreate index concurrently b on a (a);\n",
        "sql/V002__b.sql:3:1: create index concurrently b on a (a)\n"
        "PostgreSQL cannot run this in a transaction, and a file runs in one",
        "add to the head of the file: -- orderops: no-transaction",
    ),
    "a directive at the end": refused(
        "select 1;\n-- orderops: lock-timeout 1s\n",
        "sql/V002__b.sql:2:1: '-- orderops: lock-timeout 1s' is after the first statement",
        "move it to the head of the file",
    ),
    "batches of two statements": refused(
        "-- orderops: batch 10 by id\nupdate a set id = 1;\nupdate a set id = 2;\n",
        "sql/V002__b.sql: batch is for a file with one UPDATE or DELETE, this one holds 2 statements",
        "put the UPDATE or DELETE into a file of its own",
    ),
    "batches of an INSERT": refused(
        "-- orderops: batch 10 by id\ninsert into a select * from b;\n",
        "sql/V002__b.sql:2: batch is for an UPDATE or DELETE, this is insert into a select * from b",
        "put the UPDATE or DELETE into a file of its own",
    ),
    "batches with WITH": refused(
        "-- orderops: batch 10 by id\nwith b as (select 1) update a set id = 1;\n",
        "sql/V002__b.sql:2: batch cannot cut a statement that begins with WITH",
        "write it as a subquery",
    ),
    "batches with RETURNING": refused(
        "-- orderops: batch 10 by id\ndelete from a returning id;\n",
        "sql/V002__b.sql:2: batch cannot return rows",
        "remove it",
    ),
}

REFUSED = NAMED | ALONE | TEXTS | STATEMENTS | DIRECTIVES


@pytest.fixture(scope="module")
def empty(postgres: PostgresServer) -> Iterator[psycopg.Connection]:
    """A database that stays empty."""
    name = f"inputs_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres.create_database(name), autocommit=True) as connection:
        yield connection
    postgres.drop_database(name)


@pytest.fixture
def place(
    empty: psycopg.Connection,
    postgres: PostgresServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Place:
    monkeypatch.setenv("ORDEROPS_DSN", postgres.dsn(empty.info.dbname))
    return Place(empty, tmp_path / "sql", Orderops(capsys))


@pytest.mark.parametrize("given", REFUSED.values(), ids=REFUSED)
def test_an_invalid_folder_is_rejected_before_the_database_is_touched(given: Input, place: Place) -> None:
    assert given.touches_nothing

    assert place.outcome(given) == given.outcome


def test_a_folder_named_like_a_migration_is_an_error(place: Place) -> None:
    place.write({A: "create table a ();"})
    (place.folder / "V002__b.sql").mkdir()
    why, hint = "sql/V002__b.sql cannot be read: is a directory", "a migration is a file of plain SQL"
    given = Input({"U002__b.sql": "select 1;"}, why, hint, code=2)

    assert place.outcome(given) == given.outcome


def test_a_broken_link_is_an_error(place: Place) -> None:
    place.write({A: "create table a ();"})
    (place.folder / "V002__b.sql").symlink_to("elsewhere.sql")
    why, hint = "sql/V002__b.sql cannot be read: no such file or directory", "a migration is a file of plain SQL"
    given = Input({"U002__b.sql": "select 1;"}, why, hint, code=2)

    assert place.outcome(given) == given.outcome


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_an_error(place: Place) -> None:
    place.write({A: "create table a ();"})
    (place.folder / A).chmod(0)

    said = place.apply()

    assert said.code == 2
    assert f"error: {place.folder}/V001__a.sql cannot be read: permission denied\n" in said.err
    assert not place.has_ledger and place.execute(HOLDS) == []

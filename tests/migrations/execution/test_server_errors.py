"""Errors of the server: what is applied, what is not, and the message."""

from __future__ import annotations

import pytest

from support.migration_cases import Input, Place

pytest_plugins = ["support.postgres_fixtures", "support.migration_case_fixtures"]

A, B = "V001__a.sql", "V002__b.sql"
NO_TRANSACTION = "-- orderops: no-transaction\n"
NOTHING = "nothing of this file was applied"
AGAIN = "fix sql/V001__a.sql, then re-run this command"
DONE, FAILED = ("V1 apply done 1/1",), ("V1 apply failed 0/1",)


def applied(text: str | bytes, *holds: str, statements: int = 1, after: str = "", answer: str = "") -> Input:
    """A file that is applied whole."""
    done = (f"V1 apply done {statements}/{statements}",)
    return Input({A: text}, holds=holds, ledger=done, after=after, answer=answer)


def failed(text: str, error: str, hint: str = AGAIN, *, statements: int = 1) -> Input:
    """A file of which nothing is applied."""
    first, _, more = error.partition("\n")
    whole = f"V001__a.sql:{first}; {NOTHING}" + (f"\n{more}" if more else "")
    return Input({A: text}, whole, hint, ledger=(f"V1 apply failed 0/{statements}",))


TEXTS: dict[str, Input] = {
    "a byte order mark": applied(b"\xef\xbb\xbfcreate table a (id int);\n", "table a (id integer)"),
    "line ends of Windows, kept within a value": applied(
        b"create table a (t text);\r\ninsert into a values ('one\r\ntwo');\r\n",
        "table a (t text)",
        statements=2,
        after="select encode(t::bytea, 'hex') from a",
        answer=b"one\r\ntwo".hex(),
    ),
    "a lone carriage return in a value": applied(
        b"create table a (t text);\ninsert into a values ('one\rtwo');\n",
        "table a (t text)",
        statements=2,
        after="select encode(t::bytea, 'hex') from a",
        answer=b"one\rtwo".hex(),
    ),
    "line ends of old Macs, with a directive and a comment": applied(
        b"-- orders\r-- orderops: lock-timeout 1s\rcreate table a (t text);\r-- values\rinsert into a values ('x');",
        "table a (t text)",
        statements=2,
        after="select t from a",
        answer="x",
    ),
    "line ends of Windows in a body": applied(
        b"create function f() returns text language sql as $$\r\nselect 'one\r\ntwo'\r\n$$;\r\n",
        "function f()",
        after="select encode(f()::bytea, 'hex')",
        answer=b"one\r\ntwo".hex(),
    ),
    "line ends of Windows in the data of COPY": applied(
        b"create table a (i int, t text);\r\ncopy a from stdin;\r\n1\tone\r\n2\ttwo\\r\r\n\\.\r\n"
        b"insert into a values (3, 'three');\r\n",
        "table a (i integer, t text)",
        statements=3,
        after="select string_agg(i || encode(t::bytea, 'hex'), ' ' order by i) from a",
        answer=f"1{b'one'.hex()} 2{bytes('two', 'ascii').hex()}0d 3{b'three'.hex()}",
    ),
    "a byte order mark, then a directive, with line ends of Windows": applied(
        b"\xef\xbb\xbf-- orderops: no-transaction\r\ncreate table a (t text);\r\n",
        "table a (t text)",
    ),
    "an empty way back": Input({A: "create table a ();", "U001__a.sql": ""}, holds=("table a",), ledger=DONE),
    "a way back of comments": Input(
        {A: "create table a ();", "U001__a.sql": "-- none\n"}, holds=("table a",), ledger=DONE
    ),
    "an empty version": applied("", statements=0),
    "a version of comments": applied("-- nothing to do\n/* here */ ;\n", statements=0),
    "a version of a byte order mark": applied(b"\xef\xbb\xbf", statements=0),
    "an empty version without a transaction": applied("-- orderops: no-transaction", statements=0),
    "percent signs": applied(
        "create table a (t text);\ninsert into a values ('100 %'), ('%s'), ('%(id)s'), (format('%s%%', 5 % 3));\n",
        "table a (t text)",
        statements=2,
        after="select string_agg(t, ' ') from a",
        answer="100 % %s %(id)s 2%",
    ),
    "braces, colons and backslashes": applied(
        "create table a (t text);\ninsert into a values ('{} {a}'), (':id'), ('\\n'), ('1'::text);\n",
        "table a (t text)",
        statements=2,
        after="select string_agg(t, ' ') from a",
        answer="{} {a} :id \\n 1",
    ),
    "letters of the world": applied(
        'create table "Größe ☃" ("naïve;" text);\ninsert into "Größe ☃" values (\'日本\');\n',
        'table "Größe ☃" (naïve; text)',
        statements=2,
        after='select * from "Größe ☃"',
        answer="日本",
    ),
    "a body with semicolons": applied(
        "create function two() returns int language plpgsql as $$\nbegin\n  perform 1;\n  return 2;\nend;\n$$;\n"
        "create function three() returns int begin atomic select 1; select 3; end;\n"
        "do $do$ begin execute $$create table a (id int);$$; end $do$;\n",
        "function three()",
        "function two()",
        "table a (id integer)",
        statements=3,
        after="select (two() + three())::text",
        answer="5",
    ),
    "nested comments": applied(
        "/* /* ; */ create table b (); */ create table a (id int); -- end;\n", "table a (id integer)"
    ),
    "no semicolon at the end": applied("create table a (id int)", "table a (id integer)"),
}

COPY = "create table a (id int, t text);\ncopy a from stdin;\n"
COPY_CSV = COPY.replace("stdin", "stdin (format csv)")
DATA: dict[str, Input] = {
    "COPY with tabs, nothing and umlauts": applied(
        COPY
        + "1\tO'Brien; \\\\.\n2\t\\N\n3\tüß\\tö\n\\.\n"
        + "copy a (id) from stdin (format csv);\n4\n\\.\nupdate a set id = id * 10;\n",
        "table a (id integer, t text)",
        statements=4,
        after="select string_agg(id || '=' || coalesce(t, '-'), ' ' order by id) from a",
        answer="10=O'Brien; \\. 20=- 30=üß\tö 40=-",
    ),
    "COPY without a row": applied(
        COPY + "\\.\n", "table a (id integer, t text)", statements=2, after="select count(*)::text from a", answer="0"
    ),
    "COPY on Windows": applied(
        (COPY + "1\tone\n\\.\n").replace("\n", "\r\n").encode(),
        "table a (id integer, t text)",
        statements=2,
        after="select t from a",
        answer="one",
    ),
    "COPY with a wrong row": failed(
        COPY + "1\tone\n2\ttwo\nthree\tthree\n\\.\nselect 1;\n",
        '5:1: invalid input syntax for type integer: "three"\nin: copy a from stdin\n'
        'where: COPY a, line 3, column id: "three"',
        statements=3,
    ),
    "COPY with too many columns": failed(
        COPY_CSV + "1,one,more\n\\.\n",
        "3:1: extra data after last expected column\nin: copy a from stdin (format csv)\n"
        'where: COPY a, line 1: "1,one,more"',
        statements=2,
    ),
    "COPY into a table that is not there": failed(
        "select 1;\ncopy nowhere from stdin;\n1\n\\.\n",
        '2:1: relation "nowhere" does not exist\nin: copy nowhere from stdin',
        statements=2,
    ),
}

PLACES: dict[str, Input] = {
    "the second of two on a line": failed(
        "create table a (id int); alter table a add kind txt;\n",
        '1:49: type "txt" does not exist\nin: alter table a add kind txt',
        statements=2,
    ),
    "behind letters that are not ASCII": failed(
        "create table a (id int);\nselect 'größe ☃', nowhere from a;\n",
        "2:19: column \"nowhere\" does not exist\nin: select 'größe ☃', nowhere from a",
        statements=2,
    ),
    "in the midst of a long statement": failed(
        "create table a (\n  id int primary key,\n  name text,\n  kind nokind\n);\n",
        '4:8: type "nokind" does not exist\nin: create table a ( id int primary key, name text, kind nokind )',
    ),
    "in a function that is called": failed(
        "create function f() returns int language plpgsql as $$\nbegin\n  return 1 / 0;\nend $$;\nselect\n  f();\n",
        '5:1: division by zero\nin: select f()\nwhere: PL/pgSQL expression "1 / 0"\n'
        "where: PL/pgSQL function f() line 3 at RETURN",
        statements=2,
    ),
    "in a body that is no PL/pgSQL": failed(
        "create function f() returns int language plpgsql as $$\nbegin\n  retrun 1;\nend $$;\n",
        '3:3: syntax error at or near "retrun"\n'
        "in: create function f() returns int language plpgsql as $$ begin retrun 1; …",
    ),
    "in what a body puts together": failed(
        "do $$ begin\n  execute 'drop ' || 'tabel a';\nend $$;\n",
        '1:1: syntax error at or near "tabel"\n'
        "in: do $$ begin execute 'drop ' || 'tabel a'; end $$\nquery: drop tabel a\n"
        "where: PL/pgSQL function inline_code_block line 2 at EXECUTE",
    ),
    "with a detail and a hint of the server's": failed(
        "create table a (id int primary key);\ncreate table b (a_id int references a);\ndrop table a;\n",
        "3:1: cannot drop table a because other objects depend on it\nin: drop table a\n"
        "detail: constraint b_a_id_fkey on table b depends on table a\n"
        "server's hint: Use DROP ... CASCADE to drop the dependent objects too.",
        statements=3,
    ),
}

HALVES: dict[str, Input] = {
    "the third of four": failed(
        "create table a (id int);\ncreate table b (id int);\ncreate index b_id on b (nowhere);\ncreate table c ();\n",
        '3:1: column "nowhere" does not exist\nin: create index b_id on b (nowhere)',
        statements=4,
    ),
    "the third of four, each by itself": Input(
        {A: f"{NO_TRANSACTION}create table a (id int);\ncreate table b (id int);\nselect 1 / 0;\ncreate table c ();\n"},
        "V001__a.sql:4:1: division by zero; statements 1 to 2 are applied and stay, the others are not\n"
        "in: select 1 / 0",
        AGAIN,
        holds=("table a (id integer)", "table b (id integer)"),
        ledger=("V1 apply failed 2/4",),
    ),
    "the second file of three": Input(
        {A: "create table a ();", B: "create table b ();\nselect 1 / 0;\n", "V003__c.sql": "create table c ();"},
        "V002__b.sql:2:1: division by zero; nothing of this file was applied\nin: select 1 / 0",
        "fix sql/V002__b.sql, then re-run this command",
        holds=("table a",),
        ledger=("V1 apply done 1/1", "V2 apply failed 0/2"),
    ),
    "an index that is not unique, built beside others": Input(
        {
            A: "create table a (id int);\ninsert into a values (1), (1);\n",
            B: f"{NO_TRANSACTION}create unique index concurrently a_id on a (id);\n",
        },
        'V002__b.sql:2:1: could not create unique index "a_id"; nothing of this file was applied; '
        "the index a_id is invalid; re-running this command drops it\n"
        "in: create unique index concurrently a_id on a (id)\n"
        "detail: Key (id)=(1) is duplicated.",
        "fix sql/V002__b.sql, then re-run this command",
        holds=("index a_id invalid", "table a (id integer)"),
        ledger=("V1 apply done 2/2", "V2 apply failed 0/1"),
    ),
    "an index beside others, and vacuum": Input(
        {
            A: f"{NO_TRANSACTION}create table a (id int);\n"
            "create index concurrently a_id on a (id);\nvacuum (analyze) a;\n"
        },
        holds=("index a_id", "table a (id integer)"),
        ledger=("V1 apply done 3/3",),
    ),
    "a body that would commit": failed(
        "create table a ();\ndo $$ begin insert into a default values; commit; end $$;\n",
        "2:1: invalid transaction termination\nin: do $$ begin insert into a default values; commit; end $$\n"
        "where: PL/pgSQL function inline_code_block line 1 at COMMIT",
        "a body cannot end the file's transaction; to change many rows in batches: -- orderops: batch 5000 by id\n"
        "or, if it may run again after an interruption, add to the head: -- orderops: no-transaction repeatable",
        statements=2,
    ),
    "a value of an enumeration before it is committed": Input(
        {
            A: "create type kind as enum ('a');",
            B: "alter type kind add value 'b';\ncreate table t (k kind default 'b');\n",
        },
        'V002__b.sql:2:32: unsafe use of new value "b" of enum type kind; nothing of this file was applied\n'
        "in: create table t (k kind default 'b')\n"
        "server's hint: New enum values must be committed before they can be used.",
        "use the new value in the next file, or add to the head: -- orderops: no-transaction",
        holds=("type kind",),
        ledger=("V1 apply done 1/1", "V2 apply failed 0/2"),
    ),
    "a value of an enumeration, each statement by itself": Input(
        {
            A: "create type kind as enum ('a');",
            B: f"{NO_TRANSACTION}alter type kind add value 'b';\ncreate table t (k kind default 'b');\n",
        },
        holds=("table t (k kind)", "type kind"),
        ledger=("V1 apply done 1/1", "V2 apply done 2/2"),
    ),
    "a time that runs out": failed(
        "-- orderops: statement-timeout 50ms\ncreate table a ();\nselect pg_sleep(60);\n",
        "3:1: canceling statement due to statement timeout\nin: select pg_sleep(60)",
        "if the statement timed out, add to the head: -- orderops: statement-timeout 1h, or run it in batches",
        statements=2,
    ),
    "a constraint that is checked at COMMIT": Input(
        {
            A: f"{NO_TRANSACTION}create table a (id int primary key);\n"
            "create table b (id int references a deferrable initially deferred);\ninsert into b values (1);\n"
        },
        'V001__a.sql:4:1: insert or update on table "b" violates foreign key constraint "b_id_fkey"; '
        "statements 1 to 2 are applied and stay, the others are not\n"
        "in: insert into b values (1)\n"
        'detail: Key (id)=(1) is not present in table "a".',
        AGAIN,
        holds=("constraint b_id_fkey", "index a_pkey", "table a (id integer!)", "table b (id integer)"),
        ledger=("V1 apply failed 2/3",),
    ),
}

SETTINGS: dict[str, Input] = {
    "a search_path ends with its file": Input(
        {
            A: "create schema shop;\nset search_path = shop;\ncreate table a ();\n",
            B: "create table b ();\n",
        },
        holds=("schema shop", "table b", "table shop.a"),
        ledger=("V1 apply done 3/3", "V2 apply done 1/1"),
    ),
    "a search_path without the ledger's operators": Input(
        {A: "set search_path = '';\ncreate table public.a ();\n", B: "create table b ();\n"},
        holds=("table a", "table b"),
        ledger=("V1 apply done 2/2", "V2 apply done 1/1"),
    ),
    "what a body or a function sets ends with its file": Input(
        {
            A: "create schema shop;\ndo $$ begin set search_path = shop; end $$;\ncreate table a ();\n",
            B: "select set_config('search_path', 'shop', false);\ncreate table b ();\n",
            "V003__c.sql": "create table c ();\n",
        },
        holds=("schema shop", "table c", "table shop.a", "table shop.b"),
        ledger=("V1 apply done 3/3", "V2 apply done 2/2", "V3 apply done 1/1"),
    ),
    "a setting survives no failure": Input(
        {A: "create schema shop;\nset search_path = shop;\nselect 1 / 0;\n"},
        f"V001__a.sql:3:1: division by zero; {NOTHING}\nin: select 1 / 0",
        AGAIN,
        ledger=("V1 apply failed 0/3",),
    ),
    "what the server has to say": Input(
        {
            A: "do $$ begin raise notice 'all % [bold]', '100 %'; raise warning 'mind this'; end $$;\n"
            "drop table if exists a;\n"
        },
        ledger=("V1 apply done 2/2",),
        says=("NOTICE: all 100 % [bold]\n", "WARNING: mind this\n", 'NOTICE: table "a" does not exist, skipping\n'),
    ),
    "an owner": Input(
        {
            A: '-- orderops: owner "DATABASE owner"\ncreate table a (id int);\ncreate table b (id int);\n',
            B: "create table c ();\n",
        },
        before='create role "DATABASE owner"; grant create on schema public to "DATABASE owner"',
        holds=("table a (id integer)", "table b (id integer)", "table c"),
        ledger=("V1 apply done 2/2", "V2 apply done 1/1"),
        after="select string_agg(relname || replace(relowner::regrole::text, 'DATABASE', ''), ', ' order by relname)"
        " from pg_class where relname in ('a', 'b', 'c')",
        answer='a" owner", b" owner", cpostgres',
    ),
    "an owner who is not there": failed(
        "-- orderops: owner Nobody\ncreate table a ();\n",
        '2:1: role "nobody" does not exist\nin: create table a ()',
        "-- orderops: owner Nobody runs this file: does the role exist, and is this user a member of it?",
    ),
    "an owner who may not": failed(
        "-- orderops: owner pg_monitor\ncreate schema a;\n",
        "2:1: permission denied for database DATABASE\nin: create schema a",
        "connect as the owner, or name the role in the head: -- orderops: owner ROLE",
    ),
}

BATCHES: dict[str, Input] = {
    "by a column that is not unique": Input(
        {
            A: "create table a (id int not null);\ninsert into a values (1);\n",
            B: "-- orderops: batch 10 by id\ndelete from a;\n",
        },
        "V002__b.sql:2: a.id is not UNIQUE and NOT NULL: rows could be skipped or repeated",
        "batch by the primary key, or by another column that is NOT NULL and UNIQUE",
        holds=("table a (id integer!)",),
        ledger=("V1 apply done 2/2", "V2 apply failed 0/1"),
        after="select count(*)::text from a",
        answer="1",
    ),
    "by a column that is not there": Input(
        {A: "create table a (id int primary key);\n", B: "-- orderops: batch 10 by number\ndelete from a;\n"},
        "V002__b.sql:2: a has no column number",
        "the form is batch 5000 by COLUMN",
        holds=("index a_pkey", "table a (id integer!)"),
        ledger=("V1 apply done 1/1", "V2 apply failed 0/1"),
    ),
    "that fail in the midst": Input(
        {
            A: "create table a (id int primary key, n int);\n"
            "insert into a select i, 10 - i from generate_series(1, 20) i;\n",
            B: "-- orderops: batch 3 by id\nupdate a\nset n = 100 / n\nwhere id > 0;\n",
        },
        "V002__b.sql:2:1: division by zero; 9 rows up to id 9 are changed and committed; "
        "it failed at a row after that, up to id 12\nin: update a set n = 100 / n where id > 0",
        "fix that row; re-running this command continues from there",
        holds=("index a_pkey", "table a (id integer!, n integer)"),
        ledger=("V1 apply done 2/2", "V2 apply failed 0/1"),
        after="select string_agg(n::text, ' ' order by id) from a where id between 8 and 11",
        answer="50 100 0 -1",
    ),
}

RUNS = TEXTS | DATA | PLACES | HALVES | SETTINGS | BATCHES


@pytest.mark.parametrize("given", RUNS.values(), ids=RUNS)
def test_the_report_matches_the_database(given: Input, place: Place) -> None:
    assert place.outcome(given) == given.outcome

"""The statements of a file: their begin and end, their data, and invalid SQL."""

from __future__ import annotations

from pathlib import Path

import pytest

from orderops.errors import UsageError
from orderops.migrations.sql.files import SqlFile
from orderops.migrations.sql.parser import read_script

PATH = Path("sql/V003__case.sql")


def script_of(text: str) -> list[tuple[str, str]]:
    """Each statement with its place."""
    return [(f"{each.line}:{each.column}", each.text) for each in read_script(SqlFile(PATH, text))]


SPLIT: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "nothing": ("", []),
    "only comments": ("-- nothing yet\n/* or\nnot */\n", []),
    "only semicolons": (";;\n;\n", []),
    "two on a line": ("select 1; select 2;", [("1:1", "select 1"), ("1:11", "select 2")]),
    "without the last semicolon": ("select 1;\nselect 2", [("1:1", "select 1"), ("2:1", "select 2")]),
    "semicolons between": (";; select 1;;\n; select 2;", [("1:4", "select 1"), ("2:3", "select 2")]),
    "comments before": ("-- one\n\n  /* two; /* in\n it */ */ select 1;", [("4:11", "select 1")]),
    "comments within": ("select -- one;\n 1 /* ; */ + 2;", [("1:1", "select -- one;\n 1 /* ; */ + 2")]),
    "letters that are not ASCII": (
        "-- größe ☃\nselect 'ü☃';  select 'ö'; -- ä\n\tselect \"ß\" from t;",
        [("2:1", "select 'ü☃'"), ("2:15", "select 'ö'"), ("3:2", 'select "ß" from t')],
    ),
    "semicolons in values": (
        "select 'a;b', 'it''s;', E'\\';', U&'\\0041;', $$;$$, $q$ $$;$$ $q$; select 2;",
        [("1:1", "select 'a;b', 'it''s;', E'\\';', U&'\\0041;', $$;$$, $q$ $$;$$ $q$"), ("1:67", "select 2")],
    ),
    "semicolons in names": ('create table "a;b" (";" int);', [("1:1", 'create table "a;b" (";" int)')]),
    "a body": (
        "create function f() returns int language plpgsql as $$\nbegin\n  return 1;\nend;\n$$;\nselect f();",
        [
            ("1:1", "create function f() returns int language plpgsql as $$\nbegin\n  return 1;\nend;\n$$"),
            ("6:1", "select f()"),
        ],
    ),
    "a body of SQL": (
        "create function f() returns int begin atomic select 1; select case when true then 2 end; end; select f();",
        [
            ("1:1", "create function f() returns int begin atomic select 1; select case when true then 2 end; end"),
            ("1:95", "select f()"),
        ],
    ),
    "a rule of two": (
        "create rule r as on insert to t do (delete from a; delete from b); select 1;",
        [("1:1", "create rule r as on insert to t do (delete from a; delete from b)"), ("1:68", "select 1")],
    ),
    "percent signs": ("select '100 %', '%s', 5 % 2;", [("1:1", "select '100 %', '%s', 5 % 2")]),
    "dollars that quote nothing": (
        "prepare p as select $1; select a$b from t;",
        [("1:1", "prepare p as select $1"), ("1:25", "select a$b from t")],
    ),
    "form feeds": ("select 1;\f\v select 2;", [("1:1", "select 1"), ("1:13", "select 2")]),
}


@pytest.mark.parametrize(("text", "statements"), SPLIT.values(), ids=SPLIT)
def test_a_file_is_split_into_statements_as_postgresql_does(text: str, statements: list[tuple[str, str]]) -> None:
    assert script_of(text) == statements


DATA: dict[str, tuple[str, list[tuple[str, str | None]]]] = {
    "rows": ("copy t from stdin;\n1\tü\n2\t\\N\n\\.\n", [("1:1", "1\tü\n2\t\\N\n")]),
    "no rows": ("copy t from stdin;\n\\.\n", [("1:1", "")]),
    "no line end behind": ("copy t from stdin;\n1\n\\.", [("1:1", "1\n")]),
    "what would open a value": (
        "copy t from stdin;\nO'Brien\t$$\t/*\n\\.\nselect 1;\n",
        [("1:1", "O'Brien\t$$\t/*\n"), ("4:1", None)],
    ),
    "what looks like SQL": (
        "copy t from stdin;\nselect 1;\ncopy u from stdin;\n\\.\n",
        [("1:1", "select 1;\ncopy u from stdin;\n")],
    ),
    "more than one": (
        "copy t from stdin;\nä\n\\.\n-- and\n"
        "COPY public.u (a, b) FROM STDIN WITH (FORMAT csv, DELIMITER ';');\n1;2\n\\.\nselect 1;",
        [("1:1", "ä\n"), ("5:1", "1;2\n"), ("8:1", None)],
    ),
    "over several lines": (
        "select 1; copy t (a,\n b)\nfrom\n stdin -- now\n;  -- here it comes\n1\n\\.\n",
        [("1:1", None), ("1:11", "1\n")],
    ),
    "a row that only begins so": ("copy t from stdin;\n\\.a\n\\.\n", [("1:1", "\\.a\n")]),
    "in a value": ("select 'copy t from stdin;\n1\n\\.\n';", [("1:1", None)]),
    "in a body": (
        "do $$ begin\ncopy t from stdin;\n1\n\\.\nend $$;\ncopy t from stdin;\n1\n\\.\n",
        [("1:1", None), ("6:1", "1\n")],
    ),
    "in a comment of several lines": ("/*\ncopy t from stdin;\n1\n\\.\n*/\nselect 1;", [("6:1", None)]),
    "in a comment of one line": ("-- copy t from stdin;\nselect 1;\n", [("2:1", None)]),
    "a name that reads like it": ('select "from stdin" from stdin;\nselect 1;', [("1:1", None), ("2:1", None)]),
}


@pytest.mark.parametrize(("text", "found"), DATA.values(), ids=DATA)
def test_only_copy_from_stdin_is_followed_by_data(text: str, found: list[tuple[str, str | None]]) -> None:
    script = read_script(SqlFile(PATH, text))

    assert [(f"{each.line}:{each.column}", each.data) for each in script] == found


BROKEN: dict[str, tuple[str, str, str]] = {
    "a wrong word": (
        "select 1;\n  selec 2;\n",
        '2:3: syntax error at or near "selec"\nselec 2;',
        "fix sql/V003__case.sql; nothing of it was applied",
    ),
    "a wrong word behind letters that are not ASCII": (
        "-- ü\nselect 'üß☃' form t;\n",
        "2:19: syntax error at or near \"t\"\nselect 'üß☃' form t;",
        "fix sql/V003__case.sql; nothing of it was applied",
    ),
    "the end too early": (
        "create table t (\n  id int,\n",
        "3:1: syntax error at end of input\n",
        "fix sql/V003__case.sql; nothing of it was applied",
    ),
    "a value that does not end": (
        "select 1;\nselect 'a;\nselect 2;\n",
        "2:8: unterminated quoted string at or near \"'a;\nselect 2;\n\"\nselect 'a;",
        "fix sql/V003__case.sql; nothing of it was applied",
    ),
    "a body that does not end": (
        "do $$ begin end;\n",
        '1:4: unterminated dollar-quoted string at or near "$$ begin end;\n"\ndo $$ begin end;',
        "fix sql/V003__case.sql; nothing of it was applied",
    ),
    "a comment that does not end": (
        "select 1;\n /* and\n",
        '2:2: unterminated /* comment at or near "/* and\n"\n/* and',
        "fix sql/V003__case.sql; nothing of it was applied",
    ),
    "a space that is none": (
        "select 1;\nselect\u00a02;\n",
        '2:1: syntax error at or near "select\u00a02"\nselect\u00a02;',
        "remove NO-BREAK SPACE at column 7: it is invisible or looks like a space",
    ),
    "a byte order mark within": (
        "\ufeffselect 1;\n",
        '1:1: syntax error at or near "\ufeffselect"\n\ufeffselect 1;',
        "remove ZERO WIDTH NO-BREAK SPACE at column 1: it is invisible or looks like a space",
    ),
    "\\i": (
        "select 1;\n\\i more.sql\n",
        "2:1: \\i is a command of psql, not SQL",
        "remove it: a migration is plain SQL",
    ),
    "\\copy": (
        "\\copy t from 't.csv'\n",
        "1:1: \\copy is a command of psql, not SQL",
        "remove it: a migration is plain SQL",
    ),
    "\\set": (
        "  \\set who 'shop'\n",
        "1:3: \\set is a command of psql, not SQL",
        "remove it: a migration is plain SQL",
    ),
    "\\gexec": (
        "select 'ü' \\gexec\n",
        "1:12: \\gexec is a command of psql, not SQL",
        "remove it: a migration is plain SQL",
    ),
    "a variable": (
        "alter table t owner to :who;\n",
        "1:24: :who is a variable of psql, not SQL",
        "remove it: a migration is plain SQL",
    ),
    "a variable as a value": (
        "select :'who';\n",
        "1:8: :'who' is a variable of psql, not SQL",
        "remove it: a migration is plain SQL",
    ),
    "data without an end": (
        "select 1;\n copy t from stdin;\n1\n2\n",
        "2:2: the data of COPY … FROM STDIN has no end",
        r"end it with a line \.",
    ),
    "data with an end that is none": (
        "copy t from stdin;\n1\n\\. \n",
        "1:1: the data of COPY … FROM STDIN has no end",
        r"end it with a line \.",
    ),
}


@pytest.mark.parametrize(("text", "message", "hint"), BROKEN.values(), ids=BROKEN)
def test_invalid_sql_is_an_error_with_its_position(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_script(SqlFile(PATH, text))

    assert refused.value.message == f"{PATH}:{message}"
    assert refused.value.hint == hint


def test_the_digest_of_a_statement_depends_on_its_text_and_data_only() -> None:
    def digests(text: str) -> list[str]:
        return [each.digest for each in read_script(SqlFile(PATH, text))]

    one, two = digests("select 1; select 2;")
    assert digests("-- later\nselect 2;\n\nselect  1;\nselect 1;")[::2] == [two, one]
    assert one != two
    assert digests("copy t from stdin;\n1\n\\.\n") != digests("copy t from stdin;\n2\n\\.\n")


def test_a_statement_is_shown_by_its_first_words() -> None:
    short, long = read_script(SqlFile(PATH, f"select\n  1;select {', '.join('abcdefghijklmnopqrstuvwxyz')};"))

    assert short.begins == "select 1"
    assert long.begins == "select a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v…"


@pytest.mark.parametrize("letter", ["u", "ü"], ids=["ASCII", "not ASCII"])
def test_positions_are_right_in_a_file_of_many_statements(letter: str) -> None:
    text = "".join(f"/* {letter} */ insert into t values ({number}, '{letter}');\n" for number in range(20_000))

    script = read_script(SqlFile(PATH, text))

    assert {(each.line - number, each.column) for number, each in enumerate(script)} == {(1, 9)}
    assert {text[each.position :][:8] for each in script[::1000]} == {"insert i"}

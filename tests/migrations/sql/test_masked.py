"""Statements of other sessions are shown without their values, wherever these stand."""

from __future__ import annotations

import pytest

from orderops.migrations.sql.parser import Statement, masked, without_comments

WORD = "Swordfish"
# What a client may send, and what is shown.
CASES = {
    "a value": (f"select * from users where name = '{WORD}'", "select * from users where name = $1"),
    "a comment": (f"select 1 /* user={WORD} */ from users", "select $1 from users"),
    "a comment in a comment": (f"select a /* b /* c */ {WORD} */ from t", "select a from t"),
    "a comment to the end of a line": (f"select a -- {WORD}\nfrom t", "select a from t"),
    "a comment before": (f"/* {WORD} */ select a from t", "select a from t"),
    "a comment behind": (f"select a from t -- {WORD}", "select a from t"),
    "a comment that looks like a text": ("select '--', a from t", "select $1, a from t"),
    "a name that looks like a comment": ('select "a--b", "/*c" from t', 'select "a--b", "/*c" from t'),
    "a body": (f"do $body$ begin perform '{WORD}'; end $body$", "do $1"),
    "a comment of a table": (f"comment on table t is '{WORD}'", "comment on table t is ?"),
    "a setting": (f"set app.user = '{WORD}'", "set app.user = ?"),
    "a password": (f"alter role ana password '{WORD}'", None),
    "a message": (f"notify orders, '{WORD}'", "notify orders, $1"),
    "escapes": (f"do language plpgsql E'\\'{WORD}'", None),
    "a text cut off": (f"select * from t where a = 'x{WORD}", "select * from t where a = ?"),
    "a comment cut off": (f"select a from t where b in ( /* {WORD}", "select a from t where b in ("),
    "a comment in a comment cut off": (f"select ( /* a /* b */ {WORD}", "select ("),
    "a line comment cut off": (f"select ( -- {WORD}", "select ("),
    "a body cut off": (f"do $$ begin perform '{WORD}", "do ?"),
    "a doubled quote cut off": (f"select ( 'it''s {WORD}", "select ( ?"),
    "numbers cut off": ("select ( 4711, 1.5e+10, .5, t1.c2, $3", "select ( ?, ?, ?, t1.c2, $3"),
}


@pytest.mark.parametrize(("text", "shown"), CASES.values(), ids=CASES)
def test_no_value_of_a_statement_is_shown(text: str, shown: str | None) -> None:
    assert WORD not in masked(text)
    assert shown is None or masked(text) == shown


def test_a_query_without_its_comments_runs_as_before() -> None:
    text = "select '/* a */', \"--b\" /* c */ from t -- d\nwhere e = $1"

    assert without_comments(text).split() == [
        "select",
        "'/*",
        "a",
        "*/',",
        '"--b"',
        "from",
        "t",
        "where",
        "e",
        "=",
        "$1",
    ]


@pytest.mark.parametrize(
    "text",
    [
        f"alter role ana password '{WORD}'",
        f"alter role ana password '{WORD}''s'",
        f"alter role ana password 'it''s {WORD}'",
        f"alter role ana password E'\\'{WORD}'",
        f"alter role ana password $${WORD}$$",
        f"alter role ana password $a${WORD}$a$",
        f"create user mapping for ana server s options (password '{WORD}')",
        f"create subscription s connection 'host=h password={WORD}' publication p",
        f"create subscription s connection 'password={WORD} host=h' publication p",
    ],
)
def test_the_first_words_of_a_statement_hide_its_password(text: str) -> None:
    assert WORD not in Statement(text, 0, 1, 1, None).begins

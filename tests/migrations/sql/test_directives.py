"""Directives in the head of a migration: names, values and positions."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orderops.errors import UsageError
from orderops.frozen import as_dict
from orderops.migrations.sql.directives import Batch, Head, head_of
from orderops.migrations.sql.files import SqlFile
from orderops.migrations.sql.validation import checked

NAME = "V003__add_status.sql"

SAID: dict[str, Head] = {
    "no-transaction": Head(no_transaction=True),
    "lock-timeout 200ms": Head(lock_timeout=timedelta(milliseconds=200)),
    "lock-timeout 2s": Head(lock_timeout=timedelta(seconds=2)),
    "lock-timeout 2 s": Head(lock_timeout=timedelta(seconds=2)),
    "statement-timeout 30min": Head(statement_timeout=timedelta(minutes=30)),
    "statement-timeout 30m": Head(statement_timeout=timedelta(minutes=30)),
    "statement-timeout 2h": Head(statement_timeout=timedelta(hours=2)),
    "no-transaction repeatable": Head(no_transaction=True, repeatable=True),
    "owner shop": Head(owner="shop"),
    'owner "Shop owner"': Head(owner='"Shop owner"'),
    "batch 5000 by id": Head(batch=Batch(5000, "id")),
    'batch 1 by "Order Id"': Head(batch=Batch(1, '"Order Id"')),
}


@pytest.mark.parametrize("said", SAID)
def test_each_directive_is_read_with_its_value(said: str) -> None:
    assert head_of(NAME, f"-- orderops: {said}\nselect 1;\n") == SAID[said]


def test_directives_can_be_combined() -> None:
    head = head_of(
        NAME,
        "-- Gives each order a status.\n--\n-- orderops: owner shop\n-- orderops: lock-timeout 1s\n\n"
        "-- orderops: statement-timeout 1h\nselect 1;\n",
    )

    assert head == Head(lock_timeout=timedelta(seconds=1), statement_timeout=timedelta(hours=1), owner="shop")


SPELLED = {
    "as it is shown": "-- orderops: no-transaction\n",
    "without a space": "--orderops:no-transaction\n",
    "with more of them": "   --   orderops :   no-transaction   \n",
    "in capitals": "-- Orderops: NO-TRANSACTION\n",
    "with tabs": "\t--\torderops:\tno-transaction\t\n",
    "after empty lines": "\n\n\f\n-- orderops: no-transaction\n",
    "after a comment": "-- Adds an index.\n-- orderops: no-transaction\n",
    "after a comment of several lines": "/* Adds\n   an /* indeed */\n index. */\n-- orderops: no-transaction\n",
    "behind a comment": "/* Adds an index. */ -- orderops: no-transaction\n",
    "at the end of a file of comments": "-- orderops: no-transaction",
}


@pytest.mark.parametrize("text", SPELLED.values(), ids=SPELLED)
def test_a_directive_may_have_any_spacing_and_case(text: str) -> None:
    assert head_of(NAME, text + "\nselect 1;\n" if text.endswith("\n") else text).no_transaction


NOT_MEANT = {
    "an empty file": "",
    "another word": "-- order: no-transaction\n",
    "a sentence about us": "-- orderops applies this in one transaction\n",
    "in the midst of a comment": "-- say -- orderops: no-transaction\n",
    "within a comment of several lines": "/*\n-- orderops: no-transaction\n*/\n",
    "within a comment in a comment": "/* /* a */\n-- orderops: no-transaction\n*/\n",
    "behind a line that only looks like the end of one": "-- a\u2028-- orderops: no-transaction\n",
}


@pytest.mark.parametrize("text", NOT_MEANT.values(), ids=NOT_MEANT)
def test_other_comments_are_no_directives(text: str) -> None:
    assert head_of(NAME, f"{text}select 1;\n") == Head()


WRONG: dict[str, tuple[str, str]] = {
    "no-transactions": ("orderops has no directive 'no-transactions'", "did you mean no-transaction [repeatable]?"),
    "lock_timeout 2s": ("orderops has no directive 'lock_timeout 2s'", "did you mean lock-timeout 2s?"),
    "timeout 2s": ("orderops has no directive 'timeout 2s'", "did you mean lock-timeout 2s?"),
    "concurrently": (
        "orderops has no directive 'concurrently'",
        "directives: no-transaction [repeatable], lock-timeout 2s, statement-timeout 10min, owner ROLE,"
        " batch 5000 by id",
    ),
    "": (
        "orderops has no directive ''",
        "directives: no-transaction [repeatable], lock-timeout 2s, statement-timeout 10min, owner ROLE,"
        " batch 5000 by id",
    ),
    "no-transaction please": (
        "'no-transaction please' is not a valid no-transaction",
        "the form is -- orderops: no-transaction [repeatable]",
    ),
    "lock-timeout": ("'lock-timeout' is not a valid lock-timeout", "the form is -- orderops: lock-timeout 2s"),
    "lock-timeout 2": ("'lock-timeout 2' is not a valid lock-timeout", "the form is -- orderops: lock-timeout 2s"),
    "lock-timeout 0s": ("'lock-timeout 0s' is not a valid lock-timeout", "the form is -- orderops: lock-timeout 2s"),
    "lock-timeout -1s": ("'lock-timeout -1s' is not a valid lock-timeout", "the form is -- orderops: lock-timeout 2s"),
    "lock-timeout 1.5s": (
        "'lock-timeout 1.5s' is not a valid lock-timeout",
        "the form is -- orderops: lock-timeout 2s",
    ),
    "lock-timeout 2 days": (
        "'lock-timeout 2 days' is not a valid lock-timeout",
        "the form is -- orderops: lock-timeout 2s",
    ),
    "statement-timeout 0ms": (
        "'statement-timeout 0ms' is not a valid statement-timeout",
        "the form is -- orderops: statement-timeout 10min",
    ),
    "statement-timeout 600h": (
        "'statement-timeout 600h' is not a valid statement-timeout",
        "the form is -- orderops: statement-timeout 10min",
    ),
    "owner": ("'owner' is not a valid owner", "the form is -- orderops: owner ROLE"),
    "owner shop; drop table users": (
        "'owner shop; drop table users' is not a valid owner",
        "the form is -- orderops: owner ROLE",
    ),
    "owner none": ("'owner none' is not a valid owner", "the form is -- orderops: owner ROLE"),
    "batch 5000": ("'batch 5000' is not a valid batch", "the form is -- orderops: batch 5000 by id"),
    "batch 0 by id": ("'batch 0 by id' is not a valid batch", "the form is -- orderops: batch 5000 by id"),
    "batch 5000 by id, line": (
        "'batch 5000 by id, line' is not a valid batch",
        "the form is -- orderops: batch 5000 by id",
    ),
    "batch 5000 by orders.id": (
        "'batch 5000 by orders.id' is not a valid batch",
        "the form is -- orderops: batch 5000 by id",
    ),
}


@pytest.mark.parametrize("said", WRONG)
def test_an_invalid_directive_is_an_error_with_its_line(said: str) -> None:
    message, hint = WRONG[said]

    assert refusal(f"-- Adds an index.\n\n-- orderops: {said}\nselect 1;\n") == (f"{NAME}:3: {message}", hint)


TOGETHER = {
    "the same twice": (
        "-- orderops: lock-timeout 1s\n-- orderops: lock-timeout 2s\n",
        f"{NAME}:2: lock-timeout is already set in line 1",
        "remove one of them",
    ),
    "batch and no-transaction": (
        "-- orderops: batch 10 by id\n-- orderops: no-transaction\n",
        f"{NAME}: batch already runs without a transaction",
        "remove no-transaction",
    ),
    "without a colon": (
        "-- Adds.\n-- orderops no-transaction\n",
        f"{NAME}:2: '-- orderops no-transaction' is not a directive",
        "the form is -- orderops: no-transaction",
    ),
    "in another kind of comment": (
        "\n/* orderops: no-transaction */\n",
        f"{NAME}:2: '/* orderops: no-transaction */' is not a directive",
        "the form is -- orderops: no-transaction",
    ),
}


@pytest.mark.parametrize(("head", "message", "hint"), TOGETHER.values(), ids=TOGETHER)
def test_a_contradictory_or_mistyped_head_is_an_error(head: str, message: str, hint: str) -> None:
    assert refusal(f"{head}select 1;\n") == (message, hint)


AFTER = {
    "on a line of its own": ("select 1;\n  -- orderops: no-transaction\nselect 2;\n", "2:3"),
    "behind a statement": ("select 1; -- orderops: no-transaction\n", "1:11"),
    "within a statement": ("select\n-- orderops: no-transaction\n1;\n", "2:1"),
    "at the end": ("select 'größe';\n\n-- orderops: no-transaction", "3:1"),
    "behind data": ("copy users from stdin;\nO'Brien\n\\.\n-- orderops: no-transaction\n", "4:1"),
    "without a colon": ("select 1;\n-- orderops no-transaction\n", "2:1"),
}


@pytest.mark.parametrize(("text", "place"), AFTER.values(), ids=AFTER)
def test_a_directive_after_the_first_statement_is_an_error(text: str, place: str) -> None:
    with pytest.raises(UsageError) as refused:
        checked(SqlFile(Path(NAME), text))

    said = "-- orderops no-transaction" if " no-" in text and "orderops:" not in text else "-- orderops: no-transaction"
    assert refused.value.message == f"{NAME}:{place}: '{said}' is after the first statement"
    assert refused.value.hint == "move it to the head of the file"


NO_COMMENT = {
    "in a value": "select '\n-- orderops: no-transaction\n';\n",
    "in a body": "do $$ begin\n-- orderops: no-transaction\nend $$;\n",
    "in data": "copy users from stdin;\n-- orderops: no-transaction\n\\.\n",
    "in a name": 'select 1 as "\n-- orderops: no-transaction\n";\n',
}


@pytest.mark.parametrize("text", NO_COMMENT.values(), ids=NO_COMMENT)
def test_text_inside_strings_and_bodies_is_no_directive(text: str) -> None:
    assert len(checked(SqlFile(Path(NAME), text))) == 1


def test_the_name_of_a_batch_column_is_that_of_the_catalogue() -> None:
    assert [Batch(1, key).name for key in ("Id", '"Id"')] == ["id", "Id"]


def test_an_empty_head_has_the_defaults() -> None:
    nothing: dict[str, Any] = as_dict(Head())

    assert not any(nothing.values())


def refusal(text: str) -> tuple[str, str]:
    """Why a head is refused, and the hint."""
    with pytest.raises(UsageError) as refused:
        head_of(NAME, text)
    return refused.value.message, refused.value.hint

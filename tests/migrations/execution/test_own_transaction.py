"""A file that is wrapped in a transaction of its own runs like one that is not."""

from __future__ import annotations

import pytest

from support.migrate_runs import Run

pytest_plugins = ["support.postgres_fixtures", "support.migrate_fixtures"]


@pytest.mark.parametrize(
    ("begin", "end"), [("BEGIN", "COMMIT"), ("begin transaction", "end"), ("start transaction", "commit work")]
)
@pytest.mark.parametrize("code", ["comment on table a is 'short'", "do $$ begin end $$"], ids=["whole", "one by one"])
def test_begin_and_commit_around_a_file_are_left_out(run: Run, begin: str, end: str, code: str) -> None:
    forwards = f"-- head\n{begin};\ncreate table a (id int);\n{code};\n{end};\n"
    run.write("001__a", forwards, f"{begin};\ndrop table a;\n{end};\n")

    applied = run("apply", "--yes")

    # The server warns of a BEGIN inside of a transaction, and of a COMMIT that ended it too early.
    assert (applied.code, "WARNING" in applied.err) == (0, False)
    assert run.rows("select state, statements, statements_done from orderops_ledger.ledger") == [("done", 2, 2)]
    undone = run("undo", "--yes")
    assert (undone.code, "WARNING" in undone.err) == (0, False)
    assert run.rows("select to_regclass('a')") == [(None,)]


def test_a_wrapped_file_that_fails_leaves_nothing(run: Run) -> None:
    run.write("001__a", "begin;\ncreate table a (id int);\nselect 1 / 0;\ncommit;\n")

    refused = run("apply", "--yes")

    assert refused.code == 1
    assert "V001__a.sql:3:1: division by zero; nothing of this file was applied" in refused.err
    assert run.rows("select to_regclass('a')") == [(None,)]


def test_an_empty_transaction_is_an_empty_version(run: Run) -> None:
    run.write("001__a", "BEGIN;\nCOMMIT;\n", "BEGIN;\nCOMMIT;\n")

    assert run("apply", "--yes").code == 0

    assert run.rows("select state, statements from orderops_ledger.ledger") == [("done", 0)]


def test_a_comment_at_the_end_of_a_statement_does_not_join_it_with_the_next(run: Run) -> None:
    # CREATE SCHEMA takes CREATE TABLE as a part of itself, if nothing stands between them.
    forwards = "create schema shop -- the shop\n;\ncreate table inside (id int) /* no */ -- here\n;\n"
    run.write("001__a", forwards, "drop table inside;\ndrop schema shop;\n")

    assert run("apply", "--yes").code == 0

    assert run.rows("select schemaname from pg_tables where tablename = 'inside'") == [("public",)]
    assert run("undo", "--yes").code == 0

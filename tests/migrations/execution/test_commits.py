"""DO and CALL may commit by themselves in a file whose head says that they can be repeated."""

from __future__ import annotations

from pathlib import Path

from support.lint_folder import forwards
from support.migrate_runs import Run, until

pytest_plugins = ["support.postgres_fixtures", "support.migrate_fixtures"]

HEAD = "-- orderops: no-transaction repeatable\n"
# From supabase/storage: rows in pieces, each committed.
IN_PIECES = """\
do $$ begin
    loop
        update jobs set done = true where id in (select id from jobs where not done order by id limit 2);
        exit when not found;
        commit;
    end loop;
end $$;
"""
JOBS = "create table jobs as select id, false as done from generate_series(1, 5) id"


def done(run: Run) -> list[object]:
    """The jobs that are done."""
    return [number for (number,) in run.rows("select id from jobs where done order by id")]


def test_a_body_that_commits_is_refused_in_a_transaction_with_the_directive(run: Run) -> None:
    run.execute(JOBS)
    run.write("001__a", IN_PIECES)

    refused = run("apply", "--yes")

    assert refused.code == 1
    assert "V001__a.sql:1:1: invalid transaction termination; nothing of this file was applied" in refused.err
    assert "add to the head: -- orderops: no-transaction repeatable\n" in refused.err
    assert done(run) == []


def test_a_do_block_and_a_procedure_commit_by_themselves(run: Run) -> None:
    run.execute(JOBS)
    procedure = "create procedure finish() language plpgsql as" + IN_PIECES.removeprefix("do")
    run.write("001__a", HEAD + procedure + "call finish();\n" + "update jobs set done = false;\n" + IN_PIECES)

    assert run("apply", "--yes").code == 0
    assert done(run) == [1, 2, 3, 4, 5]
    assert run.rows("select count(distinct xmin::text) from jobs") == [(3,)]
    assert run("info", "--json").json["migrations"][0]["state"] == "applied"


def test_a_body_that_commits_has_a_lock_timeout_and_no_statement_timeout(run: Run) -> None:
    shown = "create table shown as select current_setting('lock_timeout') l, current_setting('statement_timeout') s"
    run.write("001__a", f"{HEAD}do $$ begin {shown}; commit; end $$;\n")
    more = "-- orderops: lock-timeout 2s\n-- orderops: statement-timeout 1h\n"
    insert = "insert into shown select current_setting('lock_timeout'), current_setting('statement_timeout')"
    run.write("002__b", f"{HEAD}{more}do $$ begin {insert}; commit; end $$;\n")

    applied = run("apply", "--yes")

    assert applied.code == 0, applied.err
    assert run.rows("select * from shown order by 1") == [("2s", "1h"), ("50ms", "0")]


def test_what_a_failed_body_has_committed_stays_and_it_is_repeated(run: Run) -> None:
    run.execute(JOBS, "create table limits (most int)", "insert into limits values (2)")
    check = (
        "if (select count(*) from jobs where done) > (select most from limits) then raise 'too many'; end if; commit;"
    )
    run.write("001__a", HEAD + "create table first ();\n" + IN_PIECES.replace("commit;", check))

    failed = run("apply", "--yes")

    assert failed.code == 1
    left = "statement 1 is applied and stays, the others are not; what it has committed stays"
    assert f"V001__a.sql:3:1: too many; {left}" in failed.err
    assert done(run) == [1, 2]
    run.execute("update limits set most = 5")
    assert run("apply", "--yes").code == 0
    assert done(run) == [1, 2, 3, 4, 5]


def test_a_body_that_was_killed_is_repeated_and_what_it_committed_stays(run: Run) -> None:
    run.execute(JOBS, "create table waits as select true as waits")
    pause = "commit; if (select waits from waits) then perform pg_sleep(60); end if;"
    run.write("001__a", HEAD + IN_PIECES.replace("commit;", pause))
    killed = run.process("apply", "--yes")
    until(lambda: done(run) == [1, 2], "the first piece is committed")
    killed.kill()
    run.execute("update waits set waits = false")

    assert run("info", "--json").json["migrations"][0]["state"] in ("partly applied", "running")
    again = run("apply", "--yes")

    assert again.code == 0, again.err
    assert done(run) == [1, 2, 3, 4, 5]


def test_an_undo_cannot_commit_by_itself_since_it_could_not_be_rolled_back(run: Run) -> None:
    run.write("001__a", "select 1;\n", HEAD + "do $$ begin commit; end $$;\n")

    refused = run("apply", "--yes")

    assert refused.code == 2
    assert "U001__a.sql:2:1: do $$ begin commit; end $$" in refused.err
    assert "what commits by itself cannot be rolled back if it removes data" in refused.err


def test_a_dry_run_says_which_statements_commit_by_themselves(run: Run) -> None:
    run.write("001__a", HEAD + "create table a ();\ndo $$ begin commit; end $$;\n")

    shown = run("apply", "--dry-run").out

    assert "in a transaction of its own" in shown
    assert "in no transaction, since it commits by itself; again from its beginning after an interruption" in shown


def test_lint_does_not_call_the_directive_needless(tmp_path: Path) -> None:
    assert forwards(tmp_path, HEAD + "do $$ begin commit; end $$;\n") == []

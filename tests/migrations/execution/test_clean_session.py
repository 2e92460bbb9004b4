"""Each file begins on the session that a new connection would have, whatever the file before it left there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from orderops.database.connection import login_from_dsn
from orderops.errors import OrderopsError
from orderops.migrations.execution.sessions import opened
from orderops.migrations.ledger.table import Author
from support.migrate_runs import Run

pytest_plugins = ["support.postgres_fixtures", "support.migrate_fixtures"]

STATE = """
select 'setting ' || name || ' = ' || coalesce(setting, '') from pg_settings
union all select 'user ' || current_user || ', session ' || session_user
union all select 'prepared ' || name from pg_prepared_statements
union all select 'cursor ' || name from pg_cursors where is_holdable
union all select 'temporary ' || relname from pg_class where relnamespace = pg_my_temp_schema() and relkind <> 'i'
union all select 'listens to ' || channel from pg_listening_channels() channel
union all select format('advisory lock %s %s %s', classid, objid, mode) from pg_locks
    where locktype = 'advisory' and pid = pg_backend_pid()
union all select 'sequence ' || coalesce(last_used(), 'unused')
union all select 'custom setting ' || coalesce(nullif(current_setting('app.tenant', true), ''), 'unset')
"""
"""Everything that DISCARD ALL resets (PostgreSQL, SQL Commands, DISCARD), as lines."""
SETUP = f"""
create function last_used() returns text language plpgsql as $$
begin
    return currval('public.numbers')::text;
exception when object_not_in_prerequisite_state then
    return null;
end $$;
create table states (file int, line text);
create view state (line) as {STATE};
create schema app;
create sequence numbers;
"""
ROLE = "sometimes_another"
LEFTOVERS = {
    "a search path": "perform set_config('search_path', 'app', false)",
    "a setting": "perform set_config('work_mem', '1MB', false)",
    "a timeout of orderops": "perform set_config('idle_in_transaction_session_timeout', '0', false)",
    "a custom setting": "perform set_config('app.tenant', 'seven', false)",
    "a role": f"perform set_config('role', '{ROLE}', false)",
    "a session user": f"execute 'set session authorization {ROLE}'",
    "a prepared statement": "execute 'prepare ask as select 1'",
    "a cursor": "execute 'declare kept cursor with hold for select 1'",
    "a temporary table": "execute 'create temporary table scratch (i int)'",
    "a channel": "execute 'listen orders'",
    "advisory locks": "perform pg_advisory_lock(17), pg_advisory_lock(17), pg_advisory_lock_shared(4, 5)",
    "no advisory lock at all": "perform pg_advisory_unlock_all()",
    "the value of a sequence": "perform nextval('public.numbers')",
    "a read-only default": "perform set_config('default_transaction_read_only', 'on', false)",
    "another encoding": "perform set_config('client_encoding', 'latin1', false)",
}
WHOLE = "a file that is sent whole"
WAYS = {
    WHOLE: "insert into public.called values (public.leave_{number}());\n",
    "a file that runs statement by statement": "do $$ begin perform public.leave_{number}(); end $$;\n",
    "a statement of a file without a transaction": (
        "-- orderops: no-transaction\ndo $$ begin perform public.leave_{number}(); end $$;\n"
    ),
}
RECORD = "insert into public.states select {number}, line from public.state;\n"


@pytest.fixture
def another_role(run: Run) -> Iterator[None]:
    """A role that may do nothing."""
    run.execute(f"create role {ROLE}")
    yield
    run.execute(f"drop role {ROLE}")


def recorded(run: Run, file: int) -> set[str]:
    """The state of the session when a file began."""
    return {str(line) for (line,) in run.rows(f"select line from states where file = {file}")}


def leaving(number: int, body: str) -> str:
    """A function that leaves something in the session of its caller."""
    return (
        f"create function public.leave_{number}() returns int language plpgsql as $$ begin {body}; return 1; end $$;\n"
    )


@pytest.mark.usefixtures("another_role")
@pytest.mark.parametrize("way", WAYS)
def test_a_file_begins_on_a_clean_session_whatever_the_file_before_left(run: Run, way: str) -> None:
    functions = [leaving(number, body) for number, body in enumerate(LEFTOVERS.values())]
    run.write("001__setup", SETUP + "create table called (i int);\n" + "".join(functions))
    run.write("002__record", RECORD.format(number=2))
    for number in range(len(LEFTOVERS)):
        run.write(f"{2 * number + 3:03}__leave", WAYS[way].format(number=number))
        run.write(f"{2 * number + 4:03}__record", RECORD.format(number=number + 3))

    done = run("apply", "--yes")

    assert done.code == 0, done.err
    reference = recorded(run, 2)
    assert len(reference) > 300
    differing = {
        what: recorded(run, number) ^ reference
        for number, what in enumerate(LEFTOVERS, 3)
        if recorded(run, number) != reference
    }
    assert differing == {}


@pytest.mark.usefixtures("another_role")
def test_a_statement_without_a_transaction_begins_on_a_clean_session(run: Run) -> None:
    functions = [leaving(number, body) for number, body in enumerate(LEFTOVERS.values())]
    run.write("001__setup", SETUP + "".join(functions))
    calls = "".join(
        f"do $$ begin perform public.leave_{number}(); end $$;\n" + RECORD.format(number=number + 3)
        for number in range(len(LEFTOVERS))
    )
    run.write("002__leave", "-- orderops: no-transaction\n" + RECORD.format(number=2) + calls)

    done = run("apply", "--yes")

    assert done.code == 0, done.err
    states = {number: recorded(run, number) for number in range(2, len(LEFTOVERS) + 3)}
    assert [number for number, state in states.items() if state != states[2]] == []


def test_a_run_stops_if_another_run_takes_the_lock_that_a_file_released(run: Run) -> None:
    with (
        opened(login_from_dsn(run.dsn), Author("alice", "laptop"), wait=timedelta(0), waiting=lambda *_: None) as ours,
        psycopg.connect(run.dsn, autocommit=True, application_name="orderops migrate: bob on build") as other,
    ):
        ours.clean()
        taken = "select pg_try_advisory_lock(4612021, 2)"
        assert other.execute(taken).fetchone() == (False,)
        ours.work.execute("select pg_advisory_unlock_all()")
        assert other.execute(taken).fetchone() == (True,)

        with pytest.raises(OrderopsError, match=r"this run has lost its lock on the database: .* by bob on build"):
            ours.clean()


def test_the_lock_of_a_transaction_is_kept_when_its_file_releases_all_locks(run: Run) -> None:
    run.write("001__release", leaving(1, "perform pg_advisory_unlock_all()"))
    run.write("002__call", "create table held as select public.leave_1();\ninsert into held select count from mine;\n")
    run.execute(
        "create view mine as select count(*)::int from pg_locks"
        " where locktype = 'advisory' and classid = 4612021 and objid = 2 and granted and pid = pg_backend_pid()"
    )

    assert run("apply", "--yes").code == 0
    assert run.rows("select * from held") == [(1,), (1,)]

"""The locks of statements, compared with those that a real server grants."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from orderops.local.rds.postgres import PostgresServer
from orderops.migrations.sql.files import SqlFile
from orderops.migrations.sql.locks import WEAKER, ExecutionMode, Mode, execution_mode, is_non_transactional, locks_of
from orderops.migrations.sql.parser import Statement, read_script
from support.migrate_runs import until

pytest_plugins = ["support.postgres_fixtures"]

THERE = """
create table users (id bigint primary key, name text, email text not null);
create table orders (
    id bigint primary key, user_id bigint, total int, note text,
    constraint orders_total check (total >= 0) not valid, constraint orders_note unique (note));
create index orders_by_user on orders (user_id);
create table items (
    order_id bigint, line int, constraint items_order foreign key (order_id) references orders not valid);
create sequence numbers;
create view totals as select id, total from orders;
create materialized view sums as select id, total from orders;
create unique index sums_id on sums (id);
create table events (id bigint, at date not null) partition by range (at);
create table events_2025 partition of events for values from ('2025-01-01') to ('2026-01-01');
create table events_2026 (id bigint, at date not null);
create table parents (id bigint);
create table children (id bigint);
create table heirs () inherits (parents);
create unique index heirs_id on heirs (id);
create unique index users_email on users (email);
create function touched() returns trigger language plpgsql as 'begin return new; end';
create trigger orders_touched before update on orders for each row execute function touched();
create rule orders_kept as on delete to orders do also notify gone;
create policy orders_seen on orders using (true);
create schema archive;
create statistics orders_statistics on user_id, total from orders;
create publication shown for table users;
create type money_kind as (amount int);
create table typed of money_kind;
"""

SUE, SHARE, SRE = Mode.SHARE_UPDATE_EXCLUSIVE, Mode.SHARE, Mode.SHARE_ROW_EXCLUSIVE
EXCLUSIVE, ACCESS = Mode.EXCLUSIVE, Mode.ACCESS_EXCLUSIVE

IN_A_TRANSACTION: dict[str, dict[str, Mode]] = {
    # columns
    "alter table orders add column kind text": {"orders": ACCESS},
    "alter table orders add column kind text not null default 'web'": {"orders": ACCESS},
    "alter table orders add column owner bigint references users": {"orders": ACCESS, "users": SRE},
    "alter table orders drop column note": {"orders": ACCESS},
    "alter table orders alter column user_id type int": {"orders": ACCESS},
    "alter table orders alter column total set default 0": {"orders": ACCESS},
    "alter table orders alter column id drop default": {"orders": ACCESS},
    "alter table orders alter column id set not null": {"orders": ACCESS},
    "alter table users alter column email drop not null": {"users": ACCESS},
    "alter table orders alter column total set statistics 500": {"orders": SUE},
    "alter table orders alter column note set storage external": {"orders": ACCESS},
    "alter table orders alter column note set compression pglz": {"orders": ACCESS},
    "alter table orders alter column total set (n_distinct = 5)": {"orders": SUE},
    "alter table orders alter column total reset (n_distinct)": {"orders": SUE},
    "alter table orders alter column id add generated always as identity": {"orders": ACCESS},
    "alter table orders rename column total to sum": {"orders": ACCESS},
    "comment on column orders.total is 'in cents'": {"orders": SUE},
    # constraints
    "alter table orders add check (total < 1000) not valid": {"orders": ACCESS},
    "alter table orders add constraint one unique (user_id, total)": {"orders": ACCESS},
    "alter table orders add constraint by_user foreign key (user_id) references users": {"orders": SRE, "users": SRE},
    "alter table orders add foreign key (user_id) references users not valid": {"orders": SRE, "users": SRE},
    "alter table orders validate constraint orders_total": {"orders": SUE},
    "alter table items validate constraint items_order": {"items": SUE},
    "alter table orders drop constraint orders_total": {"orders": ACCESS},
    "alter table items drop constraint items_order": {"items": ACCESS},
    "alter table orders rename constraint orders_total to positive": {"orders": ACCESS},
    "alter table items alter constraint items_order deferrable": {"items": ACCESS},
    "alter table users add constraint one unique using index users_email": {"users": ACCESS},
    "alter table heirs add primary key using index heirs_id": {"heirs": ACCESS},
    # the table itself
    "alter table orders rename to purchases": {"orders": ACCESS},
    "alter table orders set schema archive": {"orders": ACCESS},
    "alter table orders owner to current_user": {"orders": ACCESS},
    "alter table orders set (fillfactor = 70)": {"orders": SUE},
    "alter table orders set (autovacuum_enabled = off)": {"orders": SUE},
    "alter table orders set (user_catalog_table = true)": {"orders": ACCESS},
    "alter table orders reset (fillfactor)": {"orders": SUE},
    "alter table items set unlogged": {"items": ACCESS},
    "alter table orders set tablespace pg_default": {"orders": ACCESS},
    "alter table orders set access method heap": {"orders": ACCESS},
    "alter table orders replica identity full": {"orders": ACCESS},
    "alter table orders enable row level security": {"orders": ACCESS},
    "alter table orders force row level security": {"orders": ACCESS},
    "alter table orders cluster on orders_pkey": {"orders": SUE},
    "alter table orders set without cluster": {"orders": SUE},
    "alter table orders disable trigger orders_touched": {"orders": SRE},
    "alter table orders enable always trigger orders_touched": {"orders": SRE},
    "alter table orders enable replica trigger orders_touched": {"orders": SRE},
    "alter table orders disable trigger all": {"orders": SRE},
    "alter table orders enable trigger user": {"orders": SRE},
    "alter table orders disable rule orders_kept": {"orders": ACCESS},
    "alter table orders alter total set statistics 5, add check (total < 9) not valid": {"orders": ACCESS},
    "alter table orders validate constraint orders_total, disable trigger user": {"orders": SRE},
    "alter table if exists orders add column if not exists kind text": {"orders": ACCESS},
    "alter table if exists nowhere add column kind text": {},
    "drop table items": {"items": ACCESS},
    "drop table items, heirs": {"items": ACCESS, "heirs": ACCESS},
    "drop table public.items": {"items": ACCESS},
    "drop table if exists nowhere": {},
    "truncate orders cascade": {"orders": ACCESS},
    "truncate items, only parents": {"items": ACCESS, "parents": ACCESS},
    "lock table orders": {"orders": ACCESS},
    "lock table orders in share mode": {"orders": SHARE},
    "lock table orders, users in exclusive mode nowait": {"orders": EXCLUSIVE, "users": EXCLUSIVE},
    "lock table orders in share row exclusive mode": {"orders": SRE},
    "lock table orders in share update exclusive mode": {"orders": SUE},
    "lock table orders in row exclusive mode": {},
    "cluster orders using orders_pkey": {"orders": ACCESS},
    "comment on table orders is 'what was bought'": {"orders": SUE},
    "comment on constraint orders_total on orders is 'no refunds'": {},
    "analyze orders": {"orders": SUE},
    "analyze (verbose) orders (total), users": {"orders": SUE, "users": SUE},
    "grant select on orders to pg_monitor": {},
    "revoke all on orders from public": {},
    # inheritance and partitions
    "alter table children inherit parents": {"children": ACCESS, "parents": SUE},
    "alter table heirs no inherit parents": {"heirs": ACCESS},
    "create table more_heirs () inherits (parents)": {"parents": SUE},
    "create table copied (like orders including all)": {},
    "create table events_2027 partition of events for values from ('2027-01-01') to ('2028-01-01')": {"events": ACCESS},
    "alter table events attach partition events_2026 for values from ('2026-01-01') to ('2027-01-01')": {
        "events": SUE,
        "events_2026": ACCESS,
    },
    "alter table events detach partition events_2025": {"events": ACCESS, "events_2025": ACCESS},
    "alter table typed not of": {"typed": ACCESS},
    # new tables that point at old ones
    "create table carts (id bigint primary key, user_id bigint references users)": {"users": SRE},
    "create table carts (user_id bigint, order_id bigint references orders, foreign key (user_id) references users)": {
        "orders": SRE,
        "users": SRE,
    },
    "create table carts as select * from orders": {},
    # indexes
    "create index on orders (total)": {"orders": SHARE},
    "create unique index if not exists orders_totals on only orders (total)": {"orders": SHARE},
    "drop index orders_by_user": {"orders_by_user": ACCESS},
    "alter index orders_by_user rename to by_user": {"orders_by_user": SUE},
    "alter table orders_by_user rename to by_user": {"orders_by_user": ACCESS},
    "alter index orders_by_user set (fillfactor = 70)": {"orders_by_user": SUE},
    "alter index orders_by_user set tablespace pg_default": {"orders_by_user": ACCESS},
    "reindex index orders_by_user": {"orders_by_user": ACCESS},
    "comment on index orders_by_user is 'for the list'": {"orders_by_user": SUE},
    # triggers, rules, policies, statistics
    "create trigger more before insert on orders for each row execute function touched()": {"orders": SRE},
    "create constraint trigger more after insert on orders for each row execute function touched()": {"orders": SRE},
    "alter trigger orders_touched on orders rename to touching": {"orders": ACCESS},
    "drop trigger orders_touched on orders": {"orders": ACCESS},
    "create rule more as on update to orders do also notify gone": {"orders": ACCESS},
    "alter rule orders_kept on orders rename to kept": {"orders": ACCESS},
    "drop rule orders_kept on orders": {"orders": ACCESS},
    "create policy more on orders using (true)": {"orders": ACCESS},
    "alter policy orders_seen on orders using (false)": {"orders": ACCESS},
    "alter policy orders_seen on orders to current_user": {"orders": ACCESS},
    "alter policy orders_seen on orders rename to seen": {"orders": ACCESS},
    "drop policy orders_seen on orders": {"orders": ACCESS},
    "comment on trigger orders_touched on orders is 'sets what changed'": {},
    "create publication more for table orders, users": {"orders": SUE, "users": SUE},
    "create publication more for all tables": {},
    "alter publication shown add table orders": {"orders": SUE},
    "alter publication shown drop table users": {"users": SUE},
    "alter publication shown set (publish = 'insert')": {},
    "create statistics more on total, note from orders": {"orders": SUE},
    # views and sequences
    "create view more as select * from orders": {},
    "create or replace view totals as select id, total from orders": {"totals": ACCESS},
    "alter view totals rename to sums_of_all": {"totals": ACCESS},
    "alter view totals rename column total to sum": {"totals": ACCESS},
    "alter view totals set (security_barrier)": {"totals": ACCESS},
    "create or replace view more as select * from orders": {},
    "comment on view totals is 'x'": {"totals": SUE},
    "comment on materialized view sums is 'x'": {"sums": SUE},
    "comment on sequence numbers is 'x'": {"numbers": SUE},
    "comment on schema archive is 'x'": {},
    "drop view totals": {"totals": ACCESS},
    "refresh materialized view sums": {"sums": ACCESS},
    "refresh materialized view concurrently sums": {"sums": EXCLUSIVE},
    "drop materialized view sums": {"sums": ACCESS},
    "alter materialized view sums set (fillfactor = 70)": {"sums": SUE},
    "alter sequence numbers restart": {"numbers": SRE},
    "alter sequence numbers owned by orders.id": {"numbers": SRE},
    "alter sequence numbers rename to numbering": {"numbers": ACCESS},
    "drop sequence numbers": {"numbers": ACCESS},
    # rows
    "update orders set total = 1": {},
    "delete from orders": {},
    "insert into orders values (1)": {},
    "select * from orders for update": {},
    "do 'begin perform 1; end'": {},
    "create function f() returns int language sql as 'select 1'": {},
}

NOWHERE = ("nowhere", "more")
"""Relations that are not there: nobody can be in the way."""

ALONE: dict[str, dict[str, Mode]] = {
    "create index concurrently orders_totals on orders (total)": {"orders": SUE},
    "drop index concurrently orders_by_user": {"orders_by_user": SUE},
    "reindex index concurrently orders_by_user": {"orders_by_user": SUE},
    "reindex table concurrently orders": {"orders": SUE},
    "reindex (concurrently) table orders": {"orders": SUE},
    "alter table events detach partition events_2025 concurrently": {"events": SUE, "events_2025": ACCESS},
    "vacuum orders": {"orders": SUE},
    "vacuum (analyze, full false) orders": {"orders": SUE},
    "vacuum (freeze) orders": {"orders": SUE},
    "vacuum full orders": {"orders": ACCESS},
    "vacuum (full, analyze) orders": {"orders": ACCESS},
}


def statement_of(text: str) -> Statement:
    """One statement, as a file holds it."""
    return read_script(SqlFile(Path("V001__case.sql"), text + ";\n"))[0]


@pytest.fixture(scope="module")
def place(postgres: PostgresServer) -> Iterator[str]:
    """The DSN of a database whose tables stay as they are."""
    name = f"locks_{uuid.uuid4().hex[:12]}"
    dsn = postgres.create_database(name)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(THERE)
    yield dsn
    postgres.drop_database(name)


@pytest.fixture
def connection(place: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(place) as connection:
        yield connection
        connection.rollback()


def said(statement: Statement) -> dict[str, Mode]:
    """The strongest lock that we say of each relation."""
    found: dict[str, Mode] = {}
    for lock in locks_of(statement):
        found[lock.name] = max(lock.mode, found.get(lock.name, lock.mode), key=list(Mode).index)
    return found


def named_in(connection: psycopg.Connection, text: str) -> dict[int, str]:
    """The relations that a statement names, by their numbers; an index only where its table is not named too."""
    rows = connection.execute(
        "select c.oid, c.relname, coalesce(t.relname, '-') from pg_class c"
        " left join pg_index i on i.indexrelid = c.oid left join pg_class t on t.oid = i.indrelid"
        " where c.relnamespace = 'public'::regnamespace"
    ).fetchall()
    words = set(re.findall(r"\w+", text))
    return {oid: name for oid, name, table in rows if name in words and table not in words}


def held(connection: psycopg.Connection, relations: Mapping[int, str]) -> dict[str, Mode]:
    """The strongest lock that our session holds on each relation, where it keeps others out."""
    rows = connection.execute(
        "select relation, mode from pg_locks where pid = pg_backend_pid() and locktype = 'relation' and granted"
        " and relation = any(%s) and mode = any(%s)",
        [list(relations), list(Mode)],
    )
    given: dict[str, Mode] = {}
    for oid, mode in rows:
        given[relations[oid]] = max(Mode(mode), given.get(relations[oid], Mode(mode)), key=list(Mode).index)
    return given


@pytest.mark.parametrize("text", IN_A_TRANSACTION)
def test_the_locks_of_a_statement_equal_those_the_server_grants(text: str, connection: psycopg.Connection) -> None:
    named = named_in(connection, text)

    connection.execute(text.encode())

    given = held(connection, named)
    assert given == IN_A_TRANSACTION[text], "the table above is not what the server does"
    assert {name: mode for name, mode in said(statement_of(text)).items() if name not in NOWHERE} == given


@pytest.mark.parametrize("text", ALONE)
def test_the_lock_of_a_non_transactional_statement_is_the_one_it_waits_for(
    text: str, place: str, connection: psycopg.Connection
) -> None:
    statement = statement_of(text)
    wanted = ALONE[text]
    connection.execute(
        f"lock table {'orders' if 'orders' in text else 'events'} in share update exclusive mode".encode()
    )
    with psycopg.connect(place, autocommit=True) as other:
        waiting = threading.Thread(target=run_until_ended, args=(other, text))
        waiting.start()
        asked: list[tuple[object, ...]] = []

        def is_waiting() -> bool:
            asked[:] = connection.execute(
                "select relation::regclass::text, mode from pg_locks where pid = %s and not granted",
                [other.info.backend_pid],
            ).fetchall()
            return bool(asked)

        until(is_waiting, "it waits for a lock")
        connection.execute("select pg_terminate_backend(%s)", [other.info.backend_pid])
        waiting.join()

    assert is_non_transactional(statement) and execution_mode(statement) is ExecutionMode.NON_TRANSACTIONAL
    assert said(statement) == wanted
    (table, mode), *_ = asked
    assert mode in wanted.values(), table


def run_until_ended(connection: psycopg.Connection, text: str) -> None:
    """Run what another session ends."""
    with suppress(psycopg.Error):
        connection.execute(text.encode())


def test_reindex_counts_as_access_exclusive_since_every_query_locks_the_indexes(
    connection: psycopg.Connection,
) -> None:
    connection.execute("reindex table orders")

    assert held(connection, named_in(connection, "orders, orders_by_user"))["orders"] is SHARE
    assert held(connection, named_in(connection, "orders_by_user")) == {"orders_by_user": ACCESS}
    assert said(statement_of("reindex table orders")) == {"orders": ACCESS}


@pytest.mark.parametrize("mode", Mode)
def test_lock_modes_conflict_as_on_the_server(mode: Mode, place: str, connection: psycopg.Connection) -> None:
    connection.execute(f"lock table users in {in_words(mode)} mode".encode())
    kept_out = set()
    with psycopg.connect(place) as other:
        for each in (*WEAKER, *Mode):
            try:
                other.execute(f"lock table users in {in_words(each)} mode nowait".encode())
            except psycopg.errors.LockNotAvailable:
                kept_out.add(str(each))
            other.rollback()

    assert mode.keeps_out == kept_out


def in_words(mode: str) -> str:
    """A mode as LOCK TABLE spells it."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", mode.removesuffix("Lock"))

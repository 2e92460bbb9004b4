"""The relations that a lock names, with their schemas, and how statements have to be run."""

from __future__ import annotations

from pathlib import Path

import pytest

from orderops.migrations.sql.files import SqlFile
from orderops.migrations.sql.locks import ExecutionMode, Lock, Mode, execution_mode, locks_of
from orderops.migrations.sql.parser import Statement, read_script

SUE, SHARE, SRE = Mode.SHARE_UPDATE_EXCLUSIVE, Mode.SHARE, Mode.SHARE_ROW_EXCLUSIVE
EXCLUSIVE, ACCESS = Mode.EXCLUSIVE, Mode.ACCESS_EXCLUSIVE


def parsed(text: str) -> Statement:
    [statement] = read_script(SqlFile(Path("V001__case.sql"), text + ";\n"))
    return statement


# Modes: PostgreSQL's documentation, 13.3.1. A linked lock is also one on the tables at the other end of foreign keys.
@pytest.mark.parametrize(
    ("text", "locks"),
    [
        ("alter table app.orders add column a int", [Lock("app", "orders", ACCESS)]),
        ("alter table app.orders drop column a", [Lock("app", "orders", ACCESS, linked=True)]),
        ("alter table app.orders drop constraint a", [Lock("app", "orders", ACCESS, linked=True)]),
        (
            "alter table app.orders add column b int, drop column a, validate constraint c",
            [Lock("app", "orders", ACCESS, linked=True)],
        ),
        ("drop table shop.app.orders, items", [Lock("app", "orders", ACCESS, True), Lock("", "items", ACCESS, True)]),
        ("drop table app.orders", [Lock("app", "orders", ACCESS, linked=True)]),
        ("drop view app.totals", [Lock("app", "totals", ACCESS)]),
        ("drop sequence app.numbers", [Lock("app", "numbers", ACCESS)]),
        ("drop materialized view app.sums", [Lock("app", "sums", ACCESS)]),
        ("drop foreign table app.far", [Lock("app", "far", ACCESS)]),
        ("drop index app.by_total", [Lock("app", "by_total", ACCESS)]),
        ("drop index concurrently app.by_total", [Lock("app", "by_total", SUE)]),
        ("drop trigger touched on app.orders", [Lock("app", "orders", ACCESS)]),
        ("drop trigger touched on orders", [Lock("", "orders", ACCESS)]),
        ("drop rule kept on shop.app.orders", [Lock("app", "orders", ACCESS)]),
        ("drop policy seen on app.orders", [Lock("app", "orders", ACCESS)]),
        ("drop function f()", []),
        ("comment on table shop.app.orders is 'x'", [Lock("app", "orders", SUE)]),
        ("comment on table orders is 'x'", [Lock("", "orders", SUE)]),
        ("comment on column app.orders.total is 'x'", [Lock("app", "orders", SUE)]),
        ("comment on column orders.total is 'x'", [Lock("", "orders", SUE)]),
        ("comment on foreign table app.far is 'x'", [Lock("app", "far", SUE)]),
        ("comment on function f() is 'x'", []),
        ("create index on app.orders (total)", [Lock("app", "orders", SHARE)]),
        ("create table a (b int references app.orders)", [Lock("app", "orders", SRE)]),
        ("create table a (b int, foreign key (b) references app.orders)", [Lock("app", "orders", SRE)]),
        ("create table a (b int unique, check (b > 0), unique (b))", []),
        ("alter table orders add foreign key (b) references app.users", [
            Lock("app", "users", SRE), Lock("", "orders", SRE)]),
        ("alter table orders add column a int references users, add column b int references users", [
            Lock("", "users", SRE), Lock("", "orders", ACCESS)]),
        ("alter table orders add check (a > 0)", [Lock("", "orders", ACCESS)]),
        ("alter view totals set (security_invoker)", [Lock("", "totals", ACCESS)]),
        ("alter view totals set (check_option = 'local')", [Lock("", "totals", ACCESS)]),
        ("alter view totals reset (security_barrier)", [Lock("", "totals", ACCESS)]),
        ("alter index i set (fastupdate = off)", [Lock("", "i", ACCESS)]),
        ("alter table orders set (fillfactor = 70, user_catalog_table)", [Lock("", "orders", ACCESS)]),
        ("alter table events detach partition old finalize", [Lock("", "events", SUE)]),
        ("vacuum (full 1) app.orders", [Lock("app", "orders", ACCESS)]),
        ("vacuum (full on) orders", [Lock("", "orders", ACCESS)]),
        ("vacuum (full 0) orders", [Lock("", "orders", SUE)]),
        ("vacuum (full off) orders", [Lock("", "orders", SUE)]),
        ("reindex (concurrently false) table orders", [Lock("", "orders", ACCESS)]),
        ("reindex schema app", []),
        ("lock table orders in access share mode", []),
        ("cluster", []),
        ("alter schema app rename to shop", []),
        ("alter function f() set schema app", []),
        ("alter table app.orders set schema shop", [Lock("app", "orders", ACCESS)]),
        ("create schema app", []),
    ],
)  # fmt: skip
def test_a_lock_names_the_relation_with_its_schema_and_what_it_is_linked_to(text: str, locks: list[Lock]) -> None:
    assert locks_of(parsed(text)) == locks


# PostgreSQL's documentation of each command: "cannot be executed inside a transaction block".
ALONE = (
    "alter system set work_mem = '1MB'",
    "create database a",
    "drop database a",
    "create tablespace a location '/a'",
    "drop tablespace a",
    "create subscription a connection 'host=h' publication p",
    "drop subscription a",
    "reindex schema public",
    "reindex system orders",
    "reindex database orders",
    "reindex table concurrently orders",
    "cluster",
    "vacuum",
    "drop index concurrently a",
    "create index concurrently on orders (id)",
    "alter table events detach partition old concurrently",
)
TOGETHER = (
    "reindex table orders",
    "reindex index a",
    "cluster orders",
    "analyze",
    "drop index a",
    "create index on orders (id)",
    "alter table events detach partition old",
    "alter table orders validate constraint a, add column b int",
    "do 'begin end'",
    "call p()",
    "create table a ()",
)


@pytest.mark.parametrize("text", ALONE)
def test_what_postgresql_refuses_in_a_transaction_runs_in_none(text: str) -> None:
    assert execution_mode(parsed(text)) is ExecutionMode.NON_TRANSACTIONAL
    assert execution_mode(parsed(text), repeatable=True) is ExecutionMode.NON_TRANSACTIONAL


@pytest.mark.parametrize("text", TOGETHER)
def test_other_statements_run_in_a_transaction(text: str) -> None:
    assert execution_mode(parsed(text)) is ExecutionMode.PLAIN


def test_a_validation_alone_runs_without_a_timeout() -> None:
    text = "alter table orders validate constraint a, validate constraint b"

    assert execution_mode(parsed(text)) is ExecutionMode.VALIDATE


@pytest.mark.parametrize("text", ["do 'begin commit; end'", "call p()"])
def test_a_body_that_commits_runs_in_no_transaction_if_its_file_says_so(text: str) -> None:
    assert execution_mode(parsed(text), repeatable=True) is ExecutionMode.COMMITS


def test_a_mode_says_what_an_application_cannot_do() -> None:
    assert {mode: mode.stops for mode in Mode} == {
        SUE: "", SHARE: "writes", SRE: "writes", EXCLUSIVE: "writes", ACCESS: "reads and writes",
    }  # fmt: skip


def test_a_relation_is_spelled_as_in_its_statement() -> None:
    assert Lock("app", "orders", ACCESS).relation == "app.orders"
    assert Lock("", "orders", ACCESS).relation == "orders"

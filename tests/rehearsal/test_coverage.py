"""A lock on a table without load is reported as UNSEEN, not as SAFE."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from orderops.database.connection import login_from_dsn
from orderops.migrations.sql.files import read_migrations
from orderops.rehearsal.coverage import Coverage, TableRef
from orderops.rehearsal.queries import Query, QueryOrigin
from orderops.rehearsal.report import HeldLock, Impact, StatementReport
from orderops.rehearsal.runner import rehearse
from orderops.rehearsal.verdict import unseen_verdict
from orderops.rehearsal.workload import QueryGroup

pytest_plugins = ["support.postgres_fixtures"]
SHARE, ALL = "ShareLock", "AccessExclusiveLock"
THERE = {"orders": TableRef(1, 1, "orders"), "orders_1": TableRef(2, 1, "orders"), "users": TableRef(3, 3, "users")}
READER = QueryGroup(Query("r", "", QueryOrigin.CANARY, reads=frozenset({"orders"})), 50.0, [], {1}, ("orders",))
WRITER = QueryGroup(Query("w", "", QueryOrigin.CANARY, writes=frozenset({"orders"})), 50.0, [], {1, 3}, ("orders",))
CASES: dict[str, tuple[list[QueryGroup], HeldLock, list[str]]] = {
    "nobody asks": ([], HeldLock("orders", ALL, 1.0), ["orders"]),
    "a reader waits": ([READER], HeldLock("orders", ALL, 1.0), []),
    "a reader goes on": ([READER], HeldLock("orders", SHARE, 1.0), ["orders"]),
    "a writer waits": ([WRITER], HeldLock("orders", SHARE, 1.0), []),
    "what a writer only reads": ([WRITER], HeldLock("users", SHARE, 1.0), ["users"]),
    "a partition of what is asked": ([READER], HeldLock("orders_1", ALL, 1.0), []),
    "a partition that nobody asks": ([], HeldLock("orders_1", ALL, 1.0), ["orders"]),
    "a lock that is in nobody's way": ([], HeldLock("orders", "ShareUpdateExclusiveLock", 1.0), []),
    "a table that is new": ([], HeldLock("made", ALL, 1.0), []),
}


@pytest.mark.parametrize(("families", "lock", "expected_notes"), CASES.values(), ids=CASES.keys())
def test_a_lock_is_unseen_without_a_query_that_would_have_waited(
    families: Sequence[QueryGroup], lock: HeldLock, expected_notes: list[str]
) -> None:
    there = {**THERE, "made": TableRef(9, 9, "made")}
    found = Coverage(THERE, families).uncovered_locks([StatementReport(4, "it", 1.0, (lock,))], there)

    assert [(line, lock.relation) for line, lock in found] == [(4, name) for name in expected_notes]


def test_a_brief_lock_without_load_is_safe() -> None:
    assert unseen_verdict([HeldLock("orders", ALL, 0.049)]) is None
    long = unseen_verdict([HeldLock("orders", SHARE, 0.06), HeldLock("users", SHARE, 2.0), HeldLock("paid", ALL, 0.01)])
    assert long
    assert long.sentence == "UNSEEN: no write ran on orders, users, which it locks for 2.0 s"
    assert Impact.SAFE.badness < long.impact.badness < Impact.BLOCKS.badness
    assert long.holds_up


def test_a_long_lock_on_an_empty_table_is_not_safe(database: str, tmp_path: Path) -> None:
    locked = "lock table {};\nselect pg_sleep(0.2);\ncreate index on {} (id);\n"
    pairs = {
        "001__new": "create table made (id int);\n",
        "002__long": locked.format("bare", "bare"),
        "003__made": locked.format("made", "made"),
    }
    for name, text in pairs.items():
        (tmp_path / f"V{name}.sql").write_text(text)
        (tmp_path / f"U{name}.sql").write_text("drop table made;" if "new" in name else "select 1;")
    with psycopg.connect(database) as connection:
        connection.execute("create table bare (id int primary key)")

    report = rehearse(
        login_from_dsn(database), read_migrations(tmp_path), baseline_seconds=0.1, held_for=timedelta(milliseconds=100)
    )

    assert [migration.verdict.impact for migration in report.migrations] == [Impact.SAFE, Impact.UNSEEN, Impact.SAFE]
    assert report.verdict.impact is Impact.UNSEEN
    assert report.verdict.sentence.startswith("UNSEEN: no query ran on bare, which it locks for ")
    assert report.verdict.sentence.endswith(" (V002__long.sql)")
    assert report.file_to_fix == ""

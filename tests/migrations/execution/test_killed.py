"""A run killed at any moment is completed by re-running it, with equal schema, rows and ledger."""

from __future__ import annotations

from pathlib import Path
from random import Random

import psycopg
import pytest

from support.killable_process import Victim
from support.killed_migrations import Left, apply, killed, undisturbed
from support.migrate_runs import until
from support.ten_migrations import write_ten

pytest_plugins = ["support.postgres_fixtures"]
SEED = 20261122


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ten(tmp_path_factory.mktemp("ten"))


@pytest.fixture(scope="module")
def whole(module_database: str, folder: Path) -> Left:
    """What is left when nobody disturbs it."""
    return undisturbed(module_database, folder)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(4))
def test_a_run_killed_twice_is_completed_by_re_running_it(
    number: int, database: str, folder: Path, whole: Left
) -> None:
    random = Random(SEED + number)
    moments = [random.uniform(0.05, whole.seconds) for _ in range(2)]

    assert killed(database, folder, moments).lines == whole.lines


def test_a_run_with_terminated_sessions_is_completed_by_re_running_it(database: str, folder: Path, whole: Left) -> None:
    def end_its_sessions(victim: Victim) -> None:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'orderops migrate%'"
            )
        assert victim.ended(within=30) in (0, 1), victim.said
        assert "Traceback" not in victim.said

    assert killed(database, folder, [whole.seconds / 2], end_its_sessions).lines == whole.lines


def test_ctrl_c_ends_a_run_at_once_and_the_message_names_the_rest(database: str, folder: Path, whole: Left) -> None:
    with psycopg.connect(database) as holder:
        holder.execute("create table parts (id int)")  # in nobody's sight, and in the way of the first migration
        run = apply(database, folder)
        with psycopg.connect(database, autocommit=True) as looking:
            until(lambda: _works(looking), "the first migration at work")
        run.interrupt()
        assert run.ended(within=20) == 130
        holder.rollback()

    assert "interrupted; not done: V001__create_parts.sql, V002__create_makers.sql" in run.said
    assert "re-run this command to continue" in run.said
    assert undisturbed(database, folder).lines == whole.lines


def _works(connection: psycopg.Connection) -> bool:
    """Whether a migration's own statement is under way."""
    told = connection.execute(
        "select count(*) from pg_stat_activity"
        " where application_name = 'orderops migrate' and query ilike 'create table parts%'"
    ).fetchone()
    return bool(told and told[0])

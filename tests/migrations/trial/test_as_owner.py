"""The trial of lint runs files as the role that runs them where they are applied, if its server has that role."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orderops.local.rds.postgres import PostgresServer
from orderops.migrations.execution.handing_over import hand_over
from orderops.migrations.lint.executed import Execution
from orderops.migrations.sql.files import read_migrations
from orderops.migrations.trial.run import execute
from orderops.migrations.trial.scratch_database import scratch_database
from support.rds_master import USER, MasterDatabase, master_database

pytest_plugins = ["support.postgres_fixtures"]

AS_LOGIN = "-- orderops: owner session_user\n"
RUNS_AS = "do $$ begin if current_user <> '{role}' then raise 'runs as %', current_user; end if; end $$;\n"
MAKES = "create table orders (id int);\nrevoke all on schema public from public;\n"


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[MasterDatabase]:
    with master_database(postgres) as database:
        yield database


def tried(database: MasterDatabase, folder: Path, forwards: str) -> Execution | None:
    (folder / "V001__orders.sql").write_text(forwards)
    (folder / "U001__orders.sql").write_text(
        forwards.partition("do $$")[0] + "grant usage on schema public to public;\ndrop table orders;\n"
    )
    with scratch_database(database.login) as scratch:
        return execute(scratch, read_migrations(folder), only=[1]).get(1)


def test_a_file_runs_as_the_owner_of_the_schema(database: MasterDatabase, tmp_path: Path) -> None:
    with database.runner() as runner:
        hand_over(runner)

    assert tried(database, tmp_path, RUNS_AS.format(role="orderops_owner") + MAKES) == Execution(undone=True)


def test_a_file_that_says_so_runs_as_the_user_that_logs_in(database: MasterDatabase, tmp_path: Path) -> None:
    with database.runner() as runner:
        hand_over(runner)

    assert tried(database, tmp_path, AS_LOGIN + RUNS_AS.format(role=USER) + MAKES) == Execution(undone=True)


def test_without_such_a_role_every_file_runs_as_the_user_that_logs_in(database: MasterDatabase, tmp_path: Path) -> None:
    assert tried(database, tmp_path, RUNS_AS.format(role=USER) + MAKES) == Execution(undone=True)

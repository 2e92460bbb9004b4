"""The hand-over of an environment's database to the role that owns the schema, as part of the commands that migrate."""

from __future__ import annotations

import socket
from datetime import timedelta
from typing import TYPE_CHECKING

from orderops.database.hand_over import Due
from orderops.database.schema_owner import OWNER
from orderops.migrations.execution import handing_over
from orderops.migrations.execution.lock_wait import LockMonitor, LockWaiter, RetryBudget
from orderops.migrations.execution.progress import Watcher
from orderops.migrations.execution.runner import Runner
from orderops.migrations.execution.sessions import opened
from orderops.migrations.ledger.table import Author
from orderops.text.lists import counted
from orderops.ui import console

if TYPE_CHECKING:
    from orderops.database.connection import Login
    from orderops.operations.migration_target import MigrationTarget

KEEP = "keep_owners"
"""The setting of a remote job that leaves the owners as they are. A promotion must not fail for a table in use."""
# Only we use a copy, so a lock that takes longer is not going to be free.
COPY_BUDGET = timedelta(minutes=1)


def is_ours(database: MigrationTarget) -> bool:
    """Whether the database is an environment's. Another one keeps the owners that it has."""
    return database.workspace is not None or database.job is not None


def announce(database: MigrationTarget, due: Due) -> None:
    """Say before the question that the database will be handed over, if that is due."""
    if is_ours(database) and due is Due.DATABASE:
        console.info_folded(
            f"{database.name} is handed over to {OWNER} first, which owns the schema from then on and runs the "
            "migrations; a file that needs the master user says so in its head: -- orderops: owner session_user"
        )


def hand_over(database: MigrationTarget, runner: Runner) -> None:
    """Hand an environment's database over, if that is due; say what was done."""
    if is_ours(database):
        _report(handing_over.hand_over(runner))


def hand_over_copy(copy: Login) -> None:
    """Hand a copy over that a rehearsal runs on, as the database will be before the migrations."""
    author = Author("rehearsal", socket.gethostname())
    with opened(copy, author, wait=timedelta(seconds=10), waiting=lambda *_: None) as sessions:
        lock_waiter = LockWaiter(LockMonitor(sessions.monitor, sessions.own), RetryBudget(COPY_BUDGET))
        with Watcher(lock_waiter, sessions.work.info.backend_pid) as watcher:
            handing_over.hand_over(Runner(sessions, lock_waiter, watcher))


def _report(done: handing_over.HandedOver) -> None:
    if done.anything:
        parts = ["the database"] if done.database else []
        parts += [counted(len(done.objects), "object")] if done.objects else []
        console.info(f"handed over to {OWNER}: {' and '.join(parts)}")

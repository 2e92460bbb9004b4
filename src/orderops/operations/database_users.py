"""orderops database users: who logs in to the database, and what each may do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orderops.database.connection import connect
from orderops.database.users import users
from orderops.operations.migration_target import target_of
from orderops.operations.options import DatabaseOptions
from orderops.operations.remote import argv, run_by_task
from orderops.operations.workspace import open_workspace
from orderops.remote.request import JobRequest
from orderops.ui import console
from orderops.ui.database import show_users

if TYPE_CHECKING:
    from orderops.database.connection import Login


def show(where: DatabaseOptions, *, as_json: bool) -> None:
    """List the users that may log in or are connected."""
    if where.job:
        _show(where.job.login(), as_json=as_json)
        return
    workspace = open_workspace(where.env, where.environments)
    if workspace.environment.database.access == "task":
        run_by_task(workspace, JobRequest(tuple(argv("database", "users", json=as_json))))
        return
    with target_of(workspace) as database:
        _show(database.login, as_json=as_json)


def _show(login: Login, *, as_json: bool) -> None:
    with connect(login, name="orderops database users") as connection:
        found = users(connection)
    if as_json:
        console.show_json([user.to_dict() for user in found])
    else:
        show_users(found)

"""orderops database extensions: what an upgrade looks at in the database, read by the way that leads to it."""

from __future__ import annotations

from orderops.database.connection import Login, connect
from orderops.database.extensions import MANY, UpgradeCheck, UpgradeCheckShape, read
from orderops.infra.workspace import Workspace
from orderops.operations.migration_target import target_of
from orderops.operations.options import DatabaseOptions
from orderops.operations.remote import answer_of_task, argv
from orderops.operations.workspace import open_workspace
from orderops.remote.request import JobRequest
from orderops.text.lists import joined
from orderops.ui import console


def extensions(where: DatabaseOptions, *, as_json: bool) -> None:
    """Show the extensions of the database with their versions, and what RDS does not upgrade."""
    if where.job:
        where.job.set_result(_read(where.job.login()).to_dict())
        return
    found = upgrade_check(open_workspace(where.env, where.environments))
    if as_json:
        console.show_json(found.to_dict())
        return
    for item in found.extensions:
        console.data(f"{item.name} {item.version}")
    console.info(f"prepared transactions: {found.prepared}; logical replication slots: {found.logical_slots}")
    if found.unkeyed:
        console.info_folded(f"not replicated by rows, without a primary key: {joined(found.unkeyed, MANY)}")
    if found.large_objects:
        console.info(f"large objects: {found.large_objects}")


def upgrade_check(workspace: Workspace) -> UpgradeCheck:
    """Read the database of an environment: directly, through the tunnel, or by a task. Raises OrderopsError."""
    if workspace.environment.database.access != "task":
        with target_of(workspace) as database:
            return _read(database.login)
    shape = answer_of_task(workspace, JobRequest(tuple(argv("database", "extensions"))), UpgradeCheckShape)
    return UpgradeCheck(shape.extensions, shape.prepared, shape.logical_slots, shape.unkeyed, shape.large_objects)


def _read(login: Login) -> UpgradeCheck:
    with connect(login, name="orderops database extensions") as connection:
        return read(connection)

"""orderops migrate grant: let the services log in as a role of their own, and read and write every table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orderops.errors import UsageError
from orderops.infra.service_login import login_is_due
from orderops.operations.migrate import confirmed
from orderops.operations.migration_target import is_other_database, target
from orderops.operations.options import ChangeOptions, MigrateOptions
from orderops.operations.remote import migrate_by_task
from orderops.operations.service_login import follow_in_job, follow_migrations, give_access, login_role
from orderops.operations.workspace import open_workspace
from orderops.ui import console

if TYPE_CHECKING:
    from orderops.infra.workspace import Workspace


def grant(where: MigrateOptions, options: ChangeOptions) -> None:
    """Make the services' role, or give it access to tables that it lacks; the services log in as it from then on."""
    if where.job:
        follow_in_job(where.job)
        return
    if is_other_database(where.dsn):
        raise UsageError(
            "a database that --dsn names belongs to no environment, so no service logs in to it",
            "name the environment: orderops migrate grant --env NAME",
        )
    if options.dry_run:
        _show_due(open_workspace(where.env, where.environments))
        return
    question = "Let the services of {env} log in to the database as a role of their own?"
    if migrate_by_task(where, ["migrate", "grant"], options, question=question, with_login=True):
        return
    with target(where, changes=True) as database:
        workspace = database.workspace
        assert workspace, "it is an environment's"
        if not login_is_due(workspace):
            give_access(database.login)
            console.info(f"the services of {database.name} log in as {login_role(workspace)}")
            return
        with confirmed(database, options.of("migrate grant"), question.format(env=where.env)) as change:
            follow_migrations(database, change.recent_writes)
            change.note(action="granted", role=login_role(workspace))
    console.info(f"next: orderops status --env {where.env}")


def _show_due(workspace: Workspace) -> None:
    if login_is_due(workspace):
        console.data(f"+ role {login_role(workspace)}, which the services log in as from then on")
    else:
        console.info(f"the services log in as {login_role(workspace)} already")

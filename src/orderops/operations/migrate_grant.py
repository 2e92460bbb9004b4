"""orderops migrate grant: the roles of the schema and of the services, and their access to every table."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from orderops.database.hand_over import Due, due
from orderops.database.schema_owner import OWNER
from orderops.errors import OrderopsError, UsageError
from orderops.infra.service_login import login_is_due
from orderops.operations import schema_owner
from orderops.operations.migrate import confirmed, open_runner
from orderops.operations.migration_target import MigrationTarget, connected, is_other_database, target, target_of
from orderops.operations.options import ChangeOptions, MigrateOptions
from orderops.operations.remote import migrate_by_task
from orderops.operations.service_login import follow_in_job, follow_migrations, give_access, login_role
from orderops.operations.workspace import open_workspace
from orderops.ui import console

if TYPE_CHECKING:
    from orderops.infra.workspace import Workspace

BUDGET = timedelta(minutes=5)
"""How long the hand-over waits for locks in total."""


def grant(where: MigrateOptions, options: ChangeOptions) -> None:
    """Hand the schema over to its owner; make the services' role, or give it access to tables that it lacks.

    The services log in as it from then on.
    """
    if where.job:
        if not where.job.request.settings.get(schema_owner.KEEP):
            with target(where) as database:
                _hand_over(database, options)
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
    question = "Give the schema of {env} to a role of its own, and let the services log in as another one?"
    if migrate_by_task(where, ["migrate", "grant"], options, question=question, with_login=True):
        return
    with target(where, changes=True) as database:
        workspace = database.workspace
        assert workspace, "it is an environment's"
        with connected(database) as connection:
            owner_due = due(connection)
        if owner_due is Due.NOTHING and not login_is_due(workspace):
            give_access(database.login)
            console.info(f"{OWNER} owns the schema of {database.name}")
            console.info(f"the services of {database.name} log in as {login_role(workspace)}")
            return
        with confirmed(database, options.of("migrate grant"), question.format(env=where.env)) as change:
            _hand_over(database, options)
            follow_migrations(database, change.recent_writes)
            change.note(action="granted", role=login_role(workspace))
    console.info(f"next: orderops status --env {where.env}")


def _hand_over(database: MigrationTarget, options: ChangeOptions) -> None:
    with open_runner(database, wait=options.wait, budget=BUDGET) as (runner, _):
        schema_owner.hand_over(database, runner)


def _show_due(workspace: Workspace) -> None:
    login_due = login_is_due(workspace)
    if login_due or _is_seen_due(workspace):
        console.data(f"+ role {OWNER}, which owns the schema from then on")
    if login_due:
        console.data(f"+ role {login_role(workspace)}, which the services log in as from then on")
    else:
        console.info(f"the services log in as {login_role(workspace)} already")


def _is_seen_due(workspace: Workspace) -> bool:
    """Whether this machine sees that the schema is to be handed over; False if it does not reach the database."""
    if workspace.environment.database.access != "direct":
        return False
    try:
        with target_of(workspace) as database, connected(database) as connection:
            return due(connection) is not Due.NOTHING
    except OrderopsError as error:
        # A dry run also works while the database is stopped.
        console.info_error("schema: ", error)
        return False

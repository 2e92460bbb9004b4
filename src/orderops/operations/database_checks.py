"""What doctor says about the roles of a running database: as whom services log in, and whom the schema belongs to.

It reads no password: the first is a tag of the instance, and the second is what the service answers to GET /ready.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from orderops.database.schema_owner import OWNER
from orderops.doctor import Check
from orderops.errors import OrderopsError
from orderops.health.entrance import read_entrance, read_readiness
from orderops.infra.readiness import AskReady, ask_ready
from orderops.infra.service_login import login_of
from orderops.operations.workspace import open_workspace
from orderops.restore.instances import load_instances
from orderops.text.lists import counted

if TYPE_CHECKING:
    from orderops.infra.workspace import Workspace

LOGINS = {
    "iam": "services log in with tokens of IAM",
    "password": "services log in as a role of their own",
    "master": "services log in as the master user, who may do everything",
}


def database_checks(env: str, environments: Path | None, *, ask: AskReady = ask_ready) -> list[Check]:
    """Check the roles of an environment's database; nothing without a database, or where AWS refuses to show it."""
    try:
        workspace = open_workspace(env, environments)
        primary = load_instances(workspace.aws, workspace.stack).primary
        if primary is None:
            return []
        login = login_of(workspace.stack, primary.observed)
        grant = f"orderops migrate grant --env {env}"
        return [
            Check("database login", login != "master", LOGINS[login], grant, needed=False),
            *_schema(workspace, ask),
        ]
    except OrderopsError:
        # The checks of credentials and reads have said why.
        return []


def _schema(workspace: Workspace, ask: AskReady) -> Iterator[Check]:
    answer = read_readiness(workspace, read_entrance(workspace), ask)
    schema, env = answer.schema if answer else None, workspace.environment.name
    name, grant, info = "schema owner", f"orderops migrate grant --env {env}", f"orderops migrate info --env {env}"
    if schema is None:
        yield Check(name, True, f"not seen: no service says it; to ask the database: {info}", needed=False)
    elif not schema.handed_over:
        detail = "the schema belongs to the user that logs in for migrations, and not to a role of its own"
        yield Check(name, False, detail, grant, needed=False)
    elif schema.others:
        detail = f"{counted(schema.others, 'table')} not owned by {OWNER}"
        yield Check(name, False, detail, info, needed=False)
    else:
        yield Check(name, True, f"{OWNER} owns every table", needed=False)

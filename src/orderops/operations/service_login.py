"""The services' own database login, which whatever migrates an environment's database makes and looks after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orderops.database import iam_role, service_role
from orderops.database.connection import Login, connect, credentials_in
from orderops.infra.service_login import LoginSwitch, login_is_due
from orderops.text.lists import joined
from orderops.ui import console
from orderops.ui.progress import Progress

if TYPE_CHECKING:
    from orderops.aws.client import Aws
    from orderops.engine.step import Step
    from orderops.engine.task import RecentWrites
    from orderops.infra.workspace import Workspace
    from orderops.operations.migration_target import MigrationTarget
    from orderops.remote.job import CurrentJob, JobResult

SETTING = "login"
"""The setting of a remote job that names the secret of the services, where their role is to be made."""
TOKENS = "login_with_tokens"
"""The setting that says whether the role for tokens of IAM is made as well; in the result, whether it was."""


def establish(aws: Aws, secret: str, to: Login, *, tokens: bool) -> None:
    """Make the services' role in a database, with the password of the secret; the one for tokens of IAM if asked."""
    credentials = credentials_in(aws, secret, "orderops migrate grant")
    with connect(to, name="orderops migrate grant") as connection:
        service_role.establish(connection, credentials.username, credentials.password)
        if tokens:
            iam_role.establish(connection, lambda: _opens(to))
    console.info(f"role {iam_role.IAM_ROLE if tokens else service_role.ROLE} reads and writes {to.describe}")


def _opens(to: Login) -> None:
    """Connect once more. Raises OrderopsError if the server refuses it."""
    with connect(to, name="orderops migrate grant"):
        pass


def follow_migrations(database: MigrationTarget, recent_writes: RecentWrites) -> None:
    """Make the services' role after migrations, if that is due, or give it access to tables that it lacks.

    Runs under the lease of the migrations. Another database than an environment's has no services.
    """
    if database.job:
        follow_in_job(database.job)
    elif database.workspace and login_is_due(database.workspace):
        workspace = database.workspace
        with login_switch(workspace, recent_writes):
            tokens = bool(workspace.stack.pointer.iam_user)
            establish(workspace.aws, workspace.stack.login.name, database.login, tokens=tokens)
    elif database.workspace:
        give_access(database.login)


def is_due_in(database: MigrationTarget) -> bool:
    """Whether the role of the services is still to be made in this database."""
    if database.job:
        return SETTING in database.job.request.settings
    return database.workspace is not None and login_is_due(database.workspace)


@dataclass
class MadeRoles:
    """Which roles a remote job has made. It runs with the orderops of the service's image, which may be older."""

    tokens: bool = False

    def read(self, result: JobResult) -> None:
        """Note what the job says."""
        self.tokens = bool((result.result or {}).get(TOKENS))


@contextmanager
def login_switch(workspace: Workspace, recent_writes: RecentWrites, made: MadeRoles | None = None) -> Iterator[None]:
    """Make in the body the role in the primary database; before and after it, what the switch to it needs.

    After an error in the body the services log in as before. `made` is what a remote job has made of it; without, all
    is. Needs the lease.
    """
    switch = LoginSwitch(workspace, recent_writes)
    _carry_out(switch, switch.prepare())
    yield
    tokens = made is None or made.tokens
    _carry_out(switch, switch.finish(tokens=tokens))
    if workspace.stack.pointer.iam_user and not tokens:
        env = workspace.environment.name
        console.info_folded(
            "the services log in by password: the older orderops in their image makes no role for tokens of IAM; "
            f"release a new image (orderops up --env {env}), then: orderops migrate grant --env {env}"
        )


def give_access(to: Login) -> None:
    """Give the services' role access to tables that the migrations' default privileges did not reach."""
    with connect(to, name="orderops migrate grant") as connection:
        if not service_role.exists(connection):
            return
        if granted := service_role.give_access(connection):
            console.info_folded(f"services and readers have access to {joined(granted, max_names=5)}")
        if others := service_role.out_of_reach(connection):
            console.info_folded(
                f"{service_role.ROLE} cannot read {joined(others, max_names=3)}; only the owner can let it: "
                f"grant {service_role.OF_SERVICES.on_tables.lower()} on TABLE to {service_role.ROLE}"
            )


def job_settings(workspace: Workspace, *, tokens: bool) -> Mapping[str, Any]:
    """The settings of a remote job that makes the services' role, and the one for tokens of IAM."""
    return {SETTING: workspace.stack.login.name, **({TOKENS: True} if tokens else {})}


def login_role(workspace: Workspace) -> str:
    """The role that the services log in as, once it is made."""
    return workspace.stack.pointer.iam_user or service_role.ROLE


def _carry_out(switch: LoginSwitch, steps: Iterator[Step]) -> None:
    with Progress() as progress:
        switch.on_wait = progress.watch
        for step in steps:
            progress.done(step)


def follow_in_job(job: CurrentJob) -> None:
    """Make the services' role inside a task, if the operator's machine found it due; else give it access."""
    if secret := job.request.settings.get(SETTING):
        tokens = bool(job.request.settings.get(TOKENS))
        establish(job.aws, secret, job.login(), tokens=tokens)
        job.set_result({TOKENS: tokens})
    else:
        give_access(job.login())

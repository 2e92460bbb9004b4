"""Save a plan for an approver, and apply exactly what was approved."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from orderops import __version__
from orderops.config.environment import environments_folder
from orderops.errors import OrderopsError
from orderops.images.resolve import ImageChoice, ImageOrigin
from orderops.infra.plan import Plan
from orderops.infra.saved_plan import SavedPlan, check_made_here, digests, new_salt, read_plan, saved_steps
from orderops.infra.workspace import Workspace
from orderops.migrations.sql.files import sql_folder
from orderops.ui import console


@dataclass(frozen=True)
class PlanScope:
    """What a plan was made with, besides the environment."""

    choices: Mapping[str, ImageChoice] | None
    """The image of each service; None for the infrastructure alone."""
    adopt: Sequence[str] = ()
    prune: bool = False
    sql: Path | None = None


def save_plan(workspace: Workspace, plan: Plan, scope: PlanScope, file: Path) -> None:
    """Write a plan to a file. Raises OrderopsError if an image has yet to be built, or a step is refused."""
    name = workspace.environment.name
    if pending := [service for service, choice in (scope.choices or {}).items() if choice.pending]:
        raise OrderopsError(
            f"the image of {pending[0]} is built or copied when it is released, so no plan can name it",
            f"build it first: orderops service build {pending[0]} --env {name}; or name one: --image URI",
        )
    if plan.refused_steps:
        address = plan.refused_steps[0].address
        raise OrderopsError(f"{address} is refused, so this plan cannot be applied", "see the plan above")
    salt = new_salt()
    saved = SavedPlan(
        environment=name,
        account=workspace.aws.account,
        region=workspace.environment.region,
        who=workspace.aws.caller,
        host=socket.gethostname(),
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        files=digests(_files(workspace, scope.sql)),
        images=None if scope.choices is None else {service: choice.uri for service, choice in scope.choices.items()},
        adopt=list(scope.adopt),
        prune=scope.prune,
        salt=salt,
        steps=saved_steps([*plan.steps, *plan.pruned], salt),
    )
    saved.write(file)
    console.info(f"saved to {file}, good for 24 hours; to apply exactly this: orderops up --plan {file} --env {name}")


def open_plan(workspace: Workspace, file: Path, sql: Path | None) -> tuple[SavedPlan, PlanScope]:
    """Read a plan that is to be applied, and what it was made with. Raises OrderopsError if it is not of here."""
    saved = read_plan(file)
    check_made_here(
        saved,
        environment=workspace.environment.name,
        account=workspace.aws.account,
        region=workspace.environment.region,
        version=__version__,
        files=digests(_files(workspace, sql)),
    )
    images = saved.images
    choices = None
    if images is not None:
        choices = {service: ImageChoice(uri, origin=ImageOrigin.GIVEN) for service, uri in images.items()}
    return saved, PlanScope(choices, saved.adopt, saved.prune, sql)


def _files(workspace: Workspace, sql: Path | None) -> list[Path]:
    """The files that a plan is made from: the environment's, and the migrations that `up` applies with it."""
    environment = workspace.environment
    declared = environments_folder(workspace.folder) / f"{environment.name}.toml"
    migrations = list(sql_folder(sql).glob("*.sql")) if environment.migrations.on_up else []
    return [declared, *migrations]

"""Save a plan for an approver, and apply exactly what was approved."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from orderops import __version__
from orderops.aws.partition import dns_suffix_of
from orderops.config.environment import environments_folder
from orderops.errors import OrderopsError
from orderops.frozen import Frozen, replace
from orderops.images.build import ImageBuild
from orderops.images.ecr import ECR_IMAGE
from orderops.images.resolve import ImageChoice, ImageCopy, ImageOrigin, image_of
from orderops.infra.plan import Plan
from orderops.infra.saved_plan import SavedPlan, check_made_here, digests, new_salt, read_plan, saved_steps
from orderops.infra.workspace import Workspace
from orderops.migrations.sql.files import sql_folder
from orderops.ui import console


class PlanScope(Frozen):
    """What a plan was made with, besides the environment."""

    choices: Mapping[str, ImageChoice] | None
    """The image of each service; None for the infrastructure alone."""
    adopt: Sequence[str] = ()
    prune: bool = False
    sql: Path | None = None


def save_plan(workspace: Workspace, plan: Plan, scope: PlanScope, file: Path) -> None:
    """Write a plan to a file. Raises OrderopsError if an image has yet to be built, or a step is refused."""
    name = workspace.environment.name
    built = [service for service, choice in (scope.choices or {}).items() if isinstance(choice.pending, ImageBuild)]
    if built:
        raise OrderopsError(
            f"the image of {built[0]} is built when it is released, so no plan can name it",
            f"build it first: orderops service build {built[0]} --env {name}; or name one: --image URI",
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
        images=None if scope.choices is None else {name: _source(choice) for name, choice in scope.choices.items()},
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
    choices = None
    if saved.images is not None:
        chosen = {service: _choice(workspace, service, uri) for service, uri in saved.images.items()}
        choices = exact_images(workspace, chosen)
    return saved, PlanScope(choices, saved.adopt, saved.prune, sql)


def exact_images(workspace: Workspace, choices: Mapping[str, ImageChoice]) -> dict[str, ImageChoice]:
    """The same images, each by the name that it will have: a copy keeps the digest of what it is copied from."""
    return {service: _exact(workspace, choice) for service, choice in choices.items()}


def _exact(workspace: Workspace, choice: ImageChoice) -> ImageChoice:
    copy, aws = choice.pending, workspace.aws
    if not isinstance(copy, ImageCopy):
        return choice
    host = f"{aws.account}.dkr.ecr.{aws.region}.{dns_suffix_of(aws.region)}"
    return replace(choice, uri=f"{host}/{copy.repository}@{copy.digest}")


def _source(choice: ImageChoice) -> str:
    """What an image is found by again, before it is copied or after."""
    return f"{choice.pending.source}@{choice.pending.digest}" if isinstance(choice.pending, ImageCopy) else choice.uri


def _choice(workspace: Workspace, service: str, uri: str) -> ImageChoice:
    if ECR_IMAGE.fullmatch(uri):
        return image_of(workspace.aws, workspace.environment, service, uri)
    return ImageChoice(uri, origin=ImageOrigin.GIVEN)


def _files(workspace: Workspace, sql: Path | None) -> list[Path]:
    """The files that a plan is made from: the environment's, and the migrations that `up` applies with it."""
    environment = workspace.environment
    declared = environments_folder(workspace.folder) / f"{environment.name}.toml"
    migrations = list(sql_folder(sql).glob("*.sql")) if environment.migrations.on_up else []
    return [declared, *migrations]

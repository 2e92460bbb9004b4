"""orderops infra: everything but the release."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orderops.cli.options import Adopt, Images, Json, PlanOut, Prune, grouped
from orderops.operations.options import ChangeOptions, EnvironmentOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orderops.costs.plan_cost import PlanCost
    from orderops.images.resolve import ImageChoice
    from orderops.infra.plan import Plan
    from orderops.infra.workspace import Workspace

commands = typer.Typer(no_args_is_help=True, help="Network, balancer, database, queues, alarms: plan, apply, destroy.")


@commands.command()
@grouped()
def plan(
    where: EnvironmentOptions,
    image: Images = [],
    adopt: Adopt = [],
    prune: Prune = False,
    as_json: Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the plan as Markdown, for an approver.")] = False,
    out: PlanOut = None,
    cost: Annotated[
        bool, typer.Option("--cost", help="Show what each change adds a month in USD, and all together.")
    ] = False,
) -> None:
    """Show every property that differs and what changing it does. Exit code 3 if any differs.

    Services are compared, with the image that they run, and not shown: `orderops up --dry-run` shows them, and so does
    --image.
    """
    from orderops.errors import Differences
    from orderops.infra.plan import make_plan
    from orderops.operations.workspace import open_workspace
    from orderops.ui.progress import Progress

    workspace = open_workspace(where.env, where.environments)
    choices = _choices(workspace, image)
    images = None if choices is None else {service: choice.uri for service, choice in choices.items()}
    with Progress() as progress:
        planned = make_plan(workspace, images=images, adopt=adopt, prune=prune, on_wait=progress.watch)
    _shown(workspace, planned, alone=images is None, as_json=as_json, markdown=markdown, cost=cost)
    if out:
        from orderops.operations.saved_plan import PlanScope, save_plan

        save_plan(workspace, planned, PlanScope(choices, adopt, prune), out)
    if planned.differs:
        raise Differences


def _shown(workspace: Workspace, planned: Plan, *, alone: bool, as_json: bool, markdown: bool, cost: bool) -> None:
    env, priced = workspace.environment.name, _cost(workspace, planned) if cost else None
    if markdown:
        _show_markdown(env, planned, priced)
    elif as_json:
        _show_json(env, planned, priced)
    else:
        _show(env, planned, alone=alone)
        _show_cost(priced)
        _show_choice(workspace)


def _show_choice(workspace: Workspace) -> None:
    from orderops.ui import console

    if choice := workspace.environment.api.choice:
        console.info_folded(f"[api] is {choice}")


def _cost(workspace: Workspace, planned: Plan) -> PlanCost:
    from orderops.costs.plan_cost import plan_cost

    return plan_cost(workspace, planned)


def _show_json(env: str, planned: Plan, priced: PlanCost | None) -> None:
    from orderops.ui import console

    document = console.plan_json(env, planned.steps, planned.undeclared, planned.undeclared_environments)
    added = {"cost": priced.to_dict()} if priced else {}
    console.show_json({**document, "services": planned.services.to_json(), **added})


def _show_cost(priced: PlanCost | None) -> None:
    if priced is None:
        return
    from orderops.operations.costs import today
    from orderops.ui.costs import show_plan_cost

    show_plan_cost(priced, today())


def _show_markdown(env: str, planned: Plan, priced: PlanCost | None) -> None:
    from orderops.ui import console
    from orderops.ui.costs import cost_markdown
    from orderops.ui.plan_markdown import plan_markdown

    for line in plan_markdown(env, [*planned.steps, *planned.pruned]):
        console.data(line)
    for line in cost_markdown(priced) if priced else ():
        console.data(line)


def _show(env: str, planned: Plan, *, alone: bool) -> None:
    """Show a plan and what follows it; `alone` for the infrastructure without the services."""
    from orderops.operations.left_out import show_services_left_out
    from orderops.ui import console

    steps = [*planned.steps, *planned.pruned]
    console.show_plan(steps, planned.undeclared)
    console.info(console.summary(steps, planned.undeclared))
    console.show_undeclared_environments(env, planned.undeclared_environments)
    if not alone:
        return
    show_services_left_out(env, planned.services)
    # If every change is refused, applying would only show the same errors.
    if len(planned.changes) > len(planned.refused_steps):
        console.info(f"to apply it: orderops infra apply --env {env}")
    if planned.undeclared:
        console.info(f"to delete undeclared resources: orderops infra apply --env {env} --prune")


def _choices(workspace: Workspace, given: list[str]) -> Mapping[str, ImageChoice] | None:
    """The images of a plan of everything; None without --image, for the infrastructure alone."""
    if not given:
        return None
    from orderops.images.resolve import images
    from orderops.operations.saved_plan import exact_images
    from orderops.operations.workspace import images_given

    return exact_images(workspace, images(workspace.aws, workspace.environment, images_given(workspace, given)))


@commands.command()
@grouped()
def apply(
    where: EnvironmentOptions,
    options: ChangeOptions,
    adopt: Adopt = [],
    prune: Prune = False,
    as_json: Json = False,
) -> None:
    """Create and update the declared infrastructure."""
    from orderops.operations.apply import apply_everything
    from orderops.operations.workspace import open_workspace

    workspace = open_workspace(where.env, where.environments)
    apply_everything(workspace, options.of("infra apply", as_json=as_json), choices=None, adopt=adopt, prune=prune)


@commands.command()
@grouped()
def drift(
    where: EnvironmentOptions,
    options: ChangeOptions,
    revert: Annotated[
        list[str],
        typer.Option("--revert", help="Set this address back to the file; may be repeated.", metavar="ADDRESS"),
    ] = [],
    accept: Annotated[
        list[str],
        typer.Option("--accept", help="Write this address into the file; may be repeated.", metavar="ADDRESS"),
    ] = [],
    as_json: Json = False,
) -> None:
    """Show where the account differs from the file, and who moved it. Exit code 3 if anything has drifted.

    Who: from CloudTrail, which keeps 90 days and takes up to 15 minutes. What [drift.ignore] names counts nothing.
    """
    from orderops.errors import UsageError
    from orderops.operations import drift as operation
    from orderops.operations.workspace import open_workspace

    if revert and accept:
        raise UsageError("--revert and --accept are opposites", "pass one of them, then the other")
    workspace = open_workspace(where.env, where.environments)
    if revert:
        words = [f"--revert {address}" for address in revert]
        operation.revert(workspace, options.of("infra drift", *words, as_json=as_json), revert)
    elif accept:
        operation.accept_in_file(workspace, options.of("infra drift", as_json=as_json), accept)
    else:
        operation.show(workspace, as_json=as_json)


@commands.command()
@grouped()
def destroy(where: EnvironmentOptions, options: ChangeOptions) -> None:
    """Delete the infrastructure. Resources that hold data are kept unless they are named."""
    from orderops.operations.destroy import destroy_everything
    from orderops.operations.workspace import open_workspace

    destroy_everything(open_workspace(where.env, where.environments), options.of("infra destroy"), infra_only=True)


@commands.command()
@grouped()
def outputs(where: EnvironmentOptions, as_json: Json = False) -> None:
    """Print what other programs need: URLs, endpoints, names and ARNs."""
    from orderops.operations.workspace import open_workspace
    from orderops.ui import console

    values = _outputs(open_workspace(where.env, where.environments))
    if as_json:
        console.show_json(values)
        return
    for key, value in values.items():
        if isinstance(value, str | int):
            console.data(f"{key:24} {value}")
        elif key == "api_names" and isinstance(value, dict):
            # What the record of a name leads to, for a zone elsewhere.
            for name, target in value.items():
                console.data(f"{key:24} {name} {target}")


@commands.command()
@grouped()
def graph(where: EnvironmentOptions) -> None:
    """Print the dependencies as a Graphviz graph.

    For a picture: orderops infra graph | dot -Tsvg > stack.svg
    """
    from orderops.config.environment import load_environment
    from orderops.infra.stack import stack
    from orderops.ui import console

    environment = load_environment(where.env, where.environments)
    # A graph should need no credentials: only the names of buckets contain the account.
    declared = stack(environment, environment.account or "000000000000")
    console.data("digraph orderops {")
    console.data("  rankdir=LR; node [shape=box, fontname=sans-serif];")
    # Sorted and without duplicates, so that two graphs can be compared.
    lines = {
        f'  "{resource.address}" -> "{need.address}";'
        for resource in [*declared.infra, *declared.release({})]
        for need in resource.needs()
    }
    for line in sorted(lines):
        console.data(line)
    console.data("}")


class ExportFormat(StrEnum):
    """The tools that a configuration is written for; Terraform reads the same."""

    OPENTOFU = "opentofu"


@commands.command()
@grouped()
def export(
    where: EnvironmentOptions,
    format_: Annotated[
        ExportFormat, typer.Option("--format", help="What the configuration is for; Terraform reads the same.")
    ] = ExportFormat.OPENTOFU,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The folder that is written; default: export-ENV.", metavar="DIR", file_okay=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist in the folder.")] = False,
    as_json: Json = False,
) -> None:
    """Write what exists as a configuration with imports, to go on without orderops. Changes nothing in AWS.

    No secret value is written. Its README.md names what is left out and what will still differ.
    """
    from orderops.operations.export import export as write
    from orderops.operations.workspace import open_workspace

    workspace = open_workspace(where.env, where.environments)
    write(workspace, out or Path(f"export-{where.env}"), force=force, as_json=as_json)


def _outputs(workspace: Workspace) -> dict[str, object]:
    """The outputs. Raises OrderopsError if one is unknown: a program would take the placeholder for a value."""
    from orderops.engine.resource import UNKNOWN
    from orderops.engine.step import Action
    from orderops.errors import OrderopsError
    from orderops.infra.address import outputs_of
    from orderops.infra.plan import make_plan

    planned = make_plan(workspace)
    values = outputs_of(workspace.stack, planned.outputs)
    if UNKNOWN in str(values):
        missing = sorted(step.address for step in planned.changes if step.action is Action.CREATE)
        raise OrderopsError(
            f"{len(missing)} of {len(planned.steps)} resources do not exist yet, such as {missing[0]}",
            f"orderops infra apply --env {workspace.environment.name}",
        )
    return values

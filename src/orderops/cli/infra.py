"""orderops infra: everything but what runs a release."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from orderops.cli.options import LONGEST_WAIT, Adopt, Confirm, DryRun, Env, Environments, Json, Prune, Wait, Yes

if TYPE_CHECKING:
    from orderops.infra.workspace import Workspace

commands = typer.Typer(no_args_is_help=True, help="Network, balancer, database, queues, alarms: plan, apply, destroy.")


@commands.command()
def plan(env: Env = "local", environments: Environments = None, adopt: Adopt = [], as_json: Json = False) -> None:
    """Show every property that differs and what changing it does. Exit code 3 when anything does."""
    from orderops.errors import Differences
    from orderops.infra.plan import make_plan
    from orderops.operations.workspace import open_workspace
    from orderops.ui import console
    from orderops.ui.progress import Progress

    workspace = open_workspace(env, environments)
    with Progress() as looking:
        planned = make_plan(workspace, adopt=adopt, on_wait=looking.watch)
    if as_json:
        console.show_json(console.plan_json(env, planned.steps, planned.undeclared, planned.undeclared_environments))
    else:
        console.show_plan(planned.steps, planned.undeclared)
        console.info(console.summary(planned.steps, planned.undeclared))
        console.show_undeclared_environments(env, planned.undeclared_environments)
        if len(planned.changes) > len(planned.refused_steps):
            console.info(f"make it so: orderops infra apply --env {env}")
        if planned.undeclared:
            console.info(f"remove what nobody declares: orderops infra apply --env {env} --prune")
    if planned.differs:
        raise Differences


@commands.command()
def apply(
    env: Env = "local",
    environments: Environments = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    confirm: Confirm = [],
    wait: Wait = LONGEST_WAIT,
    adopt: Adopt = [],
    prune: Prune = False,
) -> None:
    """Create and update what is declared, until nothing differs."""
    from orderops.operations.apply import apply_everything
    from orderops.operations.workspace import ChangeOptions, open_workspace

    workspace = open_workspace(env, environments)
    options = ChangeOptions("infra apply", dry_run, yes, confirm, wait)
    apply_everything(workspace, options, choices=None, adopt=adopt, prune=prune)


@commands.command()
def destroy(
    env: Env = "local",
    environments: Environments = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    confirm: Confirm = [],
    wait: Wait = LONGEST_WAIT,
) -> None:
    """Remove the infrastructure; what holds data is kept unless it is named."""
    from orderops.operations.destroy import destroy_everything
    from orderops.operations.workspace import ChangeOptions, open_workspace

    workspace = open_workspace(env, environments)
    destroy_everything(workspace, ChangeOptions("infra destroy", dry_run, yes, confirm, wait), infra_only=True)


@commands.command()
def outputs(env: Env = "local", environments: Environments = None, as_json: Json = False) -> None:
    """Print what other programs need: URLs, endpoints, names and ARNs."""
    from orderops.operations.workspace import open_workspace
    from orderops.ui import console

    told = _outputs(open_workspace(env, environments))
    if as_json:
        console.show_json(told)
        return
    for key, value in told.items():
        if isinstance(value, str | int):
            console.data(f"{key:24} {value}")


@commands.command()
def graph(env: Env = "local", environments: Environments = None) -> None:
    """Print the dependencies as a Graphviz graph: orderops infra graph | dot -Tsvg > stack.svg"""
    from orderops.config.environment import load_environment
    from orderops.infra.stack import stack
    from orderops.ui import console

    environment = load_environment(env, environments)
    declared = stack(environment, environment.account or "000000000000")
    console.data("digraph orderops {")
    console.data("  rankdir=LR; node [shape=box, fontname=sans-serif];")
    lines = {
        f'  "{resource.address}" -> "{need.address}";'
        for resource in [*declared.infra, *declared.release({})]
        for need in resource.needs()
    }
    for line in sorted(lines):
        console.data(line)
    console.data("}")


def _outputs(workspace: Workspace) -> dict[str, object]:
    """The outputs, or a refusal while one of them is not known: a program would take the word for a value."""
    from orderops.engine.resource import UNKNOWN
    from orderops.engine.step import Action
    from orderops.errors import OrderopsError
    from orderops.infra.plan import make_plan
    from orderops.infra.stack import outputs_of

    planned = make_plan(workspace)
    told = outputs_of(workspace.stack, planned.outputs)
    if UNKNOWN in str(told):
        missing = sorted(step.address for step in planned.changes if step.action is Action.CREATE)
        raise OrderopsError(
            f"{len(missing)} of {len(planned.steps)} resources are not made yet, {missing[0]} for one",
            f"orderops infra apply --env {workspace.environment.name}",
        )
    return told

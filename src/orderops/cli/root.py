"""orderops up, down, status, history, doctor: commands for a whole environment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orderops.cli.options import Adopt, Json, Only, PlanOut, Prune, Sql, grouped
from orderops.errors import UsageError
from orderops.frozen import as_dict
from orderops.iam.persona import Persona
from orderops.operations.options import ChangeOptions, EnvironmentOptions, ImageOptions

if TYPE_CHECKING:
    from orderops.config.environment import Environment


@grouped()
def up(
    where: EnvironmentOptions,
    options: ChangeOptions,
    chosen: ImageOptions,
    sql: Sql = None,
    adopt: Adopt = [],
    prune: Prune = False,
    as_json: Json = False,
    out: PlanOut = None,
    plan: Annotated[
        Path | None,
        typer.Option(
            "--plan",
            help="Apply exactly this saved plan, with the images that it names.",
            metavar="FILE",
            dir_okay=False,
        ),
    ] = None,
) -> None:
    """Create or update everything an environment declares: infrastructure, image, service. Prints the URLs."""
    from orderops.images.resolve import images
    from orderops.operations.apply import apply_everything, apply_saved
    from orderops.operations.workspace import images_given, open_workspace

    workspace = open_workspace(where.env, where.environments)
    if plan:
        if out or adopt or prune or chosen.words or chosen.context:
            raise UsageError("--plan names everything that is applied", "leave out --out, --image, --adopt and --prune")
        apply_saved(workspace, options.of("up", "--plan", plan.name, as_json=as_json), plan, sql)
        return
    choices = images(
        workspace.aws,
        workspace.environment,
        images_given(workspace, chosen.image),
        context=chosen.context,
        allow_dirty=chosen.allow_dirty,
    )
    command = options.of("up", *chosen.words, as_json=as_json)
    apply_everything(workspace, command, choices=choices, adopt=adopt, prune=prune, sql=sql, out=out)


@grouped()
def down(where: EnvironmentOptions, options: ChangeOptions, only: Only = []) -> None:
    """Delete everything. Resources that hold data, and those that they need, are kept unless they are named."""
    from orderops.operations.destroy import destroy_everything
    from orderops.operations.workspace import open_workspace

    workspace = open_workspace(where.env, where.environments)
    destroy_everything(workspace, options.of("down", *(f"--only {address}" for address in only)), only=only)


@grouped()
def status(
    where: EnvironmentOptions,
    sql: Sql = None,
    as_json: Json = False,
    watch: Annotated[bool, typer.Option("--watch", help="Refresh every two seconds, until Ctrl+C.")] = False,
) -> None:
    """Show the health of an environment: one verdict, its cause, how soon to act, the next command.

    Exit code 0 if it is healthy, 10 to act now (P0), 11 within 30 minutes (P1), 12 on the next business day (P2), 3 if
    it does not exist or is starting.
    """
    from orderops.errors import Differences
    from orderops.health.examination import examine
    from orderops.operations.workspace import open_workspace
    from orderops.ui import console
    from orderops.ui.interrupt import until_ctrl_c
    from orderops.ui.status import show_status, watch_status

    workspace = open_workspace(where.env, where.environments)
    if watch:
        with until_ctrl_c():
            watch_status(lambda compare: examine(workspace, sql=sql, compare=compare).to_dict())
        return
    health = examine(workspace, sql=sql, compare=True)
    if as_json:
        console.show_json(health.to_dict())
    else:
        show_status(health.to_dict())
    if health.exit_code:
        raise Differences(health.exit_code)


@grouped()
def history(
    where: EnvironmentOptions,
    last: Annotated[int, typer.Option("--last", "-n", help="Number of runs.", min=1, metavar="N")] = 20,
    as_json: Json = False,
) -> None:
    """Show the runs that changed an environment, newest first: who, when, from where, and how each ended."""
    from orderops.operations.workspace import open_workspace
    from orderops.ui import console
    from orderops.ui.history import show_history

    runs = list(open_workspace(where.env, where.environments).runs.history(last=last))
    if as_json:
        console.show_json(runs)
    elif runs:
        show_history(runs)
    else:
        console.info(f"no run has changed {where.env} yet")


@grouped()
def doctor(
    where: EnvironmentOptions,
    as_json: Json = False,
    show_policies: Annotated[
        bool, typer.Option("--policies", help="Print the IAM policies that a persona needs, and how to attach them.")
    ] = False,
    persona: Annotated[
        Persona | None,
        typer.Option(
            "--for",
            help="Persona whose permissions are checked (default: operator) or printed (default: all): "
            "operator, pipeline or viewer.",
            metavar="PERSONA",
        ),
    ] = None,
) -> None:
    """Check what this machine and these credentials can do, or print the IAM policies that a persona needs."""
    from orderops.config.environment import load_environment, other_environments
    from orderops.doctor import diagnose
    from orderops.errors import Differences
    from orderops.operations.database_checks import database_checks
    from orderops.operations.workspace import open_account
    from orderops.ui import console

    environment = load_environment(where.env, where.environments)
    if show_policies:
        _show_policies(environment, persona, as_json=as_json)
        return
    others = other_environments(where.env, where.environments)
    checks = diagnose(environment, lambda: open_account(environment), persona or Persona.OPERATOR, others)
    if all(check.ok for check in checks if check.name in ("credentials", "account")):
        checks += database_checks(where.env, where.environments)
    if as_json:
        console.show_json({"environment": where.env, "findings": [as_dict(check) for check in checks]})
    else:
        console.show_checks(checks)
    if any(not check.ok and check.needed for check in checks):
        raise Differences


def _show_policies(environment: Environment, persona: Persona | None, *, as_json: bool) -> None:
    from orderops.iam.policies import policies
    from orderops.operations.workspace import open_account
    from orderops.ui import console

    # A pinned account needs no credentials, so an administrator can print policies for another account.
    account = environment.account or open_account(environment).account
    personas = [persona] if persona else Persona
    documents = [policy.to_dict() for chosen in personas for policy in policies(environment, account, chosen)]
    if as_json:
        console.show_json({"environment": environment.name, "account": account, "policies": documents})
    else:
        console.show_policies(documents)

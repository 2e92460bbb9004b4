"""orderops up, down, status, doctor: what concerns the whole."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import typer

from orderops.cli.options import (
    LONGEST_WAIT,
    Adopt,
    Confirm,
    Context,
    DryRun,
    Env,
    Environments,
    Images,
    Json,
    Only,
    Prune,
    Sql,
    Wait,
    Yes,
)
from orderops.iam.persona import Persona


def add_to(commands: typer.Typer) -> None:
    """Add the commands that stand by themselves."""
    for command in (up, down, status, history, doctor):
        commands.command()(command)


def up(
    env: Env = "local",
    environments: Environments = None,
    sql: Sql = None,
    image: Images = [],
    context: Context = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    confirm: Confirm = [],
    wait: Wait = LONGEST_WAIT,
    adopt: Adopt = [],
    prune: Prune = False,
) -> None:
    """Create or update everything an environment declares: infrastructure, image, service. Prints the URLs."""
    from orderops.images.resolve import images
    from orderops.operations.apply import apply_everything
    from orderops.operations.workspace import ChangeOptions, images_given, open_workspace

    workspace = open_workspace(env, environments)
    choices = images(workspace.aws, workspace.environment, images_given(workspace, image), context=context)
    options = ChangeOptions("up", dry_run, yes, confirm, wait)
    apply_everything(workspace, options, choices=choices, adopt=adopt, prune=prune, sql=sql)


def down(
    env: Env = "local",
    environments: Environments = None,
    only: Only = [],
    dry_run: DryRun = False,
    yes: Yes = False,
    confirm: Confirm = [],
    wait: Wait = LONGEST_WAIT,
) -> None:
    """Remove everything; what holds data, and what that stands on, is kept unless it is named."""
    from orderops.operations.destroy import destroy_everything
    from orderops.operations.workspace import ChangeOptions, open_workspace

    workspace = open_workspace(env, environments)
    command = " ".join(["down", *(f"--only {address}" for address in only)])
    destroy_everything(workspace, ChangeOptions(command, dry_run, yes, confirm, wait), only=only)


def status(
    env: Env = "local",
    environments: Environments = None,
    as_json: Json = False,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every two seconds, until Ctrl+C.")] = False,
) -> None:
    """Say how it is: one verdict, its cause, the next command. Exit code 3 unless healthy."""
    from orderops.errors import Differences
    from orderops.health import HealthVerdict, examine
    from orderops.operations.workspace import open_workspace
    from orderops.ui import console
    from orderops.ui.status import show_status, watch_status

    workspace = open_workspace(env, environments)
    if watch:
        with suppress(KeyboardInterrupt):
            watch_status(lambda: examine(workspace).to_dict())
        return
    health = examine(workspace)
    if as_json:
        console.show_json(health.to_dict())
    else:
        show_status(health.to_dict())
    if health.verdict is not HealthVerdict.HEALTHY:
        raise Differences


def history(
    env: Env = "local",
    environments: Environments = None,
    last: Annotated[int, typer.Option("--last", "-n", help="How many runs.", min=1)] = 20,
    as_json: Json = False,
) -> None:
    """Say who changed what, when, from where and how it ended, newest first; a killed run shows as such."""
    from orderops.operations.workspace import open_workspace
    from orderops.ui import console

    told = list(open_workspace(env, environments).runs.history(last=last))
    if as_json:
        console.show_json(told)
    elif told:
        console.show_history(told)
    else:
        console.info(f"nothing has changed {env} yet")


def doctor(
    env: Env = "local",
    environments: Environments = None,
    as_json: Json = False,
    show_policies: Annotated[
        bool, typer.Option("--policies", help="Print the IAM policies that are needed, and how to attach them.")
    ] = False,
    persona: Annotated[
        Persona | None, typer.Option("--for", help="Whose permissions; those of the operator, or all with --policies.")
    ] = None,
) -> None:
    """Say what this machine and these credentials can and cannot do, or which permissions they need."""
    from orderops.config.environment import load_environment
    from orderops.doctor import diagnose
    from orderops.errors import Differences
    from orderops.iam.policies import policies
    from orderops.operations.workspace import open_account
    from orderops.ui import console

    environment = load_environment(env, environments)
    if show_policies:
        account = environment.account or open_account(environment).account
        found = [
            policy for each in ([persona] if persona else Persona) for policy in policies(environment, account, each)
        ]
        told = [policy.to_dict() for policy in found]
        if as_json:
            console.show_json({"environment": env, "account": account, "policies": told})
        else:
            console.show_policies(told)
        return
    findings = diagnose(environment, lambda: open_account(environment), persona or Persona.OPERATOR)
    if as_json:
        console.show_json({"environment": env, "findings": [vars(finding) for finding in findings]})
    else:
        console.show_findings(findings)
    if any(not finding.ok and finding.needed for finding in findings):
        raise Differences

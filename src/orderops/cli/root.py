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
from orderops.iam.actions import Persona


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
    from orderops.operations.apply import apply_site
    from orderops.operations.workspace import Manner, images_given, open_environment

    site = open_environment(env, environments)
    choices = images(site.aws, site.environment, images_given(site, image), context=context)
    manner = Manner("up", dry_run, yes, confirm, wait)
    apply_site(site, manner, choices=choices, adopt=adopt, prune=prune, sql=sql)


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
    from orderops.operations.apply import take_site_down
    from orderops.operations.workspace import Manner, open_environment

    site = open_environment(env, environments)
    command = " ".join(["down", *(f"--only {address}" for address in only)])
    take_site_down(site, Manner(command, dry_run, yes, confirm, wait), only=only)


def status(
    env: Env = "local",
    environments: Environments = None,
    as_json: Json = False,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every two seconds, until Ctrl+C.")] = False,
) -> None:
    """Say how it is: one verdict, its cause, the next command. Exit code 3 unless healthy."""
    from orderops.errors import Differences
    from orderops.health import Verdict, examine
    from orderops.operations.workspace import open_environment
    from orderops.ui import console as terminal
    from orderops.ui.status import show_status, watch_status

    site = open_environment(env, environments)
    if watch:
        with suppress(KeyboardInterrupt):
            watch_status(lambda: examine(site).told())
        return
    health = examine(site)
    if as_json:
        terminal.show_json(health.told())
    else:
        show_status(health.told())
    if health.verdict is not Verdict.HEALTHY:
        raise Differences


def history(
    env: Env = "local",
    environments: Environments = None,
    last: Annotated[int, typer.Option("--last", "-n", help="How many runs.", min=1)] = 20,
    as_json: Json = False,
) -> None:
    """Say who changed what, when, from where and how it ended, newest first; a killed run shows as such."""
    from orderops.operations.workspace import open_environment
    from orderops.ui import console as terminal

    told = list(open_environment(env, environments).runs.told(last=last))
    if as_json:
        terminal.show_json(told)
    elif told:
        terminal.show_history(told)
    else:
        terminal.say(f"nothing has changed {env} yet")


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
    from orderops.operations.workspace import reach
    from orderops.ui import console as terminal

    environment = load_environment(env, environments)
    if show_policies:
        account = environment.account or reach(environment).account
        found = [
            policy for each in ([persona] if persona else Persona) for policy in policies(environment, account, each)
        ]
        told = [policy.told() for policy in found]
        if as_json:
            terminal.show_json({"environment": env, "account": account, "policies": told})
        else:
            terminal.show_policies(told)
        return
    findings = diagnose(environment, lambda: reach(environment), persona or Persona.OPERATOR)
    if as_json:
        terminal.show_json({"environment": env, "findings": [vars(finding) for finding in findings]})
    else:
        terminal.show_findings(findings)
    if any(not finding.ok and finding.needed for finding in findings):
        raise Differences

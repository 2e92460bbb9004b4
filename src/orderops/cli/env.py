"""orderops env: the environment files."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from orderops.cli.options import DryRun, Environments, Json, grouped
from orderops.operations.options import EnvironmentOptions

commands = typer.Typer(no_args_is_help=True, help="Environment files: list, show, check, new, diff, cost.")
TIMES = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}
Name = Annotated[str, typer.Argument(help="Environment.", envvar="ORDEROPS_ENV")]


@commands.command("list")
def list_(environments: Environments = None, as_json: Json = False) -> None:
    """List the environments with region, account and services."""
    from orderops.config.environment import environment_names, load_environment
    from orderops.ui import console

    loaded = [load_environment(name, environments) for name in environment_names(environments)]
    if as_json:
        keys = ("name", "region", "account", "emulated", "protected")
        console.show_json(
            [
                {key: getattr(environment, key) for key in keys} | {"services": list(environment.services)}
                for environment in loaded
            ]
        )
        return
    for environment in loaded:
        flags = (("laptop", environment.emulated), ("protected", environment.protected))
        marks = [word for word, applies in flags if applies]
        where = f"{environment.region} {environment.account or 'any account'}"
        console.data(f"{environment.name:12} {where:32} {', '.join(environment.services)}  {' '.join(marks)}".rstrip())


@commands.command()
def show(name: Name = "local", environments: Environments = None, as_json: Json = False) -> None:
    """Print all settings of an environment, with their defaults."""
    from orderops.operations.workspace import read_environment
    from orderops.ui import console

    settings = read_environment(name, environments).model_dump(mode="json")
    if as_json:
        console.show_json(settings)
        return
    for key, value in _flat(settings):
        console.data(f"{key} = {value}")


@commands.command()
def check(
    name: Annotated[str | None, typer.Argument(help="Environment; default: all.")] = None,
    environments: Environments = None,
    as_json: Json = False,
) -> None:
    """Check environment files and show all errors at once."""
    from orderops.config.environment import environment_names, environments_folder
    from orderops.errors import UsageError
    from orderops.operations.workspace import check_runs_here, read_environment
    from orderops.ui import console

    errors: dict[str, UsageError] = {}
    names = [name] if name else environment_names(environments)
    for checked in names:
        # Every file is read before the first error is raised: an operator fixes them all at once.
        try:
            environment = read_environment(checked, environments)
            check_runs_here(environment, environments_folder(environments))
        except UsageError as error:
            errors[checked] = error
        else:
            if not as_json:
                console.data(f"{checked}: ok")
                if choice := environment.api.choice:
                    console.info(f"{checked}: [api] is {choice}")
    if as_json:
        found = {name: errors[name].lines if name in errors else [] for name in names}
        console.show_json([{"environment": name, "ok": not lines, "errors": lines} for name, lines in found.items()])
    if errors:
        # Two files with the same error share the hint.
        hints = dict.fromkeys(line for error in errors.values() for line in error.hint.splitlines())
        raise UsageError("\n".join(error.message for error in errors.values()), "\n".join(hints))


@commands.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the new environment.")],
    like: Annotated[str, typer.Option("--like", help="Environment to copy.", metavar="NAME")],
    environments: Environments = None,
    dry_run: DryRun = False,
) -> None:
    """Write the file of a new environment like an existing one, comments kept, with a free address range."""
    from orderops.operations import environments as operation

    operation.new(name, like, environments, dry_run=dry_run)


@commands.command()
def diff(
    first: Annotated[str, typer.Argument(help="Environment.")],
    second: Annotated[str, typer.Argument(help="Environment to compare it with.")],
    environments: Environments = None,
    as_json: Json = False,
) -> None:
    """Show how two environments differ, setting by setting, with their defaults."""
    from orderops.operations import environments as operation

    operation.show_differences(first, second, environments, as_json=as_json)


def requests(text: str) -> int:
    """Parse a number of requests such as 250k, 3M or 1.5M."""
    match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)\s*([kmg]?)", text.strip().lower())
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a number of requests; write 250k, 3M or 1.5M")
    return round(float(match[1]) * TIMES[match[2]])


@commands.command()
@grouped()
def cost(
    where: EnvironmentOptions,
    compare: Annotated[
        str | None, typer.Option("--compare", help="Show what differs from this environment.", metavar="NAME")
    ] = None,
    traffic: Annotated[
        Any,
        typer.Option(
            "--traffic",
            help="Requests a month, such as 250k or 3M; without them, what depends on use is named and not counted.",
            metavar="REQUESTS",
            parser=requests,
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Estimate what an environment costs a month in USD, by its file; needs no account.

    From a table of prices that is part of orderops and names its date.
    """
    from orderops.operations.costs import show_cost

    show_cost(where, compare=compare, requests=traffic, as_json=as_json)


def _flat(value: Any, key: str = "") -> list[tuple[str, str]]:
    import json

    # An empty table is shown as {}, so that its key is not missing.
    if isinstance(value, dict) and value:
        return [pair for name, inner in value.items() for pair in _flat(inner, f"{key}.{name}" if key else name)]
    return [(key, json.dumps(value))]

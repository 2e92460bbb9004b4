"""orderops env: the environment files."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from orderops.cli.options import Environments, Json

commands = typer.Typer(no_args_is_help=True, help="Environment files: list, show, check.")
Name = Annotated[str, typer.Argument(help="Environment.", envvar="ORDEROPS_ENV")]


@commands.command("list")
def list_(environments: Environments = None, as_json: Json = False) -> None:
    """List the environments and what they are."""
    from orderops.config.environment import environment_names, load_environment
    from orderops.ui import console

    read = [load_environment(name, environments) for name in environment_names(environments)]
    if as_json:
        keys = ("name", "region", "account", "emulated", "protected")
        console.show_json(
            [{key: getattr(each, key) for key in keys} | {"services": list(each.services)} for each in read]
        )
        return
    for each in read:
        marks = [word for word, true in (("laptop", each.emulated), ("protected", each.protected)) if true]
        where = f"{each.region} {each.account or 'any account'}"
        console.data(f"{each.name:12} {where:32} {', '.join(each.services)}  {' '.join(marks)}".rstrip())


@commands.command()
def show(name: Name = "local", environments: Environments = None, as_json: Json = False) -> None:
    """Print an environment with every default filled in."""
    from orderops.config.environment import load_environment
    from orderops.ui import console

    whole = load_environment(name, environments).model_dump(mode="json")
    if as_json:
        console.show_json(whole)
        return
    for key, value in _flat(whole):
        console.data(f"{key} = {value}")


@commands.command()
def check(
    name: Annotated[str | None, typer.Argument(help="Environment; all when left out.")] = None,
    environments: Environments = None,
) -> None:
    """Check environment files, and show every mistake at once."""
    from orderops.config.environment import environment_names, load_environment
    from orderops.errors import UsageError
    from orderops.ui import console

    wrong: list[UsageError] = []
    for each in [name] if name else environment_names(environments):
        try:
            load_environment(each, environments)
            console.data(f"{each}: ok")
        except UsageError as error:
            wrong.append(error)
    if wrong:
        hints = dict.fromkeys(line for error in wrong for line in error.hint.splitlines())
        raise UsageError("\n".join(error.message for error in wrong), "\n".join(hints))


def _flat(value: Any, key: str = "") -> list[tuple[str, str]]:
    import json

    if isinstance(value, dict) and value:
        return [pair for inner, each in value.items() for pair in _flat(each, f"{key}.{inner}" if key else inner)]
    return [(key, json.dumps(value))]

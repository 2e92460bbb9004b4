"""orderops api: the API in front of an environment."""

from __future__ import annotations

from typing import Annotated

import typer

from orderops.cli.options import Json, grouped
from orderops.operations.options import ChangeOptions, EnvironmentOptions

commands = typer.Typer(no_args_is_help=True, help="API in front: the keys of its callers.")
keys = typer.Typer(no_args_is_help=True, help="API keys: make, list, revoke.")
commands.add_typer(keys, name="keys")

KeyName = Annotated[str, typer.Argument(help="Name of the key, such as that of the client.", show_default=False)]


@keys.command()
@grouped()
def create(where: EnvironmentOptions, options: ChangeOptions, name: KeyName, as_json: Json = False) -> None:
    """Make an API key and print its value, this once. Callers send it as the header x-api-key."""
    from orderops.operations.api_keys import create
    from orderops.operations.workspace import open_workspace

    create(open_workspace(where.env, where.environments), options, name, as_json=as_json)


@keys.command("list")
@grouped()
def list_(where: EnvironmentOptions, as_json: Json = False) -> None:
    """List the API keys, without their values."""
    from orderops.operations.api_keys import show
    from orderops.operations.workspace import open_workspace

    show(open_workspace(where.env, where.environments), as_json=as_json)


@keys.command()
@grouped()
def revoke(where: EnvironmentOptions, options: ChangeOptions, name: KeyName) -> None:
    """Delete an API key: its holder is refused from then on."""
    from orderops.operations.api_keys import revoke
    from orderops.operations.workspace import open_workspace

    revoke(open_workspace(where.env, where.environments), options, name)

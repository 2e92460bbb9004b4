"""API keys of an environment: made, listed and revoked. The value of a key is shown once, and kept nowhere."""

from __future__ import annotations

import re

from orderops.errors import OrderopsError, UsageError
from orderops.infra.workspace import Workspace
from orderops.operations.locked import locked_run, read_lease
from orderops.operations.options import ChangeOptions
from orderops.operations.workspace import confirm_change
from orderops.resources.apigateway_keys import ApiKey, api_keys, create_key, delete_key, plan_of
from orderops.ui import console
from orderops.ui.api_keys import show_keys

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def create(workspace: Workspace, options: ChangeOptions, name: str, *, as_json: bool) -> None:
    """Make a key and print its value. Raises UsageError if there is one of that name."""
    env = workspace.environment.name
    options = options.of("api keys create", name, as_json=as_json)
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is not the name of a key", "write 1 to 64 letters, digits and ._- that begin with no sign"
        )
    lease = read_lease(workspace)
    plan = _plan(workspace)
    _free(workspace, plan, name)
    if options.dry_run:
        console.info(f"would make the API key {name} of {env}; nothing was made")
        return
    confirm_change(workspace, f"Make the API key {name} of {env}?", options)
    with locked_run(workspace, options, lease) as run:
        # While this run waited for another one, that may have made it.
        for unfinished in _free(workspace, plan, name):
            # Its value was never shown, so no client has it.
            delete_key(workspace.aws, unfinished)
        id, value = create_key(workspace.aws, env, name, plan)
        run.record.note(action="created", api_key=name)
    if as_json:
        console.show_json({"name": name, "id": id, "value": value})
        return
    console.data(value)
    console.info(f"the value of the key {name}, shown this once; callers send it as the header x-api-key")
    console.info(f"next: orderops api keys list --env {env}")


def show(workspace: Workspace, *, as_json: bool) -> None:
    """List the keys, without their values."""
    keys = api_keys(workspace.aws, workspace.environment.name, plan_of(workspace.aws, workspace.environment.name))
    if as_json:
        console.show_json([key.to_dict() for key in keys])
    elif keys:
        show_keys(keys)
    else:
        env = workspace.environment.name
        console.info(f"{env} has no API keys")
        if workspace.environment.api.api_keys:
            console.info(f"next: orderops api keys create NAME --env {env}")


def revoke(workspace: Workspace, options: ChangeOptions, name: str) -> None:
    """Delete the key of that name: its holder is refused from then on. Raises UsageError if there is none."""
    env = workspace.environment.name
    options = options.of("api keys revoke", name)
    lease = read_lease(workspace)
    plan = plan_of(workspace.aws, env)
    if not (found := _named(workspace, plan, name)):
        raise UsageError(f"{env} has no API key named {name!r}", f"list them: orderops api keys list --env {env}")
    if options.dry_run:
        console.info(f"would revoke the API key {name} of {env}; nothing was revoked")
        return
    confirm_change(workspace, f"Revoke the API key {name} of {env}? Its holder is refused from then on", options)
    with locked_run(workspace, options, lease) as run:
        for key in found:
            delete_key(workspace.aws, key)
        run.record.note(action="revoked", api_key=name)
    console.info(f"the API key {name} is revoked; API Gateway may take a minute until every request is refused")


def _plan(workspace: Workspace) -> str:
    environment = workspace.environment
    if not environment.api.api_keys:
        raise UsageError(
            f"the API of {environment.name} takes no keys"
            if environment.api.declared
            else f"{environment.name} has no API",
            "write api_keys = true under [api] in its file; it makes a REST API",
        )
    if plan := plan_of(workspace.aws, environment.name):
        return plan
    raise OrderopsError(
        f"{environment.name} has no usage plan yet, which keys belong to", f"orderops up --env {environment.name}"
    )


def _free(workspace: Workspace, plan: str, name: str) -> list[ApiKey]:
    """The unfinished keys of a name. Raises UsageError for a finished one."""
    found = _named(workspace, plan, name)
    for key in found:
        if key.in_plan:
            env = workspace.environment.name
            raise UsageError(
                f"{env} has an API key named {name} since {key.created:%Y-%m-%d %H:%M}",
                f"choose another name; if its value was lost, first: orderops api keys revoke {name} --env {env}",
            )
    return found


def _named(workspace: Workspace, plan: str | None, name: str) -> list[ApiKey]:
    # Read now, past what this command has read before.
    return [key for key in api_keys(workspace.aws, workspace.environment.name, plan) if key.name == name]

"""Open a workspace from the options of a command, and ask before it is changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botocore.session import Session

    from orderops.aws.client import Aws
    from orderops.config.environment import Environment
    from orderops.engine.resource import Resource
    from orderops.infra.workspace import Workspace
    from orderops.local import LocalEndpoint
    from orderops.operations.options import ChangeOptions


def open_workspace(name: str, folder: Path | None) -> Workspace:
    """Read the environment and open its account, guarded: AWS calls that change something fail outside a run."""
    from orderops.config.environment import environment_names, environments_folder
    from orderops.infra.workspace import Workspace
    from orderops.runs.change_guard import ChangeGuard

    environment = read_environment(name, folder)
    guard = ChangeGuard()
    workspace = Workspace(
        environment,
        open_account(environment).guarded(guard),
        guard,
        environment_names(folder),
        environments_folder(folder),
    )
    # Before any other call, so that a wrong profile cannot touch a foreign account.
    workspace.check_account()
    return workspace


def read_environment(name: str, folder: Path | None) -> Environment:
    """Read an environment and check the names that it implies. Raises UsageError with every mistake in its file.

    An emulated one without a version of PostgreSQL has the version of this machine.
    """
    from orderops.infra.limits import checked_environment

    environment = checked_environment(name, folder)
    if not environment.emulated:
        return environment
    from orderops import local

    version = local.database_version()
    return environment.with_database_version(version) if version else environment


def check_runs_here(environment: Environment, folder: Path) -> None:
    """Raise UsageError if an emulated environment declares a version of PostgreSQL that this machine has not."""
    from orderops import local
    from orderops.errors import UsageError

    if not environment.emulated:
        return
    declared, here = environment.database.engine_version.partition(".")[0], local.database_version()
    if here and here != declared:
        raise UsageError(
            f"{folder / environment.name}.toml: database.engine_version: {environment.database.engine_version!r}: "
            f"this laptop has PostgreSQL {here}",
            f'set it to "{here}", or leave it out; or set ORDEROPS_PG_BIN to the bin directory of '
            f"PostgreSQL {declared}",
        )


def check_upgrades(environment: Environment) -> None:
    """Raise UsageError for the laptop, whose database server has the one version that is installed."""
    from orderops import local
    from orderops.errors import UsageError

    if environment.emulated:
        raise UsageError(
            f"{environment.name} is on this machine, which has PostgreSQL {local.database_version() or 'none'} and "
            "cannot upgrade a database to another version",
            "upgrade an environment on AWS: --env NAME; or begin anew with another version: ORDEROPS_PG_BIN=DIR "
            "orderops local reset",
        )


def check_is_laptop(name: str, folder: Path | None) -> None:
    """Raise UsageError if an environment is on AWS: its server is no place for experiments."""
    from orderops.errors import UsageError

    if not read_environment(name, folder).emulated:
        raise UsageError(
            f"{name} is on AWS, and --execute runs every migration on its server",
            "leave --env out for the laptop environment, or pass the --dsn of a server for tests",
        )


def open_account(environment: Environment) -> Aws:
    """Open the account of an environment with boto3's credentials and in its role, or the emulator on this machine.

    A task of the emulator has its address and a key from its environment, as on AWS.
    """
    from orderops.aws.client import Aws

    if not environment.emulated:
        return Aws(environment.region, new_session=_session_of(environment), environment=environment.name)
    from orderops import local
    from orderops.ui import commands, console

    if local.inside_task():
        return Aws(environment.region, environment=environment.name)

    def on_wait(name: str) -> None:
        console.info(f"starting the {name} on this machine")

    commands.about_the_laptop()
    endpoint = local.start(environment.region, on_wait=on_wait)
    return Aws(
        environment.region,
        endpoint_url=endpoint.url,
        new_session=partial(_laptop_session, endpoint),
        environment=environment.name,
    )


def _session_of(environment: Environment) -> Callable[..., Session] | None:
    """What makes sessions in the environment's role; None for those of the operator's own credentials."""
    if environment.role is None:
        return None
    from botocore.session import Session

    from orderops.aws.assumed_role import session_with_role

    return session_with_role(Session, environment.role, environment.name)


def _laptop_session(endpoint: LocalEndpoint, include_builtin_handlers: bool) -> Session:
    """Return a session with the laptop's key, and with nothing of the operator's own profiles and proxies."""
    from botocore.config import Config
    from botocore.session import Session

    # Where a setting is read from, in botocore's form: a key of the file, variables, a default. A profile of the
    # operator may not exist, name another endpoint, or have credentials; nothing on the laptop may reach an account.
    nowhere = {
        "profile": (None, None, None, None),
        "config_file": (None, None, os.devnull, None),
        "credentials_file": (None, None, os.devnull, None),
        "use_fips_endpoint": (None, None, False, None),
        "use_dualstack_endpoint": (None, None, False, None),
    }
    session = Session(session_vars=nowhere, include_builtin_handlers=include_builtin_handlers)
    # HTTP_PROXY names a proxy that cannot reach this machine's loopback address.
    session.set_default_client_config(Config(proxies={}))
    session.set_credentials(endpoint.key.id, endpoint.key.secret)
    return session


def asks_by_name(workspace: Workspace, options: ChangeOptions) -> bool:
    """Whether `confirm_change` asks for the name of a protected environment."""
    environment = workspace.environment
    return environment.protected and not options.as_json and environment.name not in options.confirm


def confirm_change(
    workspace: Workspace, question: str, options: ChangeOptions, *, undeclared_environments: Collection[str] = ()
) -> bool:
    """Ask before a change; return whether the operator was asked, so that time has passed.

    For the emulator there is no question. A protected environment has to be confirmed by name. In an account with
    environments that have no file (`undeclared_environments`), a new environment has to be confirmed at a terminal or
    by name, since it may be one whose file was renamed.
    """
    from orderops.errors import UsageError
    from orderops.ui import console

    environment = workspace.environment
    if environment.emulated:
        return False
    if options.as_json:
        _check_no_question(environment, options)
    if undeclared_environments and not environment.protected and environment.name not in options.confirm:
        _check_not_renamed(workspace, undeclared_environments, options)
    # A protected environment needs its name even with --yes, which scripts pass by habit.
    if not environment.protected:
        console.confirm(question, yes=options.yes)
        return not options.yes
    if not console.confirm_name(environment.name, f"{environment.name} is protected", given=options.confirm):
        raise UsageError(
            f"{environment.name} is protected, and its name was not given",
            f"pass --confirm {environment.name}",
        )
    return environment.name not in options.confirm


def _check_no_question(environment: Environment, options: ChangeOptions) -> None:
    from orderops.errors import UsageError

    needed = f"--confirm {environment.name}" if environment.protected else "--yes"
    if environment.name not in options.confirm if environment.protected else not options.yes:
        raise UsageError("--json shows no plan to agree to", f"read it with --dry-run, then pass {needed}")


def confirm_restore(workspace: Workspace, question: str, options: ChangeOptions) -> None:
    """Ask before creating an instance that changes nothing of the environment, so protection does not apply."""
    from orderops.ui import console

    if not workspace.environment.emulated:
        console.confirm(question, yes=options.yes)


def _check_not_renamed(workspace: Workspace, undeclared_environments: Collection[str], options: ChangeOptions) -> None:
    from orderops.config.environment import restore_command
    from orderops.errors import OrderopsError
    from orderops.ui import console

    if options.yes or not console.is_interactive():
        name = workspace.environment.name
        hints = [
            f"if the file was renamed, restore it: {restore_command(workspace.folder / f'{undeclared}.toml')}"
            for undeclared in undeclared_environments
        ]
        raise OrderopsError(
            f"{name} would be created, and {', '.join(undeclared_environments)} in this account has no file; "
            "nothing was changed",
            "\n".join([*hints, f"if {name} is a new environment, pass --confirm {name}"]),
        )


def slow_resources(workspace: Workspace) -> Collection[Resource]:
    """Resources whose typical duration on AWS is worth showing; none on the emulator, which is faster."""
    return () if workspace.environment.emulated else workspace.declared().values()


def images_given(workspace: Workspace, given: Sequence[str]) -> dict[str, str]:
    """Return the image of each service from `--image`: a URI if there is one service, else SERVICE=URI."""
    from orderops.errors import UsageError

    environment = workspace.environment
    names, entries = list(environment.services), environment.entries
    images: dict[str, str] = {}
    for image in given:
        service, separator, uri = image.partition("=")
        # A URI may contain an equals sign, and a service's name no slash.
        if not separator or "/" in service:
            # Workers run the image of the service that they work for.
            service, uri = entries[0], image
            if len(entries) > 1:
                raise UsageError(
                    f"--image {image} names no service", f"pass one of: {', '.join(f'{name}=URI' for name in names)}"
                )
        if service not in names:
            raise UsageError(f"no service is named {service!r}", f"services here: {', '.join(names)}")
        images[service] = uri
    return images


def one_service(workspace: Workspace, given: str | None) -> str:
    """Return the service to use. Raises UsageError if none is given and there are several besides workers."""
    from orderops.errors import UsageError

    names, entries = list(workspace.environment.services), workspace.environment.entries
    if given is None and len(entries) == 1:
        return entries[0]
    if given not in names:
        problem = (
            f"no service is named {given!r}" if given else f"{workspace.environment.name} has {len(names)} services"
        )
        raise UsageError(problem, f"services here: {', '.join(names)}")
    return given

"""From the words of a command line to an open site."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orderops.aws.client import Aws
    from orderops.config.environment import Environment
    from orderops.engine.resource import Resource
    from orderops.infra.workspace import Workspace
    from orderops.operations.options import ChangeOptions


def open_workspace(name: str, folder: Path | None) -> Workspace:
    """Read the environment and reach its AWS in its account, where nothing can be changed outside of a run."""
    from orderops.config.environment import environment_names, environments_folder, load_environment
    from orderops.infra.workspace import Workspace
    from orderops.runs.run import ChangeGuard

    environment = load_environment(name, folder)
    gate = ChangeGuard()
    beside = environment_names(folder)
    workspace = Workspace(
        environment, open_account(environment).guarded(gate), gate, beside, environments_folder(folder)
    )
    workspace.check_account()
    return workspace


def open_account(environment: Environment) -> Aws:
    """The AWS of an environment: boto3's own way to it, or the emulator of this machine."""
    from orderops.aws.client import Aws

    if not environment.emulated:
        return Aws(environment.region, environment=environment.name)
    import boto3

    from orderops import local
    from orderops.ui import console

    say = console.info
    endpoint = local.start(environment.region, on_wait=lambda what: say(f"starting the {what} on this machine"))
    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=environment.region)
    return Aws(environment.region, endpoint_url=endpoint.url, session=session, environment=environment.name)


def confirm_change(
    workspace: Workspace, question: str, options: ChangeOptions, *, undeclared_environments: Collection[str] = ()
) -> bool:
    """Ask before a change; return whether the operator was asked, so that time has passed.

    Nothing is asked for this machine's emulator. A protected environment has to be named. In an account with
    environments that have no file (`undeclared_environments`), a new environment needs an operator who answers, or its
    name, since it may be one whose file was renamed.
    """
    from orderops.errors import UsageError
    from orderops.ui import console

    environment = workspace.environment
    if environment.emulated:
        return False
    if undeclared_environments and not environment.protected and environment.name not in options.confirm:
        _refuse_without_anybody(workspace, undeclared_environments, options)
    if not environment.protected:
        console.confirm(question, yes=options.yes)
        return not options.yes
    if not console.confirm_name(environment.name, f"{environment.name} is protected", given=options.confirm):
        raise UsageError(
            f"{environment.name} is protected, and its name was not given",
            f"say it beforehand: --confirm {environment.name}",
        )
    return environment.name not in options.confirm


def confirm_restore(workspace: Workspace, question: str, options: ChangeOptions) -> None:
    """Ask before making something that stands beside an environment and changes nothing of it."""
    from orderops.ui import console

    if not workspace.environment.emulated:
        console.confirm(question, yes=options.yes)


def _refuse_without_anybody(workspace: Workspace, strangers: Collection[str], options: ChangeOptions) -> None:
    from orderops.config.environment import restore_command
    from orderops.errors import OrderopsError
    from orderops.ui import console

    if options.yes or not console.is_interactive():
        name = workspace.environment.name
        ways = [
            f"if it was renamed, give it its name back: {restore_command(workspace.folder / f'{each}.toml')}"
            for each in strangers
        ]
        raise OrderopsError(
            f"{name} would be made anew beside {', '.join(strangers)}, which has no file; nothing was changed",
            "\n".join([*ways, f"if {name} is a new environment, say so: --confirm {name}"]),
        )


def slow_resources(workspace: Workspace) -> Collection[Resource]:
    """The resources for which it helps to know how long they take on AWS: not those of this machine's emulator."""
    return () if workspace.environment.emulated else workspace.declared().values()


def images_given(workspace: Workspace, given: Sequence[str]) -> dict[str, str]:
    """`--image` by service: a bare URI when there is one service, else SERVICE=URI."""
    from orderops.errors import UsageError

    names = list(workspace.environment.services)
    images: dict[str, str] = {}
    for each in given:
        service, separator, uri = each.partition("=")
        if not separator or "/" in service:
            service, uri = names[0], each
            if len(names) > 1:
                raise UsageError(
                    f"--image {each} names no service", f"one of: {', '.join(f'{name}=URI' for name in names)}"
                )
        if service not in names:
            raise UsageError(f"no service is named {service!r}", f"services here: {', '.join(names)}")
        images[service] = uri
    return images


def one_service(workspace: Workspace, given: str | None) -> str:
    """The service meant; must be said when there are several."""
    from orderops.errors import UsageError

    names = list(workspace.environment.services)
    if given is None and len(names) == 1:
        return names[0]
    if given not in names:
        said = f"no service is named {given!r}" if given else f"{workspace.environment.name} has {len(names)} services"
        raise UsageError(said, f"services here: {', '.join(names)}")
    return given

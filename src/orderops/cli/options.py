"""Options that more than one command takes, each declared once, and commands that take them in groups."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from orderops.frozen import Frozen, defaults, field_names

DURATION = re.compile(r"(\d+)\s*(s|m|min|h|d)?")
SECONDS = {None: 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}


def duration(text: str | timedelta) -> timedelta:
    """Parse a duration such as 90s, 5m, 1h or 30d; a bare number is seconds."""
    if isinstance(text, timedelta):
        # The default is not parsed.
        return text
    match = DURATION.fullmatch(text.strip())
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a duration; write 30s, 5m, 1h or 30d")
    return timedelta(seconds=int(match[1]) * SECONDS[match[2]])


def environment_names_for_completion(incomplete: str) -> list[str]:
    """Environments whose names begin with what was typed so far."""
    # Imported here: completion runs at each press of the tab key.
    from orderops.config.environment import environment_names

    return [name for name in environment_names() if name.startswith(incomplete)]


Env = Annotated[
    str,
    typer.Option(
        "--env",
        "-e",
        envvar="ORDEROPS_ENV",
        help="Environment: the name of a file in environments/, without .toml.",
        autocompletion=environment_names_for_completion,
    ),
]
Environments = Annotated[
    Path | None,
    typer.Option(
        "--environments", envvar="ORDEROPS_ENVIRONMENTS", help="Folder of the environment files.", metavar="DIR"
    ),
]
Sql = Annotated[
    Path | None,
    typer.Option("--sql", envvar="ORDEROPS_SQL", help="Folder of the migrations.", metavar="DIR"),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done and change nothing.")]
YesAndConfirm = Annotated[
    bool, typer.Option("--yes", "-y", help="Do not ask. A protected environment requires --confirm as well.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Confirm = Annotated[
    list[str],
    typer.Option(
        "--confirm",
        help="Name of a protected environment, of a resource that holds data, or of a new environment in an account "
        "with environments that have no file.",
        metavar="NAME",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON with stable keys.")]
Adopt = Annotated[
    list[str], typer.Option("--adopt", help="Take over an existing resource that has no owner.", metavar="ADDRESS")
]
Prune = Annotated[bool, typer.Option("--prune", help="Delete owned resources that are not declared and hold no data.")]
PlanOut = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Save the plan, so that `orderops up` can apply exactly it within 24 hours.",
        metavar="FILE",
        dir_okay=False,
    ),
]
Wait = Annotated[
    timedelta,
    typer.Option(
        "--wait",
        help="How long to wait while another operator changes the environment, such as 30s or 0; default: 10m.",
        metavar="DURATION",
        parser=duration,
        show_default=False,
    ),
]
Only = Annotated[list[str], typer.Option("--only", help="Only this address; may be repeated.", metavar="ADDRESS")]
Images = Annotated[
    list[str],
    typer.Option(
        "--image",
        help="Image to run instead of building one; SERVICE=URI if there are several services.",
        metavar="URI",
    ),
]
ServiceName = Annotated[
    str | None,
    typer.Argument(help="Service; optional if there is only one.", show_default=False),
]
Bake = Annotated[
    timedelta | None,
    typer.Option(
        "--bake",
        envvar="ORDEROPS_BAKE",
        help="How long to watch a release after all its tasks are healthy, such as 60s or 0; default: bake_seconds in "
        "the environment file.",
        metavar="DURATION",
        parser=duration,
        show_default=False,
    ),
]
Context = Annotated[
    Path | None,
    typer.Option(
        "--context",
        help="Folder of the sources that images are built from; default: the working directory.",
        metavar="DIR",
    ),
]
AllowDirty = Annotated[
    bool,
    typer.Option(
        "--allow-dirty",
        help="Build images from files that no commit holds; their version ends with -dirty and a part of their content "
        "tag.",
    ),
]
Dsn = Annotated[
    str | None,
    typer.Option(
        "--dsn",
        help="Database to use instead of the environment's: a connection string without a password, which is read "
        "from PGPASSWORD or ~/.pgpass. ORDEROPS_DSN may hold the whole.",
        metavar="CONNINFO",
        show_default=False,
    ),
]
Budget = Annotated[
    timedelta,
    typer.Option(
        "--budget",
        help="Total time to wait for locks, such as 90s; default: 10m.",
        metavar="DURATION",
        parser=duration,
        show_default=False,
    ),
]
Terminate = Annotated[
    bool,
    typer.Option(
        "--terminate-blockers",
        help="Terminate sessions that block the migration, after asking for each; never a superuser's.",
    ),
]
InstanceName = Annotated[
    str | None,
    typer.Argument(help="Identifier of the instance; optional if there is only one.", show_default=False),
]
Tables = Annotated[list[str], typer.Option("--table", help="Only this table; may be repeated.", metavar="TABLE")]

# One place for all commands, so that an option has the same name, default and help everywhere.
DECLARATIONS: dict[str, Any] = {
    "env": Env,
    "environments": Environments,
    "sql": Sql,
    "dsn": Dsn,
    "dry_run": DryRun,
    "yes": YesAndConfirm,
    "confirm": Confirm,
    "wait": Wait,
    "budget": Budget,
    "terminate_blockers": Terminate,
    "name": InstanceName,
    "tables": Tables,
    "image": Images,
    "context": Context,
    "allow_dirty": AllowDirty,
}
"""How the fields of the classes in `operations.options` are given on a command line."""


def grouped(*without: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Let a command take classes of options: typer sees their fields, the command gets objects of them.

    Fields without a declaration, and those named in `without`, keep their defaults. A field `job` is filled with the
    remote job that runs the command, which its entry point puts into the context.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        parameters = inspect.signature(command, eval_str=True).parameters
        groups: dict[str, Any] = {
            name: taken.annotation for name, taken in parameters.items() if _is_group(taken.annotation)
        }
        shown = {kind: _declared(kind, without) for kind in groups.values()}

        @wraps(command)
        def run(_context: typer.Context, **values: Any) -> None:
            for name, kind in groups.items():
                given = {name: values.pop(name) for name in shown[kind]}
                if "job" in field_names(kind):
                    # Not an option: only the entry point of a remote job sets it.
                    given["job"] = _context.find_root().obj
                values[name] = kind(**given)
            command(**values)

        expanded = [inspect.Parameter("_context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
        for name, taken in parameters.items():
            if name in groups:
                expanded += _parameters(groups[name], shown[groups[name]])
            else:
                expanded.append(taken.replace(kind=inspect.Parameter.KEYWORD_ONLY))
        if not any(taken.name == "confirm" for taken in expanded):
            expanded = [taken.replace(annotation=Yes) if taken.name == "yes" else taken for taken in expanded]
        # Typer reads both.
        vars(run)["__signature__"] = inspect.Signature(expanded)
        run.__annotations__ = {taken.name: taken.annotation for taken in expanded}
        return run

    return decorate


def _is_group(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Frozen)


def _declared(kind: type[Frozen], without: tuple[str, ...]) -> list[str]:
    return [name for name in field_names(kind) if name in DECLARATIONS and name not in without]


def _parameters(kind: type[Frozen], names: Iterable[str]) -> Iterator[inspect.Parameter]:
    constants = defaults(kind)
    for name in names:
        default = constants.get(name)
        yield inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            # Typer wants a list where the class has an immutable tuple.
            default=list(default) if isinstance(default, tuple) else default,
            annotation=DECLARATIONS[name],
        )

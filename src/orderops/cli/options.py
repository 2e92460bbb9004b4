"""Options that more than one command takes, each spelled once."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

LONGEST_WAIT = timedelta(minutes=10)
DURATION = re.compile(r"(\d+)\s*(s|m|min|h)?")
SECONDS = {None: 1, "s": 1, "m": 60, "min": 60, "h": 3600}


def duration(text: str | timedelta) -> timedelta:
    """A duration as an operator types it: 90s, 5m, 1h; a bare number is seconds."""
    if isinstance(text, timedelta):  # the default
        return text
    told = DURATION.fullmatch(text.strip())
    if told is None:
        raise typer.BadParameter(f"{text!r} is no duration; write 30s, 5m or 1h")
    return timedelta(seconds=int(told[1]) * SECONDS[told[2]])


def environment_names_for_completion(incomplete: str) -> list[str]:
    """Environments whose names begin with what was typed so far."""
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
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; a protected environment wants --confirm too.")]
Confirm = Annotated[
    list[str],
    typer.Option(
        "--confirm",
        help="Name of a protected environment, of a thing that holds data, or of a new one beside one without a file.",
        metavar="NAME",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON with stable keys.")]
Adopt = Annotated[
    list[str], typer.Option("--adopt", help="Take over what is there and has no owner.", metavar="ADDRESS")
]
Prune = Annotated[bool, typer.Option("--prune", help="Remove what is ours, not declared any more, and holds no data.")]
Wait = Annotated[
    timedelta,
    typer.Option(
        "--wait",
        help="How long to wait while somebody else changes the environment: 30s, 5m, 0.",
        metavar="DURATION",
        parser=duration,
    ),
]
Only = Annotated[list[str], typer.Option("--only", help="Nothing but this address.", metavar="ADDRESS")]
Images = Annotated[
    list[str],
    typer.Option(
        "--image",
        help="Image to run instead of building one; SERVICE=URI when there are several services.",
        metavar="URI",
    ),
]
ServiceName = Annotated[
    str | None,
    typer.Argument(help="Service; may be left out when there is one.", show_default=False),
]
Context = Annotated[
    Path | None,
    typer.Option(
        "--context", help="Folder of the sources that images are built from; here when left out.", metavar="DIR"
    ),
]

"""The options that several commands share, as the operations take them; `cli.options` declares each for the shell."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orderops.frozen import Frozen, replace

if TYPE_CHECKING:
    from orderops.remote.job import CurrentJob

# As long as a release takes, so that a second operator who waits normally gets the lease.
DEFAULT_WAIT = timedelta(minutes=10)
DEFAULT_BUDGET = timedelta(minutes=10)


class ChangeOptions(Frozen):
    """How a command changes an environment: what was confirmed up front, and how long to wait for other operators."""

    command: str = ""
    """The command as it is recorded, without its environment."""
    dry_run: bool = False
    yes: bool = False
    confirm: Sequence[str] = ()
    """Names that were typed on the command line."""
    wait: timedelta = DEFAULT_WAIT
    as_json: bool = False
    """Whether stdout gets one JSON document, so that no plan is shown to agree to."""

    def of(self, *command: str, as_json: bool = False) -> ChangeOptions:
        """The same options for a command with these words."""
        return replace(self, command=" ".join(command), as_json=as_json)

    def for_task(self) -> dict[str, Any]:
        """The options that a remote job gets on its command line; it asks nothing and records its own command."""
        return {"dry_run": self.dry_run, "wait": _unless(self.wait, DEFAULT_WAIT)}


class ImageOptions(Frozen):
    """Which images a release gets, and what they may be built from."""

    image: Sequence[str] = ()
    """Images to run instead of building them."""
    context: Path | None = None
    allow_dirty: bool = False

    @property
    def words(self) -> list[str]:
        """What a command is recorded with."""
        return [*(f"--image {uri}" for uri in self.image), *(["--allow-dirty"] if self.allow_dirty else [])]


class EnvironmentOptions(Frozen):
    """Which environment, and the folder of its file."""

    env: str = "local"
    environments: Path | None = None


class DatabaseOptions(Frozen):
    """Which environment's database server."""

    env: str = "local"
    environments: Path | None = None
    job: CurrentJob | None = None
    """The remote job that runs this command; None on the operator's machine."""


class ChangeTime(StrEnum):
    """When RDS carries out a change of the database server."""

    WINDOW = "window"
    """In the maintenance window."""
    NOW = "now"


class MigrateOptions(Frozen):
    """Which database and which migrations."""

    env: str = "local"
    environments: Path | None = None
    sql: Path | None = None
    dsn: str | None = None
    job: CurrentJob | None = None
    """The remote job that runs this command; None on the operator's machine."""


class LockOptions(Frozen):
    """How long a migration waits for locks, and whether it may terminate the sessions that block it."""

    budget: timedelta = DEFAULT_BUDGET
    terminate_blockers: bool = False

    def for_task(self) -> dict[str, Any]:
        """The options that a remote job gets on its command line."""
        return {"budget": _unless(self.budget, DEFAULT_BUDGET), "terminate_blockers": self.terminate_blockers}


class CompareOptions(Frozen):
    """Which restored instance is compared with the live database, and which tables."""

    name: str | None = None
    env: str = "local"
    environments: Path | None = None
    tables: Sequence[str] = ()
    job: CurrentJob | None = None
    """The remote job that runs this command; None on the operator's machine."""


def _unless(value: timedelta, default: timedelta) -> timedelta | None:
    """None for the default, which needs no option."""
    return None if value == default else value

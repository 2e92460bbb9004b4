"""Check an environment file against every limit that AWS would report late."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from orderops.config.environment import Environment, refuse
from orderops.infra.limits import ANY_ACCOUNT, DeclaredName, name_mistakes, names_in, partition_mistakes
from orderops.infra.stack import stack
from orderops.operations.workspace import read_environment
from orderops.resources.rds_description import RESTORED_ROLES
from orderops.resources.rds_restored_instance import RdsRestoredInstance
from orderops.restore.point_in_time import restored_name

# Every moment has a text of the same length in a name.
ANY_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def checked_environment(name: str, folder: Path | None) -> Environment:
    """Read an environment and check the names that it implies. Raises UsageError with every mistake in its file."""
    environment = read_environment(name, folder)
    # The names contain the partition, so it comes first.
    refuse(name, folder, partition_mistakes(environment))
    refuse(name, folder, name_mistakes([*names_in(environment), *_names_of_restores(environment)]))
    return environment


def _names_of_restores(environment: Environment) -> Iterator[DeclaredName]:
    """The names of restored instances, rehearsal copies and drills."""
    declared = stack(environment, environment.account or ANY_ACCOUNT)
    for role in RESTORED_ROLES:
        yield DeclaredName(RdsRestoredInstance, restored_name(declared, role, ANY_MOMENT), ("name",), environment.name)

"""A value that a command writes into the environment file, and the environment that the file then declares."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from orderops.config.edit import with_values, write_file
from orderops.config.environment import Environment
from orderops.config.loader import Key, check_text
from orderops.errors import OrderopsError
from orderops.frozen import Frozen, replace
from orderops.infra.workspace import Workspace


class Declaration(Frozen):
    """The workspace of the file as it will be, and the text of the file before and after."""

    workspace: Workspace
    before: str
    after: str

    @property
    def changes(self) -> bool:
        """Whether the file has yet to be written."""
        return self.before != self.after

    def write(self) -> None:
        """Write the file, unless it has the value. Raises OrderopsError if it was edited since it was read."""
        file = self.workspace.file
        now = file.read_bytes().decode("utf-8")
        if now == self.after:
            return
        if now != self.before:
            raise OrderopsError(
                f"{file} changed meanwhile; nothing was written and nothing was changed", "re-run this command"
            )
        write_file(file, self.after)


def declare(workspace: Workspace, values: Mapping[Key, Any]) -> Declaration:
    """Return the file with these values, comments kept; nothing is written.

    Raises UsageError if the file would then have a mistake.
    """
    # As bytes: reading as text would change the ends of lines.
    before = workspace.file.read_bytes().decode("utf-8")
    declared = workspace.environment.model_dump()
    missing = {key: value for key, value in values.items() if _at(declared, key) != value}
    after = with_values(before, missing)
    name = workspace.environment.name
    environment = check_text(workspace.file, after, Environment, name)
    if ("database", "engine_version") not in values:
        # The laptop's version is the one of this machine, where the file names none.
        environment = environment.with_database_version(workspace.environment.database.engine_version)
    changed = replace(workspace, environment=environment)
    # The record of the run names the file that it applies, which is not written yet.
    vars(changed)["file_digest"] = hashlib.sha256(after.encode()).hexdigest()
    return Declaration(changed, before, after)


def _at(document: Mapping[str, Any], key: Key) -> Any:
    found: Any = document
    for part in key:
        found = found[part]
    return found

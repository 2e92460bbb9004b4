"""Compare the images of a release with the schema that the database has now, and refuse one that does not work with it.

What cannot be read is said in one line and refuses nothing: a rollback must not depend on a database that is away.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from orderops.errors import OrderopsError
from orderops.images.recipe import SCHEMA
from orderops.images.resolve import ImageChoice
from orderops.images.schema_range import SchemaRange, range_of
from orderops.infra.workspace import Workspace
from orderops.migrations.ledger.table import History
from orderops.migrations.sql.files import sql_folder
from orderops.operations.restore import ledger_of
from orderops.restore.instances import load_instances
from orderops.runs.run import Run
from orderops.text.lists import joined
from orderops.text.outside import plain
from orderops.ui import console

IGNORE = "--ignore-schema"
SQL = "ORDEROPS_SQL"


def ledger_now(workspace: Workspace) -> Mapping[int, History]:
    """Read the ledger of the primary database, by a task where this machine cannot reach it."""
    if workspace.environment.database.access == "task":
        console.info(f"reading the schema of the database by a task; to release without: {IGNORE}")
    return ledger_of(workspace, load_instances(workspace.aws, workspace.stack).require_primary())


@dataclass
class SchemaCheck:
    """The images that a release brings, by service, against the schema of the environment's database."""

    workspace: Workspace
    choices: Mapping[str, ImageChoice]
    ignored: bool = False
    read_ledger: Callable[[Workspace], Mapping[int, History]] = ledger_now

    def check(self, services: Sequence[str]) -> None:
        """Raise OrderopsError if an image of these services does not work with the schema of now."""
        ranges = {} if self.ignored else self._ranges
        compared = {service: ranges[service] for service in services if service in ranges}
        if not compared:
            return
        try:
            histories = self.read_ledger(self.workspace)
        except OrderopsError as error:
            console.info_folded(f"images are not compared with the database, whose schema cannot be read: {error}")
            return
        applied = [version for version, history in histories.items() if version and history.status]
        if not applied:
            name = self.workspace.environment.name
            console.info_folded(
                f"images are not compared with the database: its ledger names no migration; orderops migrate info "
                f"--env {name}"
            )
            return
        misfits = {service: found for service, found in compared.items() if max(applied) not in found}
        if misfits:
            raise self._refusal(misfits, histories, max(applied))

    def note(self, run: Run, services: Sequence[str]) -> None:
        """Note in the run's record which images were released without the comparison."""
        for service in services if self.ignored else ():
            address = f"ecs-service/{self.workspace.environment.service_name(service)}"
            run.record.note(address=address, action="schema not compared", image=self.choices[service].uri)

    @cached_property
    def _ranges(self) -> dict[str, SchemaRange]:
        """What each image works with; says in one line which images say nothing."""
        return dict(self._read_ranges())

    def _read_ranges(self) -> Iterator[tuple[str, SchemaRange]]:
        known: dict[str, SchemaRange | None] = {}
        for service, choice in self.choices.items():
            if choice.uri not in known:
                known[choice.uri] = self._range(choice)
            if found := known[choice.uri]:
                yield service, found

    def _range(self, choice: ImageChoice) -> SchemaRange | None:
        image = plain(choice.uri)
        try:
            found = range_of(self.workspace.aws, choice, _migrations())
        except OrderopsError as error:
            console.info_folded(f"{image} is not compared with the database: {error}")
            return None
        if found is None:
            console.info_folded(f"{image} is not compared with the database: it has no label {SCHEMA}")
        return found

    def _refusal(
        self, misfits: Mapping[str, SchemaRange], histories: Mapping[int, History], version: int
    ) -> OrderopsError:
        """The error for images that do not work with the schema at this version."""
        env = self.workspace.environment.name
        lines = ["the release would not work with the schema of the database; nothing was changed"]
        images: dict[str, list[str]] = {}
        for service in misfits:
            images.setdefault(self.choices[service].uri, []).append(service)
        hints: list[str] = []
        for uri, services in images.items():
            found = misfits[services[0]]
            lines.append(
                f"{joined(services)}: {plain(uri)} works with {found}, and the database of {env} is at V{version:03}"
            )
            if version < found.oldest:
                hints.append(f"apply the migrations first: orderops migrate apply --to {found.oldest} --env {env}")
                continue
            newest = found.newest or version
            past = min(other for other, history in histories.items() if other > newest and history.status)
            lines.append(_moved_past(past, histories[past]))
            hints += [
                f"roll forward: release an image that works with V{version:03}",
                f"or undo the migration, on a copy first: orderops restore --at latest --env {env}, "
                f"then: orderops migrate undo --to {newest} --env {env}",
            ]
        hints.append(f"or release it nevertheless, on record: {IGNORE}")
        return OrderopsError("\n".join(lines), "\n".join(dict.fromkeys(hints)))


def _moved_past(version: int, history: History) -> str:
    """The migration that an older image does not know."""
    attempt = history.applied or history.latest
    when = (attempt.finished or attempt.started).strftime("%Y-%m-%d %H:%M")
    done = "applied" if history.applied else "begun"
    return f"V{version:03} ({plain(attempt.description)}), {done} {when}Z by {plain(attempt.who)}, is newer"


def _migrations() -> list[Path]:
    """The files that `migrate` would read here, without reading them."""
    given = os.environ.get(SQL)
    folder = sql_folder(Path(given) if given else None)
    return sorted(folder.glob("V*.sql")) if folder.is_dir() else []

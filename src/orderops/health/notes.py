"""What is to be done and makes nothing unhealthy: migrations, tasks older than a secret, an account that drifted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from orderops.database.schema_owner import OWNER
from orderops.drift.report import compare
from orderops.errors import AwsError, OrderopsError
from orderops.frozen import Frozen
from orderops.health.releases import ServiceRelease
from orderops.health.secrets import SecretAge
from orderops.infra.readiness import AppliedMigrations, ReadyAnswer
from orderops.infra.stack import Stack
from orderops.infra.workspace import Workspace
from orderops.migrations.sql.files import read_migrations
from orderops.text.durations import in_words
from orderops.text.lists import counted, joined
from orderops.text.outside import plain

REVIEW = "P3"
"""Priority of what can wait for the weekly review. No alarm has it."""

ROTATED_WITHIN = timedelta(days=2)
"""How long after it is due a password may still be rotated: AWS looks every day, and one day's task may fail."""


class Note(Frozen):
    """Something for the weekly review (P3), and the command for it, without the environment."""

    what: str
    next_command: str

    def to_dict(self, environment: str) -> dict[str, Any]:
        """As JSON, with stable keys."""
        return {"priority": REVIEW, "what": self.what, "next": f"{self.next_command} --env {environment}"}


def outdated_tasks(releases: Iterable[ServiceRelease]) -> Iterator[Note]:
    """Services with tasks that started before a secret got its value of now."""
    for release in releases:
        if release.outdated_tasks:
            secrets = joined([plain(name) for name in release.changed_secrets])
            tasks = counted(release.outdated_tasks, "task")
            what = f"{tasks} of {release.service} started before {secrets} got its value of now"
            yield Note(what, f"orderops service restart {release.service}")


def overdue_passwords(stack: Stack, secrets: Iterable[SecretAge], now: datetime) -> Iterator[Note]:
    """Passwords that AWS should have rotated by itself, and has not."""
    days = stack.environment.database.rotate_days
    if days is None:
        return
    logins = [resource.name for resource in (stack.pointer.login, stack.database.master) if resource]
    since = now - timedelta(days=days) - ROTATED_WITHIN
    for secret in secrets:
        if secret.name in logins and secret.since < since:
            age = in_words(now - secret.since)
            yield Note(f"{plain(secret.name)} is {age} old, and rotated every {days} days", "orderops database rotate")


def pending_migrations(ready: ReadyAnswer | None, folder: Path) -> Iterator[Note]:
    """Migrations of a folder that the database lacks, as far as the service says what it has."""
    if ready is None or ready.migrations is None:
        return
    try:
        versions = sorted(migration.version for migration in read_migrations(folder))
    except OrderopsError as error:
        yield Note(f"the migrations cannot be read: {plain(error.message)}", "orderops migrate info")
        return
    if missing := _missing(versions, ready.migrations):
        yield Note(f"{counted(missing, 'migration')} pending", "orderops migrate rehearsal")


def _missing(versions: Sequence[int], applied: AppliedMigrations) -> int:
    newer = sum(version > applied.version for version in versions)
    # Of the older ones only the number is known; migrations of another folder may make up for some.
    return newer + max(0, len(versions) - newer - applied.applied)


def schema_owners(ready: ReadyAnswer | None) -> Iterator[Note]:
    """A schema, or tables in it, that do not belong to the role that is to own them, as far as the service says it."""
    schema = ready.schema if ready else None
    if schema and not schema.handed_over:
        yield Note("the schema belongs to the user that logs in for migrations", "orderops migrate grant")
    elif schema and schema.others:
        belong = "belongs" if schema.others == 1 else "belong"
        yield Note(f"{counted(schema.others, 'table')} {belong} to another role than {OWNER}", "orderops migrate info")


def green_databases(green: str) -> Iterator[Note]:
    """A green instance beside the database, which waits for its switchover; "" for none."""
    if green:
        what = f"{green} stands beside the database, charged like it, and has not taken its place"
        yield Note(what, "orderops database upgrade --to VERSION --blue-green")


def drifted(workspace: Workspace) -> Iterator[Note]:
    """The resources that are not as the environment file says, but for what it says to ignore.

    It waits for nothing: a comparison that would have to is a note of its own.
    """
    try:
        report = compare(workspace, on_wait=_refuse_to_wait)
    except OrderopsError as error:
        if isinstance(error, AwsError) and error.denied:
            raise
        what = f"the account was not compared with {workspace.environment.name}.toml: {plain(error.message)}"
        yield Note(what, "orderops infra drift")
        return
    addresses = list(dict.fromkeys(drift.address for drift in report.drift))
    if addresses:
        differ = "differs" if len(addresses) == 1 else "differ"
        what = f"{joined(addresses, max_names=3)} {differ} from {workspace.environment.name}.toml"
        yield Note(what, "orderops infra drift")


def _refuse_to_wait(name: str, waits_for: str) -> None:
    if waits_for:
        raise OrderopsError(f"{name} waits for {waits_for}")

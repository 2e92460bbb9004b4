"""The rehearsal gate: in an environment that requires rehearsals, apply needs a matching receipt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from orderops.aws.documents import Bucket
from orderops.errors import OrderopsError, UsageError
from orderops.migrations import migrator
from orderops.migrations.execution.runner import Runner
from orderops.migrations.ledger.status import MigrationStatus
from orderops.migrations.ledger.table import Expected
from orderops.migrations.schema_snapshot import schema_digest
from orderops.migrations.sql.files import Migration
from orderops.rehearsal.gate import DatabaseState, NotRehearsed, expectations, matching_receipt, unrehearsed
from orderops.rehearsal.receipts import Receipt, Receipts, load_receipts
from orderops.text.durations import in_words
from orderops.ui import console

if TYPE_CHECKING:
    from psycopg import Connection

    from orderops.infra.workspace import Workspace
    from orderops.operations.migration_target import MigrationTarget


def settings_of(workspace: Workspace) -> dict[str, Any]:
    """The gate's settings and the environment's receipts, as JSON that a remote job can carry."""
    declared = workspace.environment.migrations
    receipts = load_receipts(Bucket(workspace.aws), workspace.environment.name) if declared.rehearsed else Receipts()
    return {
        "rehearsed": declared.rehearsed,
        "receipt_days": declared.receipt_days,
        "receipts": [receipt.to_dict() for receipt in receipts.readable],
        "unreadable_receipts": [[broken.message, broken.hint] for broken in receipts.unreadable],
    }


def check_reason(without_rehearsal: bool, reason: str | None) -> str:
    """Return the reason to skip the rehearsal; "" if it is not skipped.

    Raises UsageError for --without-rehearsal without --reason, and for the reverse.
    """
    if without_rehearsal and not (reason or "").strip():
        raise UsageError("--without-rehearsal requires a reason, which is recorded", 'pass --reason "WHY"')
    if reason and not without_rehearsal:
        raise UsageError("--reason says why there is no rehearsal", "pass --without-rehearsal as well")
    # The ledger keeps it on one line.
    return " ".join((reason or "").split())


class RehearsalGate:
    """Decides whether pending migrations may be applied to one database."""

    def __init__(self, database: MigrationTarget, reason: str) -> None:
        settings = {} if reason else _settings(database)
        self._options = database.options
        self._reason = reason
        self._required = bool(settings.get("rehearsed"))
        self._days = int(settings.get("receipt_days", 0))
        self._receipts = [Receipt.from_dict(receipt) for receipt in settings.get("receipts", ())]
        self._unreadable = [OrderopsError(*broken) for broken in settings.get("unreadable_receipts", ())]

    def opened(
        self, connection: Connection, wanted: Sequence[MigrationStatus], *, quiet: bool = False
    ) -> dict[int, Expected]:
        """Return what the ledger records as expected for each migration; {} without a gate.

        Raises NotRehearsed if a rehearsal is required and no receipt matches.
        """
        if not wanted or self._reason:
            return unrehearsed(wanted, self._reason)
        if not self._required:
            return {}
        # The digest is read now: a receipt is valid only for the schema that it was made with.
        here = DatabaseState(schema_digest(connection), connection.info.server_version // 10_000, datetime.now(UTC))
        # Before the gate closes: the missing receipt may be one of these.
        for broken in () if quiet else self._unreadable:
            console.info_error("not a receipt: ", broken)
            for line in broken.hint.splitlines():
                console.info(f"    {line}")
        receipt = matching_receipt(self._receipts, wanted, here, max_days=self._days, options=self._options)
        if not quiet:
            age = in_words(receipt.age(here.now))
            console.info(f"rehearsed {age} ago by {receipt.who}: {receipt.verdict}")
        return expectations(receipt, wanted)

    def preview(self, connection: Connection, wanted: Sequence[MigrationStatus]) -> None:
        """Show whether apply would pass the gate."""
        try:
            self.opened(connection, wanted)
        except NotRehearsed as error:
            console.info_error("apply would fail: ", error)

    def apply(
        self, runner: Runner, migrations: Sequence[Migration], *, to: int | None, out_of_order: bool
    ) -> Iterator[MigrationStatus]:
        """Apply pending migrations. Checked again under the lock: the schema may have changed since the question."""
        connection = runner.sessions.work
        wanted = migrator.plan(migrator.overview(connection, migrations), to=to, out_of_order=out_of_order)
        allowed = replace(runner, expected=self.opened(connection, wanted, quiet=True))
        yield from migrator.apply(allowed, migrations, to=to, out_of_order=out_of_order)


def _settings(database: MigrationTarget) -> Mapping[str, Any]:
    """Settings of the environment, or of the remote job that carries them; none for another database."""
    if database.workspace:
        return settings_of(database.workspace)
    return database.job.request.settings if database.job else {}

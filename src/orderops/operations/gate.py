"""The gate of an environment in which only what was rehearsed is applied, before the operator's eyes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from orderops.aws.documents import Bucket
from orderops.errors import UsageError
from orderops.migrations import migrator
from orderops.migrations.execution.runner import Runner
from orderops.migrations.ledger.status import MigrationStatus
from orderops.migrations.ledger.table import Expected
from orderops.migrations.schema_snapshot import schema_digest
from orderops.migrations.sql.files import Migration
from orderops.rehearsal.gate import DatabaseState, NotRehearsed, expectations, matching_receipt, unrehearsed
from orderops.rehearsal.receipts import Receipt, load_receipts
from orderops.text.durations import in_words
from orderops.ui import console

if TYPE_CHECKING:
    from psycopg import Connection

    from orderops.infra.workspace import Workspace
    from orderops.operations.migrate import MigrationTarget


def settings_of(workspace: Workspace) -> dict[str, Any]:
    """What the gate needs to know, where it stands; as an errand takes it along."""
    declared = workspace.environment.migrations
    found = load_receipts(Bucket(workspace.aws), workspace.environment.name) if declared.rehearsed else []
    return {
        "rehearsed": declared.rehearsed,
        "receipt_days": declared.receipt_days,
        "receipts": [receipt.to_dict() for receipt in found],
    }


def check_reason(without: bool, reason: str | None) -> str:
    """The reason to go without a rehearsal; empty where there is to be one. Raises UsageError for half of it."""
    if without and not (reason or "").strip():
        raise UsageError(
            "--without-rehearsal wants its reason, which is put on record", '--reason "why it cannot wait"'
        )
    if reason and not without:
        raise UsageError("--reason is why there is no rehearsal", "say so: --without-rehearsal")
    return " ".join((reason or "").split())


class RehearsalGate:
    """What stands between an operator and the schema of one database."""

    def __init__(self, at: MigrationTarget, reason: str) -> None:
        settings = (
            {} if reason else settings_of(at.workspace) if at.workspace else at.job.request.settings if at.job else {}
        )
        self._words = at.words
        self._reason = reason
        self._stands = bool(settings.get("rehearsed"))
        self._days = int(settings.get("receipt_days", 0))
        self._receipts = [Receipt.from_dict(each) for each in settings.get("receipts", ())]

    def opened(
        self, connection: Connection, wanted: Sequence[MigrationStatus], *, quiet: bool = False
    ) -> dict[int, Expected]:
        """What the ledger is told of each; raises NotRehearsed where there is to be a rehearsal and was none."""
        if not wanted or self._reason:
            return unrehearsed(wanted, self._reason)
        if not self._stands:
            return {}
        here = DatabaseState(schema_digest(connection), connection.info.server_version // 10_000, datetime.now(UTC))
        receipt = matching_receipt(self._receipts, wanted, here, max_days=self._days, options=self._words)
        if not quiet:
            age = in_words(receipt.age(here.now))
            console.info(f"rehearsed {age} ago by {receipt.who}: {receipt.verdict}")
        return expectations(receipt, wanted)

    def foretell(self, connection: Connection, wanted: Sequence[MigrationStatus]) -> None:
        """Say beforehand what it would say."""
        try:
            self.opened(connection, wanted)
        except NotRehearsed as error:
            console.info(f"apply would refuse: {error.message}")

    def apply(
        self, carrier: Runner, migrations: Sequence[Migration], *, to: int | None, out_of_order: bool
    ) -> Iterator[MigrationStatus]:
        """Apply what is pending, once it is asked again under the lock whether it may be."""
        connection = carrier.sessions.work
        wanted = migrator.plan(migrator.overview(connection, migrations), to=to, out_of_order=out_of_order)
        allowed = replace(carrier, expected=self.opened(connection, wanted, quiet=True))
        yield from migrator.apply(allowed, migrations, to=to, out_of_order=out_of_order)

"""The result of a comparison, as data and as JSON documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from orderops.frozen import Frozen
from orderops.restore.compare.merge import Counts, Difference
from orderops.restore.compare.samples import Sample
from orderops.restore.compare.schema_diff import SchemaDifference
from orderops.restore.compare.sequences import Sequence as NumberSequence


class ComparedDatabase(Frozen):
    """One of the two databases, and the time of its snapshot."""

    database: str
    moment: datetime
    server: str
    ledger: int | None
    """The highest version applied, by its ledger; None if the ledger cannot be read."""

    def to_dict(self) -> dict[str, Any]:
        """Return the part of `--json`; its keys are stable."""
        return {
            "database": self.database,
            "moment": self.moment.astimezone(UTC).isoformat(),
            "server": self.server,
            "ledger_version": self.ledger,
        }


@dataclass
class TableComparison:
    """A table that both databases have."""

    name: str
    notes: Sequence[str] = ()
    rows: Counts = field(default_factory=Counts)
    differences: dict[Difference, int] = field(default_factory=lambda: dict.fromkeys(Difference, 0))
    error: str = ""
    """Why it could not be compared; "" if it was."""
    samples: Sequence[Sample] = ()

    @property
    def same(self) -> bool:
        """Whether both have the same rows."""
        return not self.error and not any(self.differences.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the part of `--json`; its keys are stable."""
        return {
            "table": self.name,
            "same": self.same,
            "rows": None if self.error else {"live": self.rows.live, "restored": self.rows.restored},
            # Counts of a table that could not be compared would look like "no differences".
            **{kind.key: None if self.error else count for kind, count in self.differences.items()},
            "refused": self.error or None,
            "notes": list(self.notes),
            "samples": [sample.to_dict() for sample in self.samples],
        }


class UnmatchedTable(Frozen):
    """A table that only one database has."""

    name: str
    rows: int | None
    """None if they cannot be counted."""

    def to_dict(self) -> dict[str, Any]:
        """Return the part of `--json`; its keys are stable."""
        return {"table": self.name, "rows": self.rows}


class Comparison(Frozen):
    """The differences between two databases."""

    live: ComparedDatabase
    restored: ComparedDatabase
    tables: Sequence[TableComparison]
    only_live: Sequence[UnmatchedTable]
    only_restored: Sequence[UnmatchedTable]
    schema: Sequence[SchemaDifference]
    sequences: Sequence[NumberSequence]
    notes: Sequence[str]
    """What could not be compared, other than tables."""
    all_tables: bool = True
    """Whether all tables were compared, not only named ones."""

    @property
    def same(self) -> bool:
        """Whether everything was compared and nothing differs."""
        return not (
            any(not table.same for table in self.tables)
            or self.only_live
            or self.only_restored
            or self.schema
            or any(not sequence.in_order for sequence in self.sequences)
            or self.notes
            or self.live.ledger != self.restored.ledger
        )

    def rows(self, kind: Difference) -> int:
        """Count the rows that differ in this way, including tables that only one database has."""
        return self.rows_in_both(kind) + sum(table.rows or 0 for table in self.unmatched(kind))

    def rows_in_both(self, kind: Difference) -> int:
        """Count the rows that differ in this way, in tables that both databases have."""
        return sum(table.differences[kind] for table in self.tables)

    def unmatched(self, kind: Difference) -> Sequence[UnmatchedTable]:
        """Return the tables that only one database has: all their rows differ in this way."""
        return {Difference.ONLY_LIVE: self.only_live, Difference.ONLY_RESTORED: self.only_restored}.get(kind, ())

    def to_dict(self) -> dict[str, Any]:
        """Return the part of `--json`; its keys are stable."""
        return {
            "same": self.same,
            "live": self.live.to_dict(),
            "restored": self.restored.to_dict(),
            "rows": {kind.key: self.rows(kind) for kind in Difference},
            "tables": [table.to_dict() for table in self.tables],
            "tables_only_in_live": [table.to_dict() for table in self.only_live],
            "tables_only_in_restored": [table.to_dict() for table in self.only_restored],
            "schema": [difference.to_dict() for difference in self.schema],
            "sequences": [sequence.to_dict() for sequence in self.sequences if not sequence.in_order],
            "notes": list(self.notes),
            "whole": self.all_tables,
        }

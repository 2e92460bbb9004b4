"""What a comparison found, in the words of the terminal and of machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from orderops.restore.compare.merge import Counts, Difference
from orderops.restore.compare.samples import Sample
from orderops.restore.compare.schema_diff import SchemaDifference
from orderops.restore.compare.sequences import Sequence as NumberSequence


@dataclass(frozen=True)
class Seen:
    """One of the two databases, and the moment at which it was looked at."""

    database: str
    moment: datetime
    server: str
    ledger: int | None
    """The highest version that its ledger says is applied; none where it cannot be read."""

    def to_dict(self) -> dict[str, Any]:
        """The same for machines; keys stay as they are."""
        return {
            "database": self.database,
            "moment": self.moment.astimezone(UTC).isoformat(),
            "server": self.server,
            "ledger_version": self.ledger,
        }


@dataclass
class Compared:
    """One table of both."""

    name: str
    notes: Sequence[str] = ()
    rows: Counts = field(default_factory=Counts)
    unequal: dict[Difference, int] = field(default_factory=lambda: dict.fromkeys(Difference, 0))
    refused: str = ""
    """Why it could not be compared."""
    samples: Sequence[Sample] = ()

    @property
    def same(self) -> bool:
        """Whether every row of the one is a row of the other."""
        return not self.refused and not any(self.unequal.values())

    def to_dict(self) -> dict[str, Any]:
        """The same for machines; keys stay as they are."""
        return {
            "table": self.name,
            "same": self.same,
            "rows": None if self.refused else {"live": self.rows.live, "restored": self.rows.restored},
            **{kind.key: None if self.refused else count for kind, count in self.unequal.items()},
            "refused": self.refused or None,
            "notes": list(self.notes),
            "samples": [each.to_dict() for each in self.samples],
        }


@dataclass(frozen=True)
class Single:
    """A table that one side has and the other has not."""

    name: str
    rows: int | None
    """None where they cannot be counted."""

    def to_dict(self) -> dict[str, Any]:
        """The same for machines; keys stay as they are."""
        return {"table": self.name, "rows": self.rows}


@dataclass(frozen=True)
class Comparison:
    """Two databases, side by side."""

    live: Seen
    restored: Seen
    tables: Sequence[Compared]
    only_live: Sequence[Single]
    only_restored: Sequence[Single]
    unlike: Sequence[SchemaDifference]
    sequences: Sequence[NumberSequence]
    notes: Sequence[str]
    """What could not be seen, beside tables."""
    whole: bool = True
    """Whether every table was looked at."""

    @property
    def same(self) -> bool:
        """Whether nothing was found that is not the same, and everything was seen."""
        return not (
            [each for each in self.tables if not each.same]
            or self.only_live
            or self.only_restored
            or self.unlike
            or [each for each in self.sequences if not each.fine]
            or self.notes
            or self.live.ledger != self.restored.ledger
        )

    def rows(self, kind: Difference) -> int:
        """How many rows are unequal in this way, those of tables that one side has not among them."""
        return self.rows_in_both(kind) + sum(each.rows or 0 for each in self.singles(kind))

    def rows_in_both(self, kind: Difference) -> int:
        """The same, in tables that both have."""
        return sum(each.unequal[kind] for each in self.tables)

    def singles(self, kind: Difference) -> Sequence[Single]:
        """The tables of which every row is unequal in this way."""
        return {Difference.ONLY_LIVE: self.only_live, Difference.ONLY_RESTORED: self.only_restored}.get(kind, ())

    def to_dict(self) -> dict[str, Any]:
        """The same for machines; keys stay as they are."""
        return {
            "same": self.same,
            "live": self.live.to_dict(),
            "restored": self.restored.to_dict(),
            "rows": {kind.key: self.rows(kind) for kind in Difference},
            "tables": [each.to_dict() for each in self.tables],
            "tables_only_in_live": [each.to_dict() for each in self.only_live],
            "tables_only_in_restored": [each.to_dict() for each in self.only_restored],
            "schema": [each.to_dict() for each in self.unlike],
            "sequences": [each.to_dict() for each in self.sequences if not each.fine],
            "notes": list(self.notes),
            "whole": self.whole,
        }

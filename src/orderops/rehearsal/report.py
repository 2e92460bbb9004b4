"""What a rehearsal found, as values that are written as JSON and read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from orderops.aws.validation import Malformed, validated
from orderops.errors import OrderopsError

# Incremented when an older orderops could no longer read what is written.
FORM = 1


class Impact(StrEnum):
    """What a migration does to the running system, worst last."""

    SAFE = "SAFE"
    UNSEEN = "UNSEEN"
    BLOCKS = "BLOCKS"
    STOPS = "STOPS"
    BREAKS = "BREAKS"
    FAILS = "FAILS"

    @property
    def badness(self) -> int:
        """Its rank, from 0 for SAFE."""
        return list(Impact).index(self)


@dataclass(frozen=True)
class Verdict:
    """One sentence, and the figure behind it."""

    impact: Impact
    sentence: str
    """Such as "SAFE: no query waits more than 50 ms"."""
    seconds: float = 0.0
    """The longest wait of a query."""

    @property
    def holds_up(self) -> bool:
        """Whether queries wait or fail, as far as is known: locks without coverage count as well."""
        return self.impact is not Impact.SAFE


@dataclass(frozen=True)
class Stall:
    """The longest wait of one query group."""

    family: str
    seconds: float
    line: int = 0
    """Line of the statement that caused the wait."""
    for_lock: bool = True
    """Whether it was seen waiting for a lock; otherwise the machine was busy."""


@dataclass(frozen=True)
class HeldLock:
    """The strongest lock that a statement took on a table, and for how long."""

    relation: str
    mode: str
    seconds: float


@dataclass(frozen=True)
class StatementReport:
    """One statement of a file."""

    line: int
    begins: str
    """Its first words."""
    seconds: float
    locks: tuple[HeldLock, ...] = ()
    rewritten: tuple[str, ...] = ()
    """Tables and indexes that were rewritten."""
    wal_bytes: int = 0
    """Without the WAL of the load, estimated from its rate before the migration."""
    growth_bytes: int = 0
    """Growth of the tables and indexes that it touched."""
    stalls: tuple[Stall, ...] = ()
    """Of each query group that waited."""
    tries: int = 1
    """How often its locks were requested."""
    began: datetime | None = None
    """When its first try began, to find it in the server's log."""


@dataclass(frozen=True)
class BrokenQuery:
    """A query of the running service that no longer works."""

    query: str
    error: str


@dataclass(frozen=True)
class UndoReport:
    """Result of an undo."""

    seconds: float = 0.0
    lost: tuple[str, ...] = ()
    """Non-empty tables and columns that it drops."""
    differences: tuple[str, ...] = ()
    """Schema lines that differ from before: - is missing, + is left over."""
    stalls: tuple[Stall, ...] = ()
    failed: str = ""
    """Why it did not finish or was not tried; "" if it did."""

    @property
    def proven(self) -> bool:
        """Whether it restored the schema."""
        return not self.failed and not self.differences


@dataclass(frozen=True)
class WorstCase:
    """The migration applied again, while a session that used its tables keeps its transaction open."""

    held: float = 0.0
    """Seconds that the transaction stayed open; 0 if the migration touches no existing table."""
    seconds: float = 0.0
    """Seconds from its start until it was done."""
    after: float = 0.0
    """Seconds from the end of that transaction until it was done."""
    stalls: tuple[Stall, ...] = ()
    failed: str = ""
    """Why it did not finish or was not tried; "" if it did."""


@dataclass(frozen=True)
class MigrationReport:
    """What the rehearsal found about one migration."""

    version: int
    description: str
    file: str
    checksum: str
    undo_checksum: str
    verdict: Verdict
    schema_after: str = ""
    """Digest of the schema after it."""
    seconds: float = 0.0
    """How long it took, which the gate records as the prediction."""
    statements: tuple[StatementReport, ...] = ()
    broken: tuple[BrokenQuery, ...] = ()
    failed: str = ""
    """Why it could not be applied or was not tried; "" if it was."""
    advice: str = ""
    """A safer way to write it, as SQL and comments."""
    undo: UndoReport | None = None
    worst_case: WorstCase | None = None


@dataclass(frozen=True)
class QueryGroupReport:
    """A query group that ran throughout, and how it performed without a migration."""

    name: str
    text: str
    rate: float
    """Queries a second."""
    calm_worst: float
    """Seconds that its slowest query took without a migration."""
    origin: str
    """Where it comes from: canaries.sql, or derived for a table that is touched."""


@dataclass(frozen=True)
class Report:
    """A whole rehearsal."""

    started: datetime
    seconds: float
    tool_version: str
    server_version: str
    schema_before: str
    """Digest of the schema before the migrations."""
    schema_after: str
    """Digest of the schema after them."""
    verdict: Verdict
    migrations: tuple[MigrationReport, ...] = ()
    families: tuple[QueryGroupReport, ...] = ()
    dump: str = ""
    """pg_dump before and after all undos: "same", "differs", or why there is none; "" if not all were undone."""
    notes: tuple[str, ...] = ()
    """What could not be measured, and why."""

    @property
    def server_major(self) -> int:
        """The major version of the server."""
        return int(self.server_version.split(".")[0].split(" ")[0])

    @property
    def file_to_fix(self) -> str:
        """The file that has to be fixed before it is applied; "" if there is none."""
        if self.verdict.impact not in (Impact.BREAKS, Impact.FAILS):
            return ""
        return next(
            (migration.file for migration in self.migrations if migration.verdict.impact is self.verdict.impact), ""
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with stable keys."""
        return {"form": FORM, **_to_json(asdict(self))}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Report:
        """Read what `to_dict` wrote. Raises OrderopsError for anything else."""
        hint = "rehearse again: orderops migrate rehearsal"
        if document.get("form") != FORM:
            raise OrderopsError(
                f"this report has form {str(document.get('form'))[:20]}; this orderops reads form {FORM}", hint
            )
        try:
            report = validated(document, cls)
            # A report without it is of no use to the gate.
            _ = report.server_major
        except (Malformed, ValueError) as error:
            raise OrderopsError(f"the rehearsal report {error}", hint) from None
        return report


def _to_json(value: Any) -> Any:
    match value:
        case dict():
            return {key: _to_json(item) for key, item in value.items()}
        case tuple() | list():
            return [_to_json(item) for item in value]
        case datetime():
            return value.astimezone(UTC).isoformat()
        case StrEnum():
            return value.value
        case float():
            return round(value, 4)
    return value

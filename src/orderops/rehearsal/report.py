"""What a rehearsal found out, as values that can be written down as JSON and read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from orderops.errors import OrderopsError

FORM = 1
"""Counted up when what is written down could no longer be read by what was there before."""


class Impact(StrEnum):
    """What a migration does to the running system, the worst last."""

    SAFE = "SAFE"
    UNSEEN = "UNSEEN"
    BLOCKS = "BLOCKS"
    STOPS = "STOPS"
    BREAKS = "BREAKS"
    FAILS = "FAILS"

    @property
    def badness(self) -> int:
        """Its place among them."""
        return list(Impact).index(self)


@dataclass(frozen=True)
class Verdict:
    """One sentence, and what it stands on."""

    impact: Impact
    sentence: str
    """As SAFE: nobody waits more than 50 ms."""
    seconds: float = 0.0
    """How long the one waited who waited longest."""

    @property
    def holds_up(self) -> bool:
        """Whether anybody is held up or turned away, as far as is known: what was not seen counts too."""
        return self.impact is not Impact.SAFE


@dataclass(frozen=True)
class Stall:
    """The longest that one family of queries waited."""

    family: str
    seconds: float
    line: int = 0
    """Of the statement at which the wait began."""
    for_lock: bool = True
    """Whether it was seen to wait for a lock; else the machine was busy."""


@dataclass(frozen=True)
class HeldLock:
    """The strongest lock that a statement took on a table, and for how long it was held."""

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
    """Tables and indexes that were written anew."""
    wal_bytes: int = 0
    """Without what the queries beside it wrote, as far as their calm rate tells."""
    growth_bytes: int = 0
    """By which the tables and indexes grew that it touched."""
    stalls: tuple[Stall, ...] = ()
    """Of each family that waited longer than it does in calm."""
    tries: int = 1
    """How often its locks were asked for."""
    began: datetime | None = None
    """When its first try did, to be looked up in what the copy tells of itself."""


@dataclass(frozen=True)
class BrokenQuery:
    """A query of the running service that no longer works."""

    query: str
    error: str


@dataclass(frozen=True)
class UndoReport:
    """How the way back went."""

    seconds: float = 0.0
    lost: tuple[str, ...] = ()
    """What it takes away that holds something."""
    differences: tuple[str, ...] = ()
    """What of the schema is not as it was: - is missing, + is left over."""
    stalls: tuple[Stall, ...] = ()
    failed: str = ""
    """Why it did not get to its end, or was not tried."""

    @property
    def proven(self) -> bool:
        """Whether it brought the schema back."""
        return not self.failed and not self.differences


@dataclass(frozen=True)
class WorstCase:
    """The same migration once more, while a session that used its tables leaves its transaction open."""

    held: float = 0.0
    """Seconds that the transaction stayed open; 0 where the migration touches nothing that is there before."""
    seconds: float = 0.0
    """From its beginning until it was done."""
    after: float = 0.0
    """From the end of that transaction until it was done."""
    stalls: tuple[Stall, ...] = ()
    failed: str = ""
    """Why it did not get to its end, or was not tried."""


@dataclass(frozen=True)
class MigrationReport:
    """One migration."""

    version: int
    description: str
    file: str
    checksum: str
    undo_checksum: str
    verdict: Verdict
    schema_after: str = ""
    """The digest of the schema once it is applied; the next one meets that."""
    seconds: float = 0.0
    """What it took, and so what is to be expected."""
    statements: tuple[StatementReport, ...] = ()
    broken: tuple[BrokenQuery, ...] = ()
    failed: str = ""
    """Why it could not be applied, or was not tried."""
    advice: str = ""
    """The safe way to write it, as SQL and comments."""
    undo: UndoReport | None = None
    worst_case: WorstCase | None = None


@dataclass(frozen=True)
class QueryGroupReport:
    """Queries that went on all the time, and how they fared while nothing was done."""

    name: str
    text: str
    rate: float
    """A second."""
    calm_worst: float
    """Seconds that the slowest took."""
    origin: str
    """Where it comes from: canaries.sql, or made for a table that is touched."""


@dataclass(frozen=True)
class Report:
    """A whole rehearsal."""

    started: datetime
    seconds: float
    tool_version: str
    server_version: str
    schema_before: str
    """The digest of the schema that the migrations met."""
    schema_after: str
    """The digest of what they make of it."""
    verdict: Verdict
    migrations: tuple[MigrationReport, ...] = ()
    families: tuple[QueryGroupReport, ...] = ()
    dump: str = ""
    """What a schema dump before and after all undos said: same, differs, or why there is none; nothing without them."""
    notes: tuple[str, ...] = ()
    """What could not be measured, and why."""

    @property
    def server_major(self) -> int:
        """The major version of the server."""
        return int(self.server_version.split(".")[0].split(" ")[0])

    @property
    def to_mend(self) -> str:
        """The file that must not be applied as it is; nothing where there is none."""
        if self.verdict.impact not in (Impact.BREAKS, Impact.FAILS):
            return ""
        return next(
            (migration.file for migration in self.migrations if migration.verdict.impact is self.verdict.impact), ""
        )

    def to_dict(self) -> dict[str, Any]:
        """For machines; keys stay as they are."""
        return {"form": FORM, **_written(asdict(self))}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Report:
        """Read what `told` wrote; raises OrderopsError for anything else."""
        if told.get("form") != FORM:
            raise OrderopsError(
                f"this report is of form {told.get('form')!r}, and form {FORM} is what this orderops reads",
                "rehearse again: orderops migrate rehearsal",
            )
        try:
            report = _read(cls, told)
        except (KeyError, TypeError, ValueError) as error:
            raise OrderopsError(
                f"this is no whole report of a rehearsal: {error}", "rehearse again: orderops migrate rehearsal"
            ) from None
        assert isinstance(report, cls)
        return report


def _written(value: Any) -> Any:
    match value:
        case dict():
            return {key: _written(each) for key, each in value.items()}
        case tuple() | list():
            return [_written(each) for each in value]
        case datetime():
            return value.astimezone(UTC).isoformat()
        case StrEnum():
            return value.value
        case float():
            return round(value, 4)
    return value


def _read(kind: Any, value: Any) -> Any:
    """A value of a kind, from what JSON can hold."""
    if is_dataclass(kind):
        kinds = get_type_hints(kind)
        given = {item.name: _read(kinds[item.name], value[item.name]) for item in fields(kind) if item.name in value}
        return kind(**given)  # type: ignore[operator]  # a class, and not one of its values
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise TypeError(f"{value!r} is no list")
        return tuple(_read(get_args(kind)[0], each) for each in value)
    if isinstance(kind, UnionType):
        return None if value is None else _read(next(arg for arg in get_args(kind) if arg is not NoneType), value)
    if kind is datetime:
        return datetime.fromisoformat(value)
    if kind is float and isinstance(value, int):
        return float(value)
    if not isinstance(value, str if issubclass(kind, StrEnum) else kind):
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return kind(value)

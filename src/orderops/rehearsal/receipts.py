"""Receipts: which files were rehearsed on which schema, stored in the account's bucket.

A receipt is the whole report. The gate reads from it the checksums of the files, the schema digests between them, and
whether any failed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from orderops.aws.documents import BrokenDocument, Bucket, Document
from orderops.aws.validation import Malformed, Time, validated
from orderops.errors import OrderopsError
from orderops.rehearsal.report import Report

# Only the newest are read: one request migration, and an older one would be too old for the gate anyway.
MAX_RECEIPTS = 20


@dataclass(frozen=True)
class RehearsedMigration:
    """One migration of a receipt: checksums of its files, its duration, and the schema digests before and after."""

    version: int
    checksum: str
    undo_checksum: str
    seconds: float
    before: str
    after: str
    failed: bool


@dataclass(frozen=True)
class CopyShape:
    """What the gate uses of the description of the copy that was rehearsed on."""

    as_of: Time | None = None


@dataclass(frozen=True)
class ReceiptShape:
    """The document of a receipt, to validate it with; the report validates itself."""

    who: str
    ended: Time
    report: dict[str, Any]
    copy: CopyShape = CopyShape()


@dataclass(frozen=True)
class Receipt:
    """What the gate needs to know about a rehearsal."""

    key: str
    ended: datetime
    who: str
    major: int
    verdict: str
    migrations: Sequence[RehearsedMigration]

    @property
    def schema(self) -> str:
        """Digest of the schema before the first migration."""
        return self.migrations[0].before if self.migrations else ""

    @property
    def name(self) -> str:
        """Its name in messages and in the ledger."""
        return self.key.rpartition("/")[2].removesuffix(".json")

    def age(self, now: datetime) -> timedelta:
        """Time since the rehearsal ended."""
        return now - self.ended

    def to_dict(self) -> dict[str, Any]:
        """As JSON, for a remote job."""
        return {**asdict(self), "ended": self.ended.isoformat()}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Receipt:
        """Read what `to_dict` wrote; raises OrderopsError for anything else."""
        try:
            return validated(document, cls)
        except Malformed as error:
            raise OrderopsError(f"the receipt of this job {error}", "re-run this command") from None


@dataclass(frozen=True)
class Receipts:
    """The latest receipts, newest first, and the documents among them that are no receipt: these open no gate."""

    readable: Sequence[Receipt] = ()
    unreadable: Sequence[BrokenDocument] = ()


def save_receipt(bucket: Bucket, environment: str, report: Report, *, who: str, copy: Mapping[str, Any]) -> Receipt:
    """Store a report where the gate finds it."""
    ended = report.started + timedelta(seconds=report.seconds)
    key = f"{prefix_of(environment)}{ended.astimezone(UTC):%Y-%m-%dT%H%M%SZ}-{report.schema_before[:8]}.json"
    value = {"who": who, "ended": ended.isoformat(), "copy": dict(copy), "report": report.to_dict()}
    bucket.put(key, value)
    return receipt_of(key, validated(value, ReceiptShape))


def load_receipts(bucket: Bucket, environment: str) -> Receipts:
    """The latest receipts, and the broken documents among them."""
    readable: list[Receipt] = []
    unreadable: list[BrokenDocument] = []
    for key in reversed(bucket.keys(prefix_of(environment))[-MAX_RECEIPTS:]):
        try:
            if document := bucket.read(key):
                readable.append(_receipt_in(key, document))
        except BrokenDocument as error:
            unreadable.append(error)
    return Receipts(readable, unreadable)


def _receipt_in(key: str, document: Document) -> Receipt:
    shape = document.parsed(ReceiptShape)
    try:
        return receipt_of(key, shape)
    except (OrderopsError, ValueError, OverflowError) as error:
        raise BrokenDocument(document.uri, f"holds no rehearsal: {error}") from None


def receipt_of(key: str, shape: ReceiptShape) -> Receipt:
    """Read a receipt from its document; `key` is its S3 key. Raises OrderopsError or ValueError for any other."""
    report = Report.from_dict(shape.report)
    befores = [report.schema_before, *(migration.schema_after for migration in report.migrations)]
    migrations = [
        RehearsedMigration(
            migration.version,
            migration.checksum,
            migration.undo_checksum,
            migration.seconds,
            before,
            migration.schema_after,
            bool(migration.failed),
        )
        for before, migration in zip(befores, report.migrations, strict=False)
    ]
    ended = datetime.fromisoformat(shape.ended)
    if shape.copy.as_of:
        # A rehearsal on an old copy proves nothing about newer data.
        ended = min(ended, datetime.fromisoformat(shape.copy.as_of))
    return Receipt(key, ended, shape.who, report.server_major, report.verdict.sentence, migrations)


def prefix_of(environment: str) -> str:
    """S3 prefix of an environment's receipts."""
    return f"{environment}/rehearsals/"

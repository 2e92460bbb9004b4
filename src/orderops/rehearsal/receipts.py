"""Receipts: what was rehearsed on a copy of which schema, kept in the account's bucket.

A receipt is the whole report; of it the gate reads which files it is about, in which states of the schema they were
seen, and what was found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from orderops.aws.documents import Bucket
from orderops.errors import AwsError, OrderopsError
from orderops.rehearsal.report import Report

READ = 20
"""How many of the latest receipts are looked at."""


@dataclass(frozen=True)
class RehearsedMigration:
    """One migration of a receipt: its files, what it takes, and the schema before it and after it."""

    version: int
    checksum: str
    undo_checksum: str
    seconds: float
    before: str
    after: str
    failed: bool


@dataclass(frozen=True)
class Receipt:
    """What the gate needs to know of a rehearsal."""

    key: str
    ended: datetime
    who: str
    major: int
    verdict: str
    migrations: Sequence[RehearsedMigration]

    @property
    def schema(self) -> str:
        """The digest of the schema that the first migration met."""
        return self.migrations[0].before if self.migrations else ""

    @property
    def name(self) -> str:
        """How it is called where it is used."""
        return self.key.rpartition("/")[2].removesuffix(".json")

    def age(self, now: datetime) -> timedelta:
        """How long ago it was made."""
        return now - self.ended

    def to_dict(self) -> dict[str, Any]:
        """As an errand takes it along."""
        return {**asdict(self), "ended": self.ended.isoformat()}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Receipt:
        """What `told` wrote."""
        migrations = [RehearsedMigration(**migration) for migration in told["migrations"]]
        return cls(**{**told, "ended": datetime.fromisoformat(told["ended"]), "migrations": migrations})


def keep(bucket: Bucket, environment: str, report: Report, *, who: str, copy: Mapping[str, Any]) -> Receipt:
    """Put a report where the gate finds it."""
    ended = report.started + timedelta(seconds=report.seconds)
    key = f"{prefix_of(environment)}{ended.astimezone(UTC):%Y-%m-%dT%H%M%SZ}-{report.schema_before[:8]}.json"
    value = {"who": who, "ended": ended.isoformat(), "copy": dict(copy), "report": report.to_dict()}
    bucket.put(key, value)
    return receipt_of(key, value)


def receipts(bucket: Bucket, environment: str) -> list[Receipt]:
    """The latest, newest first; one of another form is left out, since nobody can say what it holds."""
    found: list[Receipt] = []
    for key in reversed(bucket.keys(prefix_of(environment))[-READ:]):
        try:
            if document := bucket.read(key):
                found.append(receipt_of(key, document.value))
        except AwsError:
            raise
        except (OrderopsError, AttributeError, KeyError, TypeError, ValueError):
            continue
    return found


def receipt_of(key: str, value: Mapping[str, Any]) -> Receipt:
    """Read a document of the bucket."""
    report = Report.from_dict(value["report"])
    befores = [report.schema_before, *(migration.schema_after for migration in report.migrations)]
    migrations = [
        RehearsedMigration(
            each.version,
            each.checksum,
            each.undo_checksum,
            each.seconds,
            before,
            each.schema_after,
            bool(each.failed),
        )
        for before, each in zip(befores, report.migrations, strict=False)
    ]
    ended = datetime.fromisoformat(value["ended"])
    if as_of := (value.get("copy") or {}).get("as_of"):
        ended = min(ended, datetime.fromisoformat(as_of))  # what was seen is as old as its data
    return Receipt(key, ended, value["who"], report.server_major, report.verdict.sentence, migrations)


def prefix_of(environment: str) -> str:
    """Where the receipts of an environment lie."""
    return f"{environment}/rehearsals/"

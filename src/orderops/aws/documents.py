"""The account's own bucket: small JSON documents, written whole and under a condition, read by S3's own clock."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Any

from orderops.aws.client import Aws, every
from orderops.aws.ownership import to_pairs
from orderops.errors import AwsError, Meaning, OrderopsError

PURPOSE = {"orderops:purpose": "lease, record and receipts of every environment in this account and region"}
OVERTAKEN = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey")
MISSING = ("NoSuchKey", "NoSuchBucket")
PATIENCE = 60.0
"""Seconds in which a bucket just made must be seen, and a write whose answers are lost must be there."""


@dataclass(frozen=True)
class Document:
    """A document as it was read or written; `version` changes with every write."""

    key: str
    value: dict[str, Any]
    version: str
    written: datetime
    age: timedelta = timedelta()
    """How long ago it was written when it was read, both by the clock of S3."""


class Overtaken(OrderopsError):
    """The document is no longer the one that was to be replaced: somebody else wrote it."""


class Bucket:
    """The documents of one account and region; the bucket is made by the first write."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self.name = f"orderops-{aws.account}-{aws.region}"
        self._where = {"Bucket": self.name, "ExpectedBucketOwner": aws.account}  # never a stranger's of this name

    def read(self, key: str) -> Document | None:
        """A document, or None when there is none."""
        try:
            raw = self._aws.s3.get_object(**self._where, Key=key)
        except AwsError as error:
            if error.code in MISSING:
                return None
            raise
        written: datetime = raw["LastModified"]
        return Document(key, json.loads(raw["Body"].read()), raw["ETag"], written, _date(raw) - written)

    def write(self, key: str, value: Mapping[str, Any], *, over: Document | None) -> Document:
        """Write a document that is not there yet, or in the place of just this one; raises Overtaken."""
        condition = {"IfMatch": over.version} if over else {"IfNoneMatch": "*"}
        body = json.dumps(value, default=str).encode()
        until = monotonic() + PATIENCE
        while True:
            try:
                raw = self._put(key, body, condition)
                return Document(key, json.loads(body), raw["ETag"], _date(raw))
            except AwsError as error:
                lost = error.meaning is Meaning.LOST
                if not (lost or error.code in OVERTAKEN):
                    raise
                found = self.read(key)
                if found and found.value == json.loads(body):  # written by a call whose answer was lost
                    return found
                as_before = (found and found.version) == (over and over.version)
                if not (lost and as_before):
                    raise Overtaken(f"{key} was written by somebody else meanwhile") from None
                if monotonic() > until:
                    raise
                if found is None:  # perhaps what was lost said that there is no bucket
                    self._make()

    def put(self, key: str, value: Mapping[str, Any]) -> None:
        """Write a document that nobody else writes; done twice, it is the same."""
        self._put(key, json.dumps(value, default=str).encode(), {})

    def remove(self, key: str) -> None:
        """Take a document away; one that is not there is no matter."""
        self._aws.s3.delete_object(**self._where, Key=key)

    def link(self, operation: str, key: str, *, seconds: int) -> str:
        """The signed address under which a document can be read (`get_object`) or written (`put_object`) for a while.

        It says no owner: that would be a header, which whoever uses the address would have to send along.
        """
        return self._aws.presigned(operation, seconds=seconds, Bucket=self.name, Key=key)

    def keys(self, prefix: str) -> list[str]:
        """The keys that begin so, in order; none while there is no bucket."""
        try:
            return [raw["Key"] for raw in every(self._aws.s3.list_objects_v2, "Contents", **self._where, Prefix=prefix)]
        except AwsError as error:
            if error.code in MISSING:
                return []
            raise

    def _put(self, key: str, body: bytes, condition: Mapping[str, str]) -> Any:
        until = monotonic() + PATIENCE
        while True:
            try:
                return self._aws.s3.put_object(
                    **self._where, **condition, Key=key, Body=body, ContentType="application/json"
                )
            except AwsError as error:
                if error.code != "NoSuchBucket" or monotonic() > until:
                    raise
            self._make()

    def _make(self) -> None:
        home = {} if self._aws.region == "us-east-1" else {"LocationConstraint": self._aws.region}
        try:
            self._aws.s3.create_bucket(Bucket=self.name, CreateBucketConfiguration={**home, "Tags": to_pairs(PURPOSE)})
        except AwsError as error:
            if error.code not in ("BucketAlreadyOwnedByYou", "OperationAborted") and error.meaning is Meaning.NO:
                raise


def _date(raw: Mapping[str, Any]) -> datetime:
    """The time of S3; of this machine where something on the way took that header away."""
    told = raw["ResponseMetadata"]["HTTPHeaders"].get("date")
    return parsedate_to_datetime(told) if told else datetime.now(UTC)

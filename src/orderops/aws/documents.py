"""Small JSON documents in the account's own bucket: conditional writes, ages by S3's clock."""

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
# S3 answers NoSuchKey to a conditional write if the document was deleted meanwhile.
CHANGED_CODES = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey")
MISSING_CODES = ("NoSuchKey", "NoSuchBucket")
# Twice the 30 s that AWS's reads may lag: until then a new bucket may be missing, and so may a document whose write
# was not confirmed.
RETRY_SECONDS = 60.0


@dataclass(frozen=True)
class Document:
    """A document as read or written; every write changes `version`."""

    key: str
    value: dict[str, Any]
    version: str
    written: datetime
    age: timedelta = timedelta()
    """Time since the last write when it was read, both by S3's clock."""


class DocumentChanged(OrderopsError):
    """Another client wrote the document first."""


class Bucket:
    """The documents of one account and region. The first write creates the bucket."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self.name = f"orderops-{aws.account}-{aws.region}"
        # With the owner, S3 rejects calls if another account took the name first.
        self._location = {"Bucket": self.name, "ExpectedBucketOwner": aws.account}

    def read(self, key: str) -> Document | None:
        """Return a document, or None if there is none."""
        try:
            response = self._aws.s3.get_object(**self._location, Key=key)
        except AwsError as error:
            if error.code in MISSING_CODES:
                return None
            raise
        try:
            value, version, written = json.loads(response["Body"]), response["ETag"], response["LastModified"]
        except (KeyError, ValueError):  # a proxy's page, or an object of other contents
            raise OrderopsError(
                f"s3://{self.name}/{key} is not a JSON document",
                f"check the network and AWS_ENDPOINT_URL; show the object: aws s3 cp s3://{self.name}/{key} -",
            ) from None
        return Document(key, value, version, written, _time_of(response) - written)

    def write(self, key: str, value: Mapping[str, Any], *, over: Document | None) -> Document:
        """Replace the document `over`, or create it; raises DocumentChanged if another client was first."""
        body = json.dumps(value, default=str).encode()
        deadline = monotonic() + RETRY_SECONDS
        while True:
            try:
                response = self._put(key, body, {"IfMatch": over.version} if over else {"IfNoneMatch": "*"})
                return Document(key, json.loads(body), response["ETag"], _time_of(response))
            except AwsError as error:
                lost = error.meaning is Meaning.LOST
                if not (lost or error.code in CHANGED_CODES):
                    raise
                current = self.read(key)
                # A write whose response was lost took effect. botocore's own second attempt then finds it changed.
                if current and current.value == json.loads(body):
                    return current
                unchanged = (current and current.version) == (over and over.version)
                if not (lost and unchanged):
                    raise DocumentChanged(f"another client wrote {key} meanwhile") from None
                if monotonic() > deadline:
                    raise
                # The lost response may have said that the bucket does not exist.
                if current is None:
                    self._create()

    def put(self, key: str, value: Mapping[str, Any]) -> None:
        """Write a document that no other client writes. Repeating it is harmless."""
        self._put(key, json.dumps(value, default=str).encode(), {})

    def remove(self, key: str) -> None:
        """Delete a document, if it exists."""
        self._aws.s3.delete_object(**self._location, Key=key)

    def link(self, operation: str, key: str, *, seconds: int) -> str:
        """Return a signed URL that reads (`get_object`) or writes (`put_object`) a document for some time."""
        # Without the expected owner: that is a header, which every user of the URL would have to send.
        return self._aws.presigned(operation, seconds=seconds, Bucket=self.name, Key=key)

    def keys(self, prefix: str) -> list[str]:
        """Return the keys with a prefix in order; [] while there is no bucket."""
        try:
            objects = every(self._aws.s3.list_objects_v2, "Contents", **self._location, Prefix=prefix)
            return [document["Key"] for document in objects]
        except AwsError as error:
            if error.code in MISSING_CODES:
                return []
            raise

    def _put(self, key: str, body: bytes, condition: Mapping[str, str]) -> Any:
        deadline = monotonic() + RETRY_SECONDS
        while True:
            try:
                return self._aws.s3.put_object(
                    **self._location, **condition, Key=key, Body=body, ContentType="application/json"
                )
            except AwsError as error:
                if error.code != "NoSuchBucket" or monotonic() > deadline:
                    raise
            self._create()

    def _create(self) -> None:
        # S3 rejects us-east-1 as a location constraint: it is the default.
        location = {} if self._aws.region == "us-east-1" else {"LocationConstraint": self._aws.region}
        tags = to_pairs(PURPOSE)
        try:
            self._aws.s3.create_bucket(Bucket=self.name, CreateBucketConfiguration={**location, "Tags": tags})
        except AwsError as error:
            if error.code not in ("BucketAlreadyOwnedByYou", "OperationAborted") and error.meaning is Meaning.NO:
                raise


def _time_of(response: Mapping[str, Any]) -> datetime:
    """Return S3's time of a response; this machine's, if a proxy removed the header."""
    date = response["ResponseMetadata"]["HTTPHeaders"].get("date")
    return parsedate_to_datetime(date) if date else datetime.now(UTC)

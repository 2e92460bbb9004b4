"""Small JSON documents in the account's own bucket: conditional writes, ages by S3's clock."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Any, TypeVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import to_pairs
from orderops.aws.validation import Malformed, check_form, json_object, validated
from orderops.errors import AwsError, Meaning, OrderopsError

T = TypeVar("T")

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

    uri: str
    """Its place, such as s3://BUCKET/dev/lease.json."""
    content: Mapping[str, Any] = field(repr=False)
    version: str
    written: datetime
    age: timedelta = timedelta()
    """Time since the last write when it was read, both by S3's clock."""
    fault: str = ""
    """Why the object is not a JSON document, as the end of a sentence; then `content` is empty."""

    @property
    def value(self) -> Mapping[str, Any]:
        """The JSON object. Raises BrokenDocument if the object in the bucket is not one."""
        if self.fault:
            raise BrokenDocument(self.uri, self.fault)
        return self.content

    def parsed(self, shape: type[T]) -> T:
        """Return the content as a dataclass or TypedDict. Raises BrokenDocument for any other content or version."""
        try:
            check_form(self.value)
            return validated(self.value, shape)
        except Malformed as error:
            raise BrokenDocument(self.uri, str(error)) from None


class BrokenDocument(OrderopsError):
    """An object in the bucket that is not the document which its key promises."""

    def __init__(self, uri: str, fault: str) -> None:
        place = shlex.quote(uri)
        self.show = f"show it: aws s3 cp {place} -"
        super().__init__(f"{uri} {fault}", f"{self.show}\nor set it aside: aws s3 mv {place} .")

    def to_dict(self) -> dict[str, str]:
        """As JSON: what is wrong, and what to type."""
        return {"error": self.message, "hint": self.hint}


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
        """Return a document, or None if there is none; one that is not JSON has a `fault`."""
        try:
            response = self._aws.s3.get_object(**self._location, Key=key)
        except AwsError as error:
            if error.code in MISSING_CODES:
                return None
            raise
        try:
            body, version, written = response["Body"], response["ETag"], response["LastModified"]
        except KeyError:  # a proxy's page: S3 sends these with every object
            raise OrderopsError(
                f"s3://{self.name}/{key} was not read from S3: the answer has no ETag",
                "check the network, the proxy and AWS_ENDPOINT_URL",
            ) from None
        value, fault = {}, ""
        try:
            value = json_object(body)
        except Malformed as error:
            fault = str(error)
        return Document(self.uri(key), value, version, written, _time_of(response) - written, fault)

    def uri(self, key: str) -> str:
        """Return the place of a key, in the form of the AWS CLI."""
        return f"s3://{self.name}/{key}"

    def write(self, key: str, value: Mapping[str, Any], *, over: Document | None) -> Document:
        """Replace the document `over`, or create it; raises DocumentChanged if another client was first."""
        body = json.dumps(value, default=str).encode()
        deadline = monotonic() + RETRY_SECONDS
        while True:
            try:
                response = self._put(key, body, {"IfMatch": over.version} if over else {"IfNoneMatch": "*"})
                return Document(self.uri(key), json.loads(body), response["ETag"], _time_of(response))
            except AwsError as error:
                lost = error.meaning is Meaning.LOST
                if not (lost or error.code in CHANGED_CODES):
                    raise
                current = self.read(key)
                # A write whose response was lost took effect. botocore's own second attempt then finds it changed.
                if current and current.content == json.loads(body):
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

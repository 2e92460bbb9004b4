"""S3: names and policies that a bucket can have, the tags it is made with, and policies read as AWS reads them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree import ElementTree

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.iam.roles import role_by_arn, unknown_yet
from orderops.local.strict.xml import NAMESPACE

NAME = re.compile(
    r"(?!.*\.\.)(?!(\d+\.){3}\d+$)(?!xn--|sthree-|amzn-s3-demo-)(?!.*(-s3alias|--ol-s3|--x-s3|\.mrap)$)"
    r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
)
PERSON = re.compile(r"arn:aws:(iam|sts)::(\d{12}):(root|(role|user|assumed-role)/.+)")
ON_OBJECTS = (
    "AbortMultipartUpload",
    "CompleteMultipartUpload",
    "CopyObject",
    "CreateMultipartUpload",
    "DeleteObject",
    "DeleteObjectTagging",
    "DeleteObjects",
    "GetObject",
    "GetObjectAcl",
    "GetObjectAttributes",
    "GetObjectLegalHold",
    "GetObjectTagging",
    "HeadObject",
    "ListParts",
    "PutObject",
    "PutObjectAcl",
    "PutObjectLegalHold",
    "PutObjectRetention",
    "PutObjectTagging",
    "RestoreObject",
    "SelectObjectContent",
    "UploadPart",
    "UploadPartCopy",
)
SETTINGS = ("Analytics", "IntelligentTiering", "Metrics")
NOT_IN_MOTO = (
    *(f"{verb}Bucket{what}Configuration" for what in SETTINGS for verb in ("Delete", "Get", "Put")),
    *(f"ListBucket{what}Configurations" for what in SETTINGS),
    *(f"{verb}BucketMetadata{what}Configuration" for what in ("", "Table") for verb in ("Create", "Delete", "Get")),
    *(f"UpdateBucketMetadata{what}TableConfiguration" for what in ("Annotation", "Inventory", "Journal")),
    *(f"{verb}Bucket{what}" for what in ("Abac", "RequestPayment") for verb in ("Get", "Put")),
    *(f"{verb}ObjectAnnotation" for verb in ("Delete", "Get", "Put")),
    "CreateSession",
    "DeleteBucketInventoryConfiguration",
    "GetObjectRetention",
    "GetObjectTorrent",
    "ListObjectAnnotations",
    "RenameObject",
    "UpdateObjectEncryption",
    "WriteGetObjectResponse",
)
"""moto takes them for what the same path means without its query: a listing, an object, the making of a bucket."""
REQUIRED = (("Effect",), ("Principal", "NotPrincipal"), ("Action", "NotAction"), ("Resource", "NotResource"))


def take_part(emulator: Emulator, _pace: Delays) -> None:
    """Refuse names and policies that AWS refuses, and keep the tags of the call that makes a bucket."""
    emulator.on_before("s3", "CreateBucket", _name)
    emulator.on_after("s3", "CreateBucket", _tag)
    emulator.on_before("s3", "PutBucketPolicy", _for_this_bucket)


def mend(emulator: Emulator) -> None:
    """Refuse what moto would take for something else, and read of a policy what moto understands."""

    def unconditional(call: Request) -> Response | None:
        bucket = _buckets().get(_bucket(call))
        if bucket is None or not bucket.policy:
            return None
        whole, bucket.policy = bucket.policy, _denials(bucket.policy)
        try:
            return emulator.ask_moto(call, call.again())
        finally:
            bucket.policy = whole

    emulator.on_before("s3", "PutBucketPolicy", _is_read)
    for action in NOT_IN_MOTO:
        emulator.on_before("s3", action, _unknown)
    for action in ON_OBJECTS:
        emulator.instead["s3", action] = unconditional


def _name(call: Request) -> None:
    if not NAME.fullmatch(_bucket(call)):
        raise ApiError("InvalidBucketName", "The specified bucket is not valid.")


def _tag(call: Request, _answer: Response) -> None:
    asked = ElementTree.fromstring(NAMESPACE.sub(b"", call.body or b"<Nothing/>"))
    if tags := {str(one.findtext("Key")): one.findtext("Value") or "" for one in asked.iter("Tag")}:
        get_backend("s3")[DEFAULT_ACCOUNT_ID]["aws"].put_bucket_tagging(_bucket(call), tags)


def _unknown(call: Request) -> None:
    raise ApiError("NotEmulated", f"{call.service} {call.action} is not emulated on the laptop")


def _is_read(call: Request) -> None:
    list(_statements(call))


def _statements(call: Request) -> Iterator[Mapping[str, Any]]:
    """Those of the policy in a call, each with what it must have."""
    try:
        policy = json.loads(call.body)
    except ValueError:
        policy = None
    if not isinstance(policy, dict):
        raise _malformed("Policies must be valid JSON and the first byte must be '{'")
    if not policy.get("Statement"):
        raise _malformed("Missing required field Statement")
    for statement in _listed(policy["Statement"]):
        if not isinstance(statement, dict):
            raise _malformed("Statement is not a valid JSON object")
        for names in REQUIRED:
            if not any(statement.get(name) for name in names):
                raise _malformed(f"Missing required field {names[0]}")
        if statement["Effect"] not in ("Allow", "Deny"):
            raise _malformed(f"Invalid effect: {statement['Effect']}")
        yield statement


def _for_this_bucket(call: Request) -> None:
    name = re.escape(_bucket(call))
    for statement in _statements(call):
        if not all(re.fullmatch(r"\*|s3:.+", one) for one in _listed(statement.get("Action"))):
            raise _malformed("Policy has invalid action")
        if not all(re.fullmatch(rf"arn:aws:s3:::{name}(/.*)?", one) for one in _listed(statement.get("Resource"))):
            raise _malformed("Policy has invalid resource")
        principal = statement.get("Principal")
        people = _listed(principal.get("AWS")) if isinstance(principal, dict) else [principal] if principal else []
        if not all(_known(one) for one in people):
            raise _malformed("Invalid principal in policy")


def _known(person: str) -> bool:
    """Somebody that can be named: of this account, only who is there."""
    if person == "*" or re.fullmatch(r"\d{12}", person):
        return True
    told = PERSON.fullmatch(person)
    if not told:
        return False
    if told[2] != DEFAULT_ACCOUNT_ID or told[1] == "sts" or told[3] == "root":
        return True
    if role := role_by_arn(person):
        return not unknown_yet(role)
    return person in {one.arn for one in get_backend("iam")[DEFAULT_ACCOUNT_ID]["aws"].users.values()}


def _denials(policy: bytes) -> bytes:
    """What forbids everybody something at any time; moto takes every other statement for a ban, too."""
    whole = json.loads(policy)
    kept = [
        one
        for one in _listed(whole["Statement"])
        if one["Effect"] == "Deny" and not one.get("Condition") and one.get("Principal") in ("*", {"AWS": "*"})
    ]
    return json.dumps({**whole, "Statement": kept}).encode()


def _malformed(words: str) -> ApiError:
    return ApiError("MalformedPolicy", words)


def _bucket(call: Request) -> str:
    return call.path.lstrip("/").partition("/")[0]


def _buckets() -> Mapping[str, Any]:
    buckets: Mapping[str, Any] = get_backend("s3")[DEFAULT_ACCOUNT_ID]["aws"].buckets
    return buckets


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]

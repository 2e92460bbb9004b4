"""S3: bucket names, bucket policies, and tags in CreateBucket."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree import ElementTree

from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.utils import camelcase_to_underscores
from moto.s3.models import S3Backend, s3_backends
from moto.s3.responses import S3Response
from moto.utilities.utils import get_partition

from orderops.local.emulator.operations import operations
from orderops.local.emulator.partition import global_backend, global_backends
from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.iam.roles import not_yet_known, role_by_arn
from orderops.local.strict.xml import NAMESPACE

# Bucket naming rules of the S3 user guide: no IP address, no reserved prefix or suffix, 3 to 63 characters.
BUCKET_NAME = re.compile(
    r"(?!.*\.\.)(?!(\d+\.){3}\d+$)(?!xn--|sthree-|amzn-s3-demo-)(?!.*(-s3alias|--ol-s3|--x-s3|\.mrap)$)"
    r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
)
PRINCIPAL_ARN = re.compile(r"arn:[\w-]+:(iam|sts)::(\d{12}):(root|(role|user|assumed-role)/.+)")
# Requests for which moto evaluates the bucket policy.
OBJECT_ACTIONS = (
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
OWNER_CHECKED = (
    "DeleteObject",
    "DeleteObjects",
    "GetObject",
    "HeadBucket",
    "HeadObject",
    "ListObjectVersions",
    "ListObjectsV2",
    "PutObject",
)
"""Operations that verify the expected owner of the bucket ("Verifying bucket ownership" in the S3 user guide)."""
# Operations without a method in moto that are no requests of their own: ListDirectoryBuckets is ListBuckets on the
# wire, and the others are answered by moto without being operations of AWS.
WITHOUT_METHOD = frozenset(
    {"BucketCORSPreflightCheck", "ListDirectoryBuckets", "ObjectCORSPreflightCheck", "PostObject"}
)
# Elements of a policy statement that S3 requires; either of a pair.
REQUIRED = (("Effect",), ("Principal", "NotPrincipal"), ("Action", "NotAction"), ("Resource", "NotResource"))


def register(emulator: Emulator, _delays: Delays) -> None:
    """Reject names and policies that AWS rejects, and store the tags of CreateBucket."""
    emulator.on_before("s3", "CreateBucket", _check_name)
    # moto ignores the tags in CreateBucketConfiguration, which S3 has accepted since 2025.
    emulator.on_after("s3", "CreateBucket", _store_tags)
    emulator.on_before("s3", "PutBucketPolicy", _check_policy_of_bucket)
    for action in OWNER_CHECKED:
        emulator.on_before("s3", action, _check_owner)


def patch(emulator: Emulator) -> None:
    """Reject operations that moto confuses with others, and hide policy statements that moto misreads."""

    def with_denials_only(request: Request) -> Response | None:
        bucket = _buckets(request.region).get(_bucket(request))
        if bucket is None or not bucket.policy:
            return None
        original, bucket.policy = bucket.policy, _unconditional_denials(bucket.policy)
        try:
            return emulator.call_moto(request, request.unchanged())
        finally:
            bucket.policy = original

    emulator.on_before("s3", "PutBucketPolicy", _check_policy)
    for action in missing_in_moto():
        # moto would handle DeleteBucketAnalyticsConfiguration as DeleteBucket, and data would be lost.
        emulator.on_before("s3", action, _reject)
    for action in OBJECT_ACTIONS:
        emulator.instead["s3", action] = with_denials_only


def missing_in_moto() -> set[str]:
    """Return the operations without a method in moto, which takes each for another one on the same path."""
    return {
        operation.name
        for operation in operations("s3")
        if operation.name not in WITHOUT_METHOD
        and not any(hasattr(owner, camelcase_to_underscores(operation.name)) for owner in (S3Response, S3Backend))
    }


def _check_name(request: Request) -> None:
    if not BUCKET_NAME.fullmatch(_bucket(request)):
        raise ApiError("InvalidBucketName", "The specified bucket is not valid.")


def _store_tags(request: Request, _answer: Response) -> None:
    document = ElementTree.fromstring(NAMESPACE.sub(b"", request.body or b"<Nothing/>"))
    if tags := {str(tag.findtext("Key")): tag.findtext("Value") or "" for tag in document.iter("Tag")}:
        global_backend("s3", request.region).put_bucket_tagging(_bucket(request), tags)


def _reject(request: Request) -> None:
    raise ApiError("NotEmulated", f"{request.service} {request.action} is not emulated on the laptop")


def _check_policy(request: Request) -> None:
    list(_statements(request))


def _statements(request: Request) -> Iterator[Mapping[str, Any]]:
    """Yield the statements of the policy in the request. Raises ApiError for a malformed policy."""
    try:
        policy = json.loads(request.body)
    except ValueError:
        policy = None
    if not isinstance(policy, dict):
        raise _malformed("Policies must be valid JSON and the first byte must be '{'")
    if not policy.get("Statement"):
        raise _malformed("Missing required field Statement")
    for statement in _as_list(policy["Statement"]):
        if not isinstance(statement, dict):
            raise _malformed("Statement is not a valid JSON object")
        for names in REQUIRED:
            if not any(statement.get(name) for name in names):
                raise _malformed(f"Missing required field {names[0]}")
        if statement["Effect"] not in ("Allow", "Deny"):
            raise _malformed(f"Invalid effect: {statement['Effect']}")
        yield statement


def _check_policy_of_bucket(request: Request) -> None:
    # A policy with the ARNs of another partition is malformed.
    arn = rf"arn:{get_partition(request.region)}:s3:::{re.escape(_bucket(request))}(/.*)?"
    for statement in _statements(request):
        # S3 accepts no actions of other services, and no resources outside the bucket.
        if not all(re.fullmatch(r"\*|s3:.+", value) for value in _as_list(statement.get("Action"))):
            raise _malformed("Policy has invalid action")
        if not all(re.fullmatch(arn, value) for value in _as_list(statement.get("Resource"))):
            raise _malformed("Policy has invalid resource")
        principal = statement.get("Principal")
        principals = _as_list(principal.get("AWS")) if isinstance(principal, dict) else [principal] if principal else []
        if not all(_principal_exists(value) for value in principals):
            raise _malformed("Invalid principal in policy")


def _principal_exists(principal: str) -> bool:
    """Tell whether a principal can be named; one of this account has to exist."""
    if principal == "*" or re.fullmatch(r"\d{12}", principal):
        return True
    match = PRINCIPAL_ARN.fullmatch(principal)
    if not match:
        return False
    if match[2] != DEFAULT_ACCOUNT_ID or match[1] == "sts" or match[3] == "root":
        return True
    if role := role_by_arn(principal):
        return not not_yet_known(role)
    return principal in {user.arn for backend in global_backends("iam") for user in backend.users.values()}


def _unconditional_denials(policy: bytes) -> bytes:
    """Return the denials for everybody at any time; moto takes every other statement for a denial, too."""
    document = json.loads(policy)
    kept = [
        statement
        for statement in _as_list(document["Statement"])
        if statement["Effect"] == "Deny"
        and not statement.get("Condition")
        and statement.get("Principal") in ("*", {"AWS": "*"})
    ]
    return json.dumps({**document, "Statement": kept}).encode()


def _malformed(message: str) -> ApiError:
    return ApiError("MalformedPolicy", message)


def _check_owner(request: Request) -> None:
    expected = request.environ.get("HTTP_X_AMZ_EXPECTED_BUCKET_OWNER")
    _, owner = s3_backends.bucket_accounts.get(_bucket(request), ("", expected))
    if expected != owner and expected is not None:
        raise ApiError("AccessDenied", "Access Denied", status=403)


def _bucket(request: Request) -> str:
    return request.path.lstrip("/").partition("/")[0]


def _buckets(region: str) -> Mapping[str, Any]:
    buckets: Mapping[str, Any] = global_backend("s3", region).buckets
    return buckets


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]

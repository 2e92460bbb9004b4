"""Access logs: only to an existing bucket that lets AWS write, which AWS tests at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.utilities.utils import get_partition

from orderops.local.emulator.partition import global_backend
from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.interfaces import backend

SERVICE = "elasticloadbalancing"
# The emulator keeps its own copy of this table: one shared with the program would confirm a wrong entry.
# Source: Elastic Load Balancing, Application Load Balancers, "Enable access logs", bucket policy of each region.
LOG_WRITERS = {
    "us-east-1": "127311923021",
    "us-east-2": "033677994240",
    "us-west-1": "027434742980",
    "us-west-2": "797873946194",
    "ca-central-1": "985666609251",
    "sa-east-1": "507241528517",
    "us-gov-west-1": "048591011584",
    "us-gov-east-1": "190560391635",
    "us-iso-east-1": "770363063475",
    "us-iso-west-1": "121062877647",
    "us-isob-east-1": "740734521339",
    "cn-north-1": "638102146993",
    "cn-northwest-1": "037604701340",
    "af-south-1": "098369216593",
    "me-south-1": "076674570225",
    "eu-south-1": "635631232127",
    "eu-central-1": "054676820928",
    "eu-north-1": "897822967062",
    "eu-west-1": "156460612806",
    "eu-west-2": "652711504416",
    "eu-west-3": "009996457667",
    "ap-northeast-1": "582318560864",
    "ap-northeast-2": "600734575887",
    "ap-south-1": "718504428378",
    "ap-southeast-1": "114774131450",
    "ap-southeast-2": "783225319266",
    "ap-southeast-3": "589379963580",
    "ap-northeast-3": "383597477331",
    "ap-east-1": "754344448648",
}
LOG_WRITER_SERVICE = "logdelivery.elasticloadbalancing.amazonaws.com"
TEST_OBJECT = "ELBAccessLogTestFile"
ENABLED, BUCKET, PREFIX = (f"access_logs.s3.{name}" for name in ("enabled", "bucket", "prefix"))


def register(emulator: Emulator, _delays: Delays) -> None:
    """Reject log buckets that AWS cannot write to, and write the test file into others."""
    emulator.on_before(SERVICE, "ModifyLoadBalancerAttributes", _check_bucket)
    emulator.on_after(SERVICE, "ModifyLoadBalancerAttributes", _write_test_file)


def _check_bucket(request: Request) -> None:
    destination = _destination(request)
    if destination is None:
        return
    name, key = destination
    if not name:
        raise ApiError("InvalidConfigurationRequest", "The access logs S3 bucket name must be specified")
    bucket = _buckets(request.region).get(name)
    if bucket is None or bucket.region_name != request.region or not _writable(bucket, key, request.region):
        raise ApiError(
            "InvalidConfigurationRequest", f"Access Denied for bucket: {name}. Please check S3bucket permission"
        )


def _write_test_file(request: Request, _answer: Response) -> None:
    if destination := _destination(request):
        global_backend("s3", request.region).put_object(*destination, b"Enable AccessLog for ELB")


def _destination(request: Request) -> tuple[str, str] | None:
    """Return bucket and key of the test file when the request turns logs on or changes their destination."""
    balancer = backend("elbv2", request.region).load_balancers.get(request.form.get("LoadBalancerArn"))
    requested = {attribute["Key"]: attribute.get("Value", "") for attribute in request.parameters.get("Attributes", ())}
    if balancer is None or not requested.keys() & {ENABLED, BUCKET, PREFIX}:
        return None
    attributes = {**balancer.attrs, **requested}
    if attributes.get(ENABLED) != "true":
        return None
    prefix = f"{attributes[PREFIX]}/" if attributes.get(PREFIX) else ""
    return str(attributes.get(BUCKET, "")), f"{prefix}AWSLogs/{DEFAULT_ACCOUNT_ID}/{TEST_OBJECT}"


def _buckets(region: str) -> Mapping[str, Any]:
    buckets: Mapping[str, Any] = global_backend("s3", region).buckets
    return buckets


def _writable(bucket: Any, key: str, region: str) -> bool:
    """Tell whether the bucket policy lets the region's log delivery account or service write this object."""
    # Access logs support only SSE-S3 encryption.
    if "aws:kms" in json.dumps(bucket.encryption or {}) or not bucket.policy:
        return False
    account = LOG_WRITERS.get(region, "")
    writers = {
        "AWS": {account, f"arn:{get_partition(region)}:iam::{account}:root", "*"},
        "Service": {LOG_WRITER_SERVICE},
    }
    arn = f"arn:{get_partition(region)}:s3:::{bucket.name}/{key}"
    effects = {
        statement["Effect"]
        for statement in _as_list(json.loads(bucket.policy).get("Statement"))
        # Conditions are not evaluated: a conditional Allow counts, a conditional Deny does not.
        if not statement.get("Condition") or statement["Effect"] == "Allow"
        if _is_for(statement.get("Principal"), writers)
        if any(fnmatchcase("s3:PutObject", pattern) for pattern in _as_list(statement.get("Action")))
        if any(fnmatchcase(arn, pattern) for pattern in _as_list(statement.get("Resource")))
    }
    return effects == {"Allow"}


def _is_for(principal: Any, writers: Mapping[str, set[str]]) -> bool:
    if principal == "*":
        return True
    named = principal if isinstance(principal, dict) else {}
    return any(set(_as_list(named.get(kind))) & names for kind, names in writers.items())


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]

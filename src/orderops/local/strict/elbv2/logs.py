"""Access logs: only to a bucket that is there and lets AWS write, which AWS tries at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

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
}
LOG_WRITER_SERVICE = "logdelivery.elasticloadbalancing.amazonaws.com"
TEST_OBJECT = "ELBAccessLogTestFile"
ENABLED, BUCKET, PREFIX = (f"access_logs.s3.{name}" for name in ("enabled", "bucket", "prefix"))


def take_part(emulator: Emulator, _pace: Delays) -> None:
    """Refuse logs to a bucket that takes none; leave a test file in one that does."""
    emulator.on_before(SERVICE, "ModifyLoadBalancerAttributes", _takes_logs)
    emulator.on_after(SERVICE, "ModifyLoadBalancerAttributes", _tried)


def _takes_logs(call: Request) -> None:
    asked = _logs(call)
    if asked is None:
        return
    name, key = asked
    if not name:
        raise ApiError("InvalidConfigurationRequest", "The access logs S3 bucket name must be specified")
    bucket = _buckets().get(name)
    if bucket is None or bucket.region_name != call.region or not _writable(bucket, key, call.region):
        raise ApiError(
            "InvalidConfigurationRequest", f"Access Denied for bucket: {name}. Please check S3bucket permission"
        )


def _tried(call: Request, _answer: Response) -> None:
    if asked := _logs(call):
        get_backend("s3")[DEFAULT_ACCOUNT_ID]["aws"].put_object(*asked, b"Enable AccessLog for ELB")


def _logs(call: Request) -> tuple[str, str] | None:
    """Bucket and key of the test file, when the call switches logs on or sends them elsewhere."""
    balancer = backend("elbv2", call.region).load_balancers.get(call.form.get("LoadBalancerArn"))
    asked = {one["Key"]: one.get("Value", "") for one in call.parameters.get("Attributes", ())}
    if balancer is None or not asked.keys() & {ENABLED, BUCKET, PREFIX}:
        return None
    whole = {**balancer.attrs, **asked}
    if whole.get(ENABLED) != "true":
        return None
    prefix = f"{whole[PREFIX]}/" if whole.get(PREFIX) else ""
    return str(whole.get(BUCKET, "")), f"{prefix}AWSLogs/{DEFAULT_ACCOUNT_ID}/{TEST_OBJECT}"


def _buckets() -> Mapping[str, Any]:
    buckets: Mapping[str, Any] = get_backend("s3")[DEFAULT_ACCOUNT_ID]["aws"].buckets
    return buckets


def _writable(bucket: Any, key: str, region: str) -> bool:
    """The policy lets the account (or the service) that brings logs in this region put this object there."""
    if "aws:kms" in json.dumps(bucket.encryption or {}) or not bucket.policy:
        return False
    account = LOG_WRITERS.get(region, "")
    writers = {"AWS": {account, f"arn:aws:iam::{account}:root", "*"}, "Service": {LOG_WRITER_SERVICE}}
    arn = f"arn:aws:s3:::{bucket.name}/{key}"
    effects = {
        statement["Effect"]
        for statement in _listed(json.loads(bucket.policy).get("Statement"))
        if not statement.get("Condition") or statement["Effect"] == "Allow"
        if _is_for(statement.get("Principal"), writers)
        if any(fnmatchcase("s3:PutObject", pattern) for pattern in _listed(statement.get("Action")))
        if any(fnmatchcase(arn, pattern) for pattern in _listed(statement.get("Resource")))
    }
    return effects == {"Allow"}


def _is_for(principal: Any, writers: Mapping[str, set[str]]) -> bool:
    if principal == "*":
        return True
    named = principal if isinstance(principal, dict) else {}
    return any(set(_listed(named.get(kind))) & names for kind, names in writers.items())


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]

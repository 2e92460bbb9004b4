"""The record of calls: what CloudTrail keeps of a request, in the form of "CloudTrail record contents" (user guide)."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID
from moto.utilities.utils import get_partition

from orderops.local.emulator.protocol import Request, Response
from orderops.local.strict.cloudtrail.parameters import parameters_of, resources_of

# Calls kept in each region. The state file is written as a whole, and must not grow with the age of a laptop.
KEPT_CALLS = 2000
# Services that are the same in every region; their events are in the first region of the partition.
GLOBAL = frozenset({"iam", "route53", "cloudfront"})
HOME = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
# Data events, which LookupEvents does not have: messages, objects, log lines, data of metrics.
DATA = re.compile(
    r"(Send|Receive|Delete)Message(Batch)?|ChangeMessageVisibility(Batch)?|Publish(Batch)?|PutLogEvents|PutMetricData"
    r"|(Put|Delete|Copy)Objects?|UploadPart\w*|\w+MultipartUpload"
)
# Sessions, which change nothing; and keys, whose answers are secrets.
UNRECORDED = frozenset({"", "sts", "cloudtrail"})
CODE = re.compile(rb'"__type"\s*:\s*"(?:[^"#]*#)?([\w.]+)"|<Code>([\w.]+)</Code>')


def keep(request: Request, response: Response) -> None:
    """Record a request that changes something, also a refused one. Call only while holding the emulator's lock."""
    if request.reads or " " in request.action or request.service in UNRECORDED or DATA.fullmatch(request.action):
        return
    parameters = parameters_of(request)
    failed = None if response.ok else CODE.search(response.body)
    identity = _identity(request)
    listed = {
        "EventId": str(uuid.uuid4()),
        "EventName": request.action,
        "ReadOnly": "false",
        "Username": identity.get("userName") or identity["arn"].rpartition("/")[2],
        "EventSource": f"{request.service}.amazonaws.com",
        "AccessKeyId": identity["accessKeyId"],
    }
    error = {"errorCode": (failed[1] or failed[2]).decode() if failed else "Unknown"} if not response.ok else {}
    events_of(_region_of(request)).append(
        {
            "at": time.time(),
            "listed": listed,
            "resources": resources_of(request.service, parameters),
            "region": request.region,
            "agent": request.environ.get("HTTP_USER_AGENT", ""),
            "identity": identity,
            "parameters": parameters,
            **error,
        }
    )


def events_of(region: str) -> deque[dict[str, Any]]:
    """Return the calls recorded in a region, the oldest first. They are stored on moto's backend, as all state is."""
    backend = get_backend("cloudtrail")[DEFAULT_ACCOUNT_ID][region]
    if not hasattr(backend, "recorded_calls"):
        backend.recorded_calls = deque(maxlen=KEPT_CALLS)
    calls: deque[dict[str, Any]] = backend.recorded_calls
    return calls


def event_of(call: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recorded call as LookupEvents does: the record itself is text in JSON."""
    listed = call["listed"]
    at = datetime.fromtimestamp(call["at"], UTC)
    record = {
        "eventVersion": "1.11",
        "userIdentity": call["identity"],
        "eventTime": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "eventSource": listed["EventSource"],
        "eventName": listed["EventName"],
        "awsRegion": call["region"],
        "sourceIPAddress": "127.0.0.1",
        "userAgent": call["agent"],
        **({"errorCode": call["errorCode"]} if "errorCode" in call else {}),
        "requestParameters": call["parameters"],
        "responseElements": None,
        "eventID": listed["EventId"],
        "readOnly": False,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": DEFAULT_ACCOUNT_ID,
        "eventCategory": "Management",
    }
    return {
        **listed,
        # Whole seconds, as in the record.
        "EventTime": int(call["at"]),
        "Resources": call["resources"],
        "CloudTrailEvent": json.dumps(record),
    }


def _region_of(request: Request) -> str:
    return HOME[get_partition(request.region)] if request.service in GLOBAL else request.region


def _identity(request: Request) -> dict[str, Any]:
    """Who signed the request, as `userIdentity`: looked up now, since the key may be deleted later."""
    found = re.search(r"Credential=([^/]+)/", request.environ.get("HTTP_AUTHORIZATION", ""))
    key_id = found[1] if found else ""
    partition = get_partition(request.region)
    for user in get_backend("iam")[DEFAULT_ACCOUNT_ID][partition].users.values():
        if any(key.access_key_id == key_id for key in user.access_keys):
            return _user(user.name, partition, key_id)
    for session in get_backend("sts")[DEFAULT_ACCOUNT_ID][partition].assumed_roles:
        if session.access_key_id == key_id:
            role = session.role_arn.rpartition("/")[2]
            issuer = {"type": "Role", "arn": session.role_arn, "userName": role, "accountId": DEFAULT_ACCOUNT_ID}
            return {
                "type": "AssumedRole",
                "arn": f"arn:{partition}:sts::{DEFAULT_ACCOUNT_ID}:assumed-role/{role}/{session.session_name}",
                "accountId": DEFAULT_ACCOUNT_ID,
                "accessKeyId": key_id,
                "sessionContext": {"sessionIssuer": issuer},
            }
    # The key of the laptop itself, for which STS answers the same name.
    return _user("moto", partition, key_id)


def _user(name: str, partition: str, key_id: str) -> dict[str, Any]:
    return {
        "type": "IAMUser",
        "arn": f"arn:{partition}:iam::{DEFAULT_ACCOUNT_ID}:user/{name}",
        "accountId": DEFAULT_ACCOUNT_ID,
        "accessKeyId": key_id,
        "userName": name,
    }

"""Every call checked against what AWS says of it: its own models, and the limits that stand only in its texts.

botocore sends what has the right type; emulators take what AWS refuses. Here a call that AWS would refuse for the
spelling, the length, the range or the choice of a value fails in the test that makes it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sized
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any

import boto3

# Of the CloudWatch Logs API reference: the values that `retentionInDays` may have.
RETENTION_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
USED = (
    "application-autoscaling",
    "cloudwatch",
    "ec2",
    "ecr",
    "ecs",
    "elbv2",
    "iam",
    "logs",
    "rds",
    "resourcegroupstaggingapi",
    "s3",
    "secretsmanager",
    "sns",
    "sqs",
    "ssm",
    "sts",
)
"""The services that orderops calls, as boto3 names them."""


@dataclass(frozen=True)
class Broken:
    """A value that AWS would refuse, where it stands in the call, and the rule that it breaks."""

    member: str
    value: object
    rule: str


@dataclass(frozen=True)
class Limit:
    """What a value may be, as AWS states it in the text of an operation and not in its model."""

    keeps: Callable[[Any], bool]
    rule: str


def check_strictly(session: boto3.Session) -> None:
    """Fail every call of the session's later clients whose parameters AWS would refuse."""
    # last of all, so that what botocore puts in by itself is seen too
    session.events.register_last("before-parameter-build", _check_call, unique_id="check-strictly")


def broken(shape: Any, value: Any, member: str = "") -> Iterator[Broken]:
    """What the model of a shape has against a value, at every depth; wrong types are left to botocore."""
    match shape.type_name, value:
        case "structure", dict():
            for name in shape.required_members:
                if value.get(name) is None:
                    yield Broken(_below(member, name), None, "is required")
            for name, inner in value.items():
                if name in shape.members:
                    yield from broken(shape.members[name], inner, _below(member, name))
        case "list", list() | tuple():
            yield from _of_wrong_size(shape, value, member, "entries")
            for place, inner in enumerate(value):
                yield from broken(shape.member, inner, f"{member}[{place}]")
        case "map", dict():
            yield from _of_wrong_size(shape, value, member, "entries")
            for key, inner in value.items():
                yield from broken(shape.key, key, f"{member} key")
                yield from broken(shape.value, inner, _below(member, key))
        case (("string" | "char"), str()):
            yield from _of_wrong_size(shape, value, member, "characters")
            yield from _misspelled(shape, value, member)
        case "blob", bytes() | bytearray():
            yield from _of_wrong_size(shape, value, member, "bytes")
        case (("integer" | "long" | "float" | "double"), int() | float()):
            yield from _outside(shape, value, value, member, "")


@cache
def readable(pattern: str) -> re.Pattern[str]:
    """A pattern of AWS's models in Python's words."""
    for theirs, ours in SPELLED_DIFFERENTLY.items():
        pattern = pattern.replace(theirs, ours)
    inside = False
    translated = ""
    for token in re.findall(r"\\p\{\w+\}|\\.-|\\.|.", pattern, re.DOTALL):
        if token.startswith("\\p{"):
            letters = _characters(token[3:-1])
            translated += letters if inside else f"[{letters}]"
        elif inside and token == "[":
            translated += "\\["
        elif inside and token in ("\\w-", "\\d-", "\\s-"):  # a class starts no range: the hyphen means itself
            translated += f"{token[:2]}\\-"
        else:
            inside = token == "[" or (inside and token != "]")
            translated += token
    return re.compile(translated)


def _check_call(params: dict[str, Any], model: Any, **_: Any) -> None:
    service, operation = model.service_model.service_name, model.name
    found = list(broken(model.input_shape, params)) if model.input_shape else []
    found += _beyond_the_model(service, operation, params)
    if found:
        told = "\n".join(f"{service}.{operation}: {each.member}: {each.value!r}: {each.rule}" for each in found)
        raise AssertionError(f"AWS would refuse this call\n{told}")


def _of_wrong_size(shape: Any, value: Sized, member: str, unit: str) -> Iterator[Broken]:
    yield from _outside(shape, len(value), value, member, f" {unit}")


def _outside(shape: Any, number: float, value: object, member: str, unit: str) -> Iterator[Broken]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if (low is not None and number < low) or (high is not None and number > high):
        limits = f"at least {low}" if high is None else f"at most {high}" if low is None else f"{low} to {high}"
        yield Broken(member, value, f"{limits}{unit}")


def _misspelled(shape: Any, value: str, member: str) -> Iterator[Broken]:
    choices = shape.metadata.get("enum")
    if choices and value not in choices:
        yield Broken(member, value, f"one of {', '.join(choices)}")
    pattern = shape.metadata.get("pattern")
    if pattern and not readable(pattern).fullmatch(value):
        yield Broken(member, value, f"spelled {pattern}")


def _beyond_the_model(service: str, operation: str, params: dict[str, Any]) -> Iterator[Broken]:
    told = LIMITS.get(service, ())
    limits = [(members, limit) for operations, members, limit in told if re.fullmatch(operations, operation)]
    for member, value in _values(params) if limits else ():
        place = re.sub(r"\d+(?=\])", "", member)
        for members, limit in limits:
            if re.fullmatch(members, place) and not limit.keeps(value):
                yield Broken(member, value, limit.rule)


def _values(value: Any, member: str = "") -> Iterator[tuple[str, Any]]:
    if member:
        yield member, value
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _values(inner, _below(member, name))
    elif isinstance(value, list | tuple):
        for place, inner in enumerate(value):
            yield from _values(inner, f"{member}[{place}]")


def _below(member: str, name: str) -> str:
    return f"{member}.{name}" if member else name


@cache
def _characters(name: str) -> str:
    """A character property such as L or Zs, as the ranges of a character class; without the rare planes."""
    if name in PROPERTIES:
        return PROPERTIES[name]
    inside = [code for code in range(0x10000) if unicodedata.category(chr(code)).startswith(name)]
    ranges = ""
    for _, group in groupby(enumerate(inside), key=lambda pair: pair[1] - pair[0]):
        codes = [code for _, code in group]
        ranges += f"\\u{codes[0]:04x}-\\u{codes[-1]:04x}"
    return ranges


def _spelled(pattern: str, rule: str) -> Limit:
    return Limit(lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None, rule)


def _within(low: int, high: int) -> Limit:
    return Limit(lambda value: str(value).isdecimal() and low <= int(value) <= high, f"{low} to {high}")


PROPERTIES = {"ASCII": r"\x00-\x7f", "Print": r"\x20-\x7e", "Graph": r"\x21-\x7e", "Alnum": r"A-Za-z0-9"}
SPELLED_DIFFERENTLY = {
    # what lies beyond \uFFFF, written in halves
    r"\uD800\uDC00-\uDBFF\uDFFF": r"\U00010000-\U0010ffff",
}

TAG_KEY = _spelled("(?!aws:).{1,127}", "1 to 127 characters, not aws:…")
TAG_VALUE = _spelled(".{0,256}", "at most 256 characters")
GROUP_NAME = _spelled(
    r"(?!sg-)[\w ._:/()#,@\[\]+=&;{}!$*-]{1,255}", "1 to 255 of a-z A-Z 0-9 ._-:/()#,@[]+=&;{}!$*, not sg-…"
)
GROUP_TEXT = _spelled(r"[a-zA-Z0-9 ._:/()#,@\[\]+=&;{}!$*-]{1,255}", "1 to 255 of a-z A-Z 0-9 ._-:/()#,@[]+=&;{}!$*")
PLAIN_NAME = _spelled(r"[A-Za-z0-9_-]{1,255}", "1 to 255 letters, digits, underscores and hyphens")
BALANCER_NAME = _spelled(
    r"(?!internal-)(?=.{1,32}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?",
    "1 to 32 letters, digits and hyphens, no hyphen at the ends, not internal-…",
)
PATH_PATTERN = _spelled(r"[A-Za-z0-9_.$/~\"'@:+&*?-]{1,128}", "1 to 128 letters, digits and _-.$/~\"'@:+&*?")
INSTANCE_NAME = _spelled(
    r"(?=.{1,63}$)[A-Za-z](-?[A-Za-z0-9])*",
    "1 to 63 letters, digits and single hyphens, first a letter, last no hyphen",
)
GROUP_OR_SNAPSHOT_NAME = _spelled(
    r"(?=.{1,255}$)[A-Za-z](-?[A-Za-z0-9])*",
    "1 to 255 letters, digits and single hyphens, first a letter, last no hyphen",
)
DATABASE_USER = _spelled(r"[A-Za-z]\w{0,15}", "1 to 16 letters, digits and underscores, first a letter")
DATABASE_PASSWORD = _spelled(r"[!#-.0-?A-~]{8,128}", '8 to 128 printable ASCII characters without / " @ and space')
CLOCK = r"([01]\d|2[0-3]):[0-5]\d"
DAILY = _spelled(f"{CLOCK}-{CLOCK}", "hh:mm-hh:mm")
DAY_AND_CLOCK = f"(mon|tue|wed|thu|fri|sat|sun):{CLOCK}"
WEEKLY = _spelled(f"{DAY_AND_CLOCK}-{DAY_AND_CLOCK}", "ddd:hh:mm-ddd:hh:mm")
BUCKET_NAME = _spelled(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "3 to 63 small letters, digits, dots and hyphens")
QUEUE_NAME = _spelled(r"(?=.{1,80}$)[A-Za-z0-9_-]+(\.fifo)?", "1 to 80 letters, digits, underscores and hyphens")
TOPIC_NAME = _spelled(r"(?=.{1,256}$)[A-Za-z0-9_-]+(\.fifo)?", "1 to 256 letters, digits, underscores and hyphens")
SECRET_NAME = _spelled(r"[A-Za-z0-9/_+=.@-]+", "letters, digits and /_+=.@-")

# service: operations, members, limit
LIMITS: dict[str, list[tuple[str, str, Limit]]] = {
    "ec2": [
        (".*", r"(TagSpecifications\[\]\.)?Tags\[\]\.Key", TAG_KEY),
        (".*", r"(TagSpecifications\[\]\.)?Tags\[\]\.Value", TAG_VALUE),
        ("CreateSecurityGroup", "GroupName", GROUP_NAME),
        ("CreateSecurityGroup", "Description", GROUP_TEXT),
        ("AuthorizeSecurityGroup.*", r"IpPermissions\[\]\.\w+\[\]\.Description", GROUP_TEXT),
    ],
    "ecs": [
        ("CreateCluster", "clusterName", PLAIN_NAME),
        ("CreateService", "serviceName", PLAIN_NAME),
        ("RegisterTaskDefinition", r"family|containerDefinitions\[\]\.name", PLAIN_NAME),
    ],
    "elbv2": [
        ("CreateLoadBalancer|CreateTargetGroup", "Name", BALANCER_NAME),
        ("CreateLoadBalancer|SetSubnets", "Subnets", Limit(lambda given: len(given) > 1, "subnets of two zones")),
        ("CreateRule|ModifyRule", r"Conditions\[\]\.(PathPatternConfig\.)?Values\[\]", PATH_PATTERN),
    ],
    "logs": [("PutRetentionPolicy", "retentionInDays", Limit(RETENTION_DAYS.__contains__, f"one of {RETENTION_DAYS}"))],
    "rds": [
        ("(Create|Modify|Restore|Delete).*", "(Target|New)?DBInstanceIdentifier", INSTANCE_NAME),
        ("CreateDBSnapshot|DeleteDBInstance", "(Final)?DBSnapshotIdentifier", GROUP_OR_SNAPSHOT_NAME),
        ("CreateDBParameterGroup", "DBParameterGroupName", GROUP_OR_SNAPSHOT_NAME),
        ("CreateDBSubnetGroup", "DBSubnetGroupName", _spelled(r"(?!default$)[A-Za-z][\w. -]{0,254}", "not default")),
        ("CreateDBInstance", "MasterUsername", DATABASE_USER),
        ("(Create|Modify)DBInstance", "MasterUserPassword", DATABASE_PASSWORD),
        ("(Create|Modify|Restore).*", "BackupRetentionPeriod", _within(0, 35)),
        ("(Create|Modify|Restore).*", "(DB)?Port(Number)?", _within(1150, 65535)),
        ("(Create|Modify|Restore).*", "(Max)?AllocatedStorage", _within(20, 65536)),
        ("(Create|Modify|Restore).*", "PreferredBackupWindow", DAILY),
        ("(Create|Modify|Restore).*", "PreferredMaintenanceWindow", WEEKLY),
        ("ModifyDBParameterGroup", "Parameters", Limit(lambda given: len(given) <= 20, "at most 20 in a call")),
    ],
    "s3": [("CreateBucket", "Bucket", BUCKET_NAME)],
    "secretsmanager": [("CreateSecret", "Name", SECRET_NAME)],
    "sns": [("CreateTopic", "Name", TOPIC_NAME)],
    "sqs": [
        ("CreateQueue", "QueueName", QUEUE_NAME),
        ("CreateQueue|SetQueueAttributes", r"Attributes\.DelaySeconds", _within(0, 900)),
        ("CreateQueue|SetQueueAttributes", r"Attributes\.MaximumMessageSize", _within(1024, 1048576)),
        ("CreateQueue|SetQueueAttributes", r"Attributes\.MessageRetentionPeriod", _within(60, 1209600)),
        ("CreateQueue|SetQueueAttributes", r"Attributes\.ReceiveMessageWaitTimeSeconds", _within(0, 20)),
        ("CreateQueue|SetQueueAttributes", r"Attributes\.VisibilityTimeout", _within(0, 43200)),
        ("ReceiveMessage", "MaxNumberOfMessages", _within(1, 10)),
        ("ReceiveMessage", "WaitTimeSeconds", _within(0, 20)),
        ("ReceiveMessage|ChangeMessageVisibility", "VisibilityTimeout", _within(0, 43200)),
        (".*Batch", "Entries", Limit(lambda given: 1 <= len(given) <= 10, "1 to 10 in a call")),
    ],
}

"""Checks the parameters of every call against AWS's models, and against limits that only its texts document.

botocore checks types only, and emulators accept values that AWS rejects. With this checker, a call that AWS would
reject for the pattern, length, range or choice of a value fails in the test that makes it.
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

# CloudWatch Logs API reference, PutRetentionPolicy: the values of `retentionInDays`.
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
class Violation:
    """A value that AWS would reject, its position in the call, and the rule that it breaks."""

    member: str
    value: object
    rule: str


@dataclass(frozen=True)
class Limit:
    """A rule for a value that AWS documents in a text, but not in its model."""

    accepts: Callable[[Any], bool]
    rule: str


def check_strictly(session: boto3.Session) -> None:
    """Fail every call of the session's future clients whose parameters AWS would reject."""
    # Last, so that parameters which botocore fills in are checked too.
    session.events.register_last("before-parameter-build", _check_call, unique_id="check-strictly")


def violations(shape: Any, value: Any, member: str = "") -> Iterator[Violation]:
    """Yield what a value violates in the model of a shape, at every depth. botocore checks the types."""
    match shape.type_name, value:
        case "structure", dict():
            for name in shape.required_members:
                if value.get(name) is None:
                    yield Violation(_below(member, name), None, "is required")
            for name, inner in value.items():
                if name in shape.members:
                    yield from violations(shape.members[name], inner, _below(member, name))
        case "list", list() | tuple():
            yield from _size_violations(shape, value, member, "entries")
            for index, inner in enumerate(value):
                yield from violations(shape.member, inner, f"{member}[{index}]")
        case "map", dict():
            yield from _size_violations(shape, value, member, "entries")
            for key, inner in value.items():
                yield from violations(shape.key, key, f"{member} key")
                yield from violations(shape.value, inner, _below(member, key))
        case (("string" | "char"), str()):
            yield from _size_violations(shape, value, member, "characters")
            yield from _text_violations(shape, value, member)
        case "blob", bytes() | bytearray():
            yield from _size_violations(shape, value, member, "bytes")
        case (("integer" | "long" | "float" | "double"), int() | float()):
            yield from _range_violations(shape, value, value, member, "")


@cache
def translated(pattern: str) -> re.Pattern[str]:
    """Translate a pattern of AWS's models, in Java's syntax, to Python's."""
    for java, python in SPELLED_DIFFERENTLY.items():
        pattern = pattern.replace(java, python)
    inside = False
    result = ""
    for token in re.findall(r"\\p\{\w+\}|\\.-|\\.|.", pattern, re.DOTALL):
        if token.startswith("\\p{"):
            characters = _characters(token[3:-1])
            result += characters if inside else f"[{characters}]"
        elif inside and token == "[":
            result += "\\["
        elif inside and token in ("\\w-", "\\d-", "\\s-"):  # \w starts no range, so the hyphen is a literal
            result += f"{token[:2]}\\-"
        else:
            inside = token == "[" or (inside and token != "]")
            result += token
    return re.compile(result)


def _check_call(params: dict[str, Any], model: Any, **_: Any) -> None:
    service, operation = model.service_model.service_name, model.name
    wrong = list(violations(model.input_shape, params)) if model.input_shape else []
    wrong += _limit_violations(service, operation, params)
    if wrong:
        lines = [f"{service}.{operation}: {value.member}: {value.value!r}: {value.rule}" for value in wrong]
        raise AssertionError("\n".join(["AWS would reject this call", *lines]))


def _size_violations(shape: Any, value: Sized, member: str, unit: str) -> Iterator[Violation]:
    yield from _range_violations(shape, len(value), value, member, f" {unit}")


def _range_violations(shape: Any, number: float, value: object, member: str, unit: str) -> Iterator[Violation]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if (low is not None and number < low) or (high is not None and number > high):
        limits = f"at least {low}" if high is None else f"at most {high}" if low is None else f"{low} to {high}"
        yield Violation(member, value, f"{limits}{unit}")


def _text_violations(shape: Any, value: str, member: str) -> Iterator[Violation]:
    choices = shape.metadata.get("enum")
    if choices and value not in choices:
        yield Violation(member, value, f"one of {', '.join(choices)}")
    pattern = shape.metadata.get("pattern")
    if pattern and not translated(pattern).fullmatch(value):
        yield Violation(member, value, f"spelled {pattern}")


def _limit_violations(service: str, operation: str, params: dict[str, Any]) -> Iterator[Violation]:
    documented = LIMITS.get(service, ())
    limits = [(members, limit) for operations, members, limit in documented if re.fullmatch(operations, operation)]
    for member, value in _values(params) if limits else ():
        path = re.sub(r"\d+(?=\])", "", member)
        for members, limit in limits:
            if re.fullmatch(members, path) and not limit.accepts(value):
                yield Violation(member, value, limit.rule)


def _values(value: Any, member: str = "") -> Iterator[tuple[str, Any]]:
    if member:
        yield member, value
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _values(inner, _below(member, name))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _values(inner, f"{member}[{index}]")


def _below(member: str, name: str) -> str:
    return f"{member}.{name}" if member else name


@cache
def _characters(name: str) -> str:
    """Return a character property such as L or Zs as the ranges of a character class, for the basic plane only."""
    if name in PROPERTIES:
        return PROPERTIES[name]
    inside = [code for code, category in enumerate(_categories()) if category.startswith(name)]
    ranges = ""
    for _, group in groupby(enumerate(inside), key=lambda pair: pair[1] - pair[0]):
        codes = [code for _, code in group]
        ranges += f"\\u{codes[0]:04x}-\\u{codes[-1]:04x}"
    return ranges


@cache
def _categories() -> list[str]:
    return [unicodedata.category(chr(code)) for code in range(0x10000)]


def _matching(pattern: str, rule: str) -> Limit:
    return Limit(lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None, rule)


def _within(low: int, high: int) -> Limit:
    return Limit(lambda value: str(value).isdecimal() and low <= int(value) <= high, f"{low} to {high}")


PROPERTIES = {"ASCII": r"\x00-\x7f", "Print": r"\x20-\x7e", "Graph": r"\x21-\x7e", "Alnum": r"A-Za-z0-9"}
SPELLED_DIFFERENTLY = {
    # Characters beyond \uFFFF, which Java writes as surrogate pairs.
    r"\uD800\uDC00-\uDBFF\uDFFF": r"\U00010000-\U0010ffff",
}

TAG_KEY = _matching("(?!aws:).{1,127}", "1 to 127 characters, not aws:…")
TAG_VALUE = _matching(".{0,256}", "at most 256 characters")
GROUP_NAME = _matching(
    r"(?!sg-)[\w ._:/()#,@\[\]+=&;{}!$*-]{1,255}", "1 to 255 of a-z A-Z 0-9 ._-:/()#,@[]+=&;{}!$*, not sg-…"
)
GROUP_TEXT = _matching(r"[a-zA-Z0-9 ._:/()#,@\[\]+=&;{}!$*-]{1,255}", "1 to 255 of a-z A-Z 0-9 ._-:/()#,@[]+=&;{}!$*")
PLAIN_NAME = _matching(r"[A-Za-z0-9_-]{1,255}", "1 to 255 letters, digits, underscores and hyphens")
BALANCER_NAME = _matching(
    r"(?!internal-)(?=.{1,32}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?",
    "1 to 32 letters, digits and hyphens, no hyphen at the ends, not internal-…",
)
PATH_PATTERN = _matching(r"[A-Za-z0-9_.$/~\"'@:+&*?-]{1,128}", "1 to 128 letters, digits and _-.$/~\"'@:+&*?")
INSTANCE_NAME = _matching(
    r"(?=.{1,63}$)[A-Za-z](-?[A-Za-z0-9])*",
    "1 to 63 letters, digits and single hyphens, first a letter, last no hyphen",
)
GROUP_OR_SNAPSHOT_NAME = _matching(
    r"(?=.{1,255}$)[A-Za-z](-?[A-Za-z0-9])*",
    "1 to 255 letters, digits and single hyphens, first a letter, last no hyphen",
)
DATABASE_USER = _matching(r"[A-Za-z]\w{0,15}", "1 to 16 letters, digits and underscores, first a letter")
DATABASE_PASSWORD = _matching(r"[!#-.0-?A-~]{8,128}", '8 to 128 printable ASCII characters without / " @ and space')
CLOCK = r"([01]\d|2[0-3]):[0-5]\d"
DAILY = _matching(f"{CLOCK}-{CLOCK}", "hh:mm-hh:mm")
DAY_AND_CLOCK = f"(mon|tue|wed|thu|fri|sat|sun):{CLOCK}"
WEEKLY = _matching(f"{DAY_AND_CLOCK}-{DAY_AND_CLOCK}", "ddd:hh:mm-ddd:hh:mm")
BUCKET_NAME = _matching(
    r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "3 to 63 lowercase letters, digits, dots and hyphens"
)
QUEUE_NAME = _matching(r"(?=.{1,80}$)[A-Za-z0-9_-]+(\.fifo)?", "1 to 80 letters, digits, underscores and hyphens")
TOPIC_NAME = _matching(r"(?=.{1,256}$)[A-Za-z0-9_-]+(\.fifo)?", "1 to 256 letters, digits, underscores and hyphens")
SECRET_NAME = _matching(r"[A-Za-z0-9/_+=.@-]+", "letters, digits and /_+=.@-")

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
        ("CreateDBSubnetGroup", "DBSubnetGroupName", _matching(r"(?!default$)[A-Za-z][\w. -]{0,254}", "not default")),
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

"""Types of single values in an environment file, each with the message for a value that is not allowed."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from ipaddress import IPv4Network
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, PlainValidator

# The retention periods that CloudWatch Logs accepts; from the reference of PutRetentionPolicy.
LOG_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
Entries = TypeVar("Entries", bound=Collection[str])
DAY = 24 * 60
WEEK = 7 * DAY
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# Minutes; RDS refuses shorter windows.
SHORTEST_WINDOW = 30
# The prefix lengths that EC2 allows for the CIDR of a VPC.
VPC_PREFIXES = range(16, 29)
RESERVED_USERS = frozenset(
    {
        "admin",
        "all",
        "any",
        "none",
        "public",
        "rdsadmin",
        "rdsrepladmin",
        "rdstopmgr",
        "table",
        "user",
        "orderops_ledger",
        "orderops_service",
        "orderops_service_b",
        "orderops_reader",
        "orderops_service_iam",
    }
)
# RDS creates rdsadmin, and PostgreSQL creates the templates, in every instance.
RESERVED_DATABASES = frozenset({"rdsadmin", "template0", "template1"})


def between(low: int, high: int, why: str = "") -> AfterValidator:
    """Allow numbers in a range, both ends included."""

    def check(number: int) -> int:
        if not low <= number <= high:
            raise ValueError(f"must be {low} to {high}" + (why and f"; {why}"))
        return number

    return AfterValidator(check)


def spelled(pattern: str, allowed: str) -> AfterValidator:
    """Allow texts that match a pattern; `allowed` describes the pattern in words."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"must be {allowed}")
        return text

    return AfterValidator(check)


def counted(low: int, high: int | None = None) -> AfterValidator:
    """Allow lists and tables with a number of entries and no duplicates."""

    def check(entries: Entries) -> Entries:
        if len(entries) < low or (high is not None and len(entries) > high):
            raise ValueError(f"must have {low} to {high} entries" if high else f"must have at least {low} entry")
        if len(set(entries)) < len(entries):
            raise ValueError("must not have duplicate entries")
        return entries

    return AfterValidator(check)


def number_or_list(low: int, high: int, pattern: str, example: str) -> Any:
    """Allow a number in a range, or a list with as many different texts that match a pattern."""
    allowed = f"must be {low} to {high}, or a list such as {example}"

    def check(value: Any) -> int | tuple[str, ...]:
        # true is an int to Python.
        if isinstance(value, int) and not isinstance(value, bool):
            if low <= value <= high:
                return value
            raise ValueError(allowed)
        if not isinstance(value, (list, tuple)) or not all(isinstance(text, str) for text in value):
            raise ValueError(allowed)
        if not low <= len(value) <= high or not all(re.fullmatch(pattern, text) for text in value):
            raise ValueError(allowed)
        if len(set(value)) < len(value):
            raise ValueError("must not have duplicate entries")
        return tuple(value)

    return PlainValidator(check)


def unreserved(names: frozenset[str], prefixes: tuple[str, ...] = ()) -> AfterValidator:
    """Allow names that neither PostgreSQL nor RDS reserves."""

    def check(name: str) -> str:
        if name in names or name.startswith(prefixes):
            raise ValueError("is reserved by RDS or PostgreSQL; choose another name")
        return name

    return AfterValidator(check)


def _one_of(choices: tuple[int, ...]) -> AfterValidator:
    def check(number: int) -> int:
        if number not in choices:
            raise ValueError(f"must be one of {', '.join(map(str, choices))}")
        return number

    return AfterValidator(check)


def _cidr(prefixes: range, example: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        try:
            network = IPv4Network(text, strict=False)
        except ValueError:
            raise ValueError(f"must be an IPv4 range such as {example}") from None
        if "/" not in text or network.prefixlen not in prefixes:
            raise ValueError(f"must be a range from /{prefixes[0]} to /{prefixes[-1]}, such as {example}")
        # EC2 stores the canonical range: `10.0.1.7/16` would be read back as `10.0.0.0/16` and show as drift.
        if str(network) != text:
            raise ValueError(f"is not the start of its range; write {network}")
        return text

    return check


def minutes(clock: str) -> int:
    """Minutes since midnight for `hh:mm`, since Monday midnight for `ddd:hh:mm`."""
    *weekday, hours, minutes_ = clock.split(":")
    return (WEEKDAYS.index(weekday[0]) * DAY if weekday else 0) + int(hours) * 60 + int(minutes_)


def window(text: str, cycle: int) -> tuple[int, int]:
    """Start and length in minutes of a window that recurs every `cycle` minutes."""
    start, end = map(minutes, text.split("-"))
    # Modulo, since a window may cross midnight or the end of the week.
    return start, (end - start) % cycle


def is_environment_name(text: str) -> bool:
    """Whether the text is allowed as the name of an environment."""
    return re.fullmatch(_ENVIRONMENT, text) is not None


def _window(pattern: str, cycle: int, allowed: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not re.fullmatch(f"{pattern}-{pattern}", text):
            raise ValueError(f"must be {allowed}")
        if not SHORTEST_WINDOW <= window(text, cycle)[1] <= DAY:
            raise ValueError(f"must be a window of {SHORTEST_WINDOW} minutes to 24 hours")
        return text

    return check


# The longest name is that of the load balancer, orderops-ENVIRONMENT-balancer, for which AWS allows 32 characters.
_ENVIRONMENT = r"(?=.{1,14}$)[a-z](-?[a-z0-9])*"
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]"
# The grammar of references in the distribution project, and of ECR: the name of a repository has 2 characters or more.
_HOST = r"[A-Za-z0-9](-*[A-Za-z0-9])*([.][A-Za-z0-9](-*[A-Za-z0-9])*)*(:[0-9]{1,5})?"
_COMPONENT = r"[a-z0-9]+(([.]|__?|-+)[a-z0-9]+)*"
_REFERENCE = (
    r"(?![0-9]{12}[.]dkr[.]ecr[^/]*/[^/:@](:|@|$))"
    rf"({_HOST}/)?{_COMPONENT}(/{_COMPONENT})*(:[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(@sha256:[0-9a-f]{{64}})?"
)

Percent = Annotated[int, between(1, 100)]
Minutes = Annotated[str, spelled(r"[1-9]\d{0,3}[mh]", 'whole minutes or hours, such as "5m" or "1h"')]
Port = Annotated[int, between(1, 65535)]
Days = Annotated[int, between(1, 3650)]
LogDays = Annotated[int, _one_of(LOG_DAYS)]
Cpu = Annotated[int, _one_of((256, 512, 1024, 2048, 4096))]

VpcCidr = Annotated[str, AfterValidator(_cidr(VPC_PREFIXES, "10.0.0.0/16"))]
SubnetCidr = Annotated[str, AfterValidator(_cidr(VPC_PREFIXES, "10.0.1.0/24"))]
AnyCidr = Annotated[str, AfterValidator(_cidr(range(33), "203.0.113.0/24"))]

DailyWindow = Annotated[str, AfterValidator(_window(_CLOCK, DAY, "hh:mm-hh:mm in UTC, such as 16:00-16:30"))]
WeeklyWindow = Annotated[
    str,
    AfterValidator(
        _window(f"({'|'.join(WEEKDAYS)}):{_CLOCK}", WEEK, "ddd:hh:mm-ddd:hh:mm in UTC, such as sun:17:00-sun:17:30")
    ),
]

Zones = Annotated[
    int | tuple[str, ...],
    number_or_list(2, 3, r"[a-z]{2,5}(-[a-z]+)+-[0-9][a-z]", '["ap-southeast-2a", "ap-southeast-2c"]'),
]
EnvironmentName = Annotated[
    str,
    spelled(
        _ENVIRONMENT,
        "a file name of 1 to 14 lower-case letters, digits and single hyphens that begins with a letter",
    ),
]
ServiceName = Annotated[
    str,
    spelled(r"[a-z](-?[a-z0-9])*", "a name of lower-case letters, digits and single hyphens that begins with a letter"),
]
TimeZone = Annotated[
    str,
    spelled(r"[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}", "a time zone of the tz database such as Australia/Sydney"),
]
Account = Annotated[str, spelled(r"[0-9]{12}", "an account number of 12 digits, in quotes")]
Region = Annotated[str, spelled(r"[a-z]{2,5}(-[a-z]+)+-[0-9]", "an AWS region such as ap-southeast-2")]
TagKey = Annotated[
    str,
    spelled(
        r"(?i:(?!aws:|orderops:))[\w .:/=+@-]{1,127}",
        "a key of at most 127 letters, digits, spaces and _.:/=+-@ that does not begin with aws: or orderops:",
    ),
]
TagValue = Annotated[str, spelled(r"[\w .:/=+@-]{0,256}", "a text of at most 256 letters, digits, spaces and _.:/=+-@")]
RolePath = Annotated[
    str,
    spelled(
        r"(?=.{1,512}$)/([A-Za-z0-9_+=,.@-]+/)*",
        "a path that begins and ends with /, such as /team/, of at most 512 letters, digits and _+=,.@-",
    ),
]
PolicyArn = Annotated[
    str,
    spelled(
        r"(?=.{20,2048}$)arn:aws[a-z-]*:iam::(aws|[0-9]{12}):policy/[A-Za-z0-9_+=,.@/-]+",
        "the ARN of a managed policy: arn:PARTITION:iam::ACCOUNT:policy/NAME",
    ),
]
RoleArn = Annotated[
    str,
    spelled(
        r"(?=.{20,2048}$)arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]*[A-Za-z0-9_+=,.@-]",
        "the ARN of a role: arn:PARTITION:iam::ACCOUNT:role/NAME",
    ),
]
EngineVersion = Annotated[str, spelled(r"1[3-9](\.[0-9]{1,2})?", "a PostgreSQL version from 13 on, such as 16 or 16.4")]
InstanceClass = Annotated[
    str, spelled(r"db\.[a-z][a-z0-9-]*\.(micro|small|medium|\d*x?large)", "an instance class such as db.t3.micro")
]
SqlName = Annotated[
    str, spelled(r"[a-z][a-z0-9_]{0,62}", "1 to 63 lower-case letters, digits and underscores, a letter first")
]
UserName = Annotated[
    str, spelled(r"[a-z][a-z0-9_]{0,15}", "1 to 16 lower-case letters, digits and underscores, a letter first")
]
VariableName = Annotated[str, spelled(r"[A-Z][A-Z0-9_]*", "upper-case letters, digits and underscores, a letter first")]
Image = Annotated[
    str,
    spelled(
        rf"process://[A-Za-z_]\w*(\.[A-Za-z_]\w*)*|{_REFERENCE}",
        "an image such as registry.example.com/orders:1.4, or process://MODULE in an emulated environment",
    ),
]
PinnedImage = Annotated[
    str,
    spelled(rf"(?=.*@){_REFERENCE}", "an image with its digest, such as docker.io/library/python:3.12-slim@sha256:…"),
]
FilePath = Annotated[str, spelled(r"[^\0]+", "the path of a file")]
UrlPath = Annotated[str, spelled(r"/[!-~]{0,1023}", "a path that begins with /, without spaces")]
PathPattern = Annotated[
    str,
    spelled(
        r"[/*][A-Za-z0-9_.$/~\"'@:+&*?-]{0,127}",
        "a pattern of at most 128 letters, digits and _-.$/~\"'@:+&*? that begins with / or *",
    ),
]
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
DomainName = Annotated[
    str,
    spelled(
        rf"(?=.{{1,253}}$)({_LABEL}\.)+{_LABEL}",
        "a name such as orders.example.com, in lower case, without a wildcard and without a dot at the end",
    ),
]
ZoneName = Annotated[
    str,
    spelled(rf"(?=.{{1,253}}$)({_LABEL}\.)*{_LABEL}", "the name of a hosted zone such as example.com, or elsewhere"),
]
Email = Annotated[str, spelled(r"[^@\s]+@[^@\s]+\.[^@\s.]+", "an address such as oncall@example.com")]
PhoneNumber = Annotated[str, spelled(r"\+[1-9]\d{6,14}", "a number such as +61412345678")]
AddressPattern = Annotated[
    str, spelled(r"[a-z0-9*?-]+/\S+", "an address such as sqs-queue/NAME, in which * stands for any text")
]
IssuerUrl = Annotated[
    str, spelled(r"https?://[^\s/?#]+(/[^\s?#]*)?", "the URL of an issuer such as https://login.example.com/")
]
TokenScope = Annotated[str, spelled(r"[!#-\[\]-~]{1,128}", "a scope without spaces, such as orders/write")]
RouteKey = Annotated[
    str,
    spelled(
        r"(ANY|DELETE|GET|HEAD|OPTIONS|PATCH|POST|PUT) "
        r"/(([A-Za-z0-9_.~-]+|\{[A-Za-z0-9_.-]+\})/)*([A-Za-z0-9_.~-]*|\{[A-Za-z0-9_.-]+\+?\})",
        'a method and a path, such as "GET /orders/{id}"; {name+}, for the rest of a path, comes last',
    ),
]
Reason = Annotated[str, spelled(r"\w.*", "a reason in words")]
LOOPBACK = r"http://(127\.0\.0\.1|localhost)(:\d{1,5})?(/\S*)?"
WebReceiver = Annotated[
    str,
    spelled(
        rf"https://[^\s/]+(/\S*)?|{LOOPBACK}",
        "an address that begins with https://, or on the laptop with http://127.0.0.1:PORT/",
    ),
]
# S3 user guide, "Bucket naming rules"; without dots, which no certificate of S3 covers.
BucketName = Annotated[
    str, spelled(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", "3 to 63 lower-case letters, digits and inner hyphens")
]

"""One event of CloudTrail, in the words of an operator: when, who, with which tool.

The form is that of "CloudTrail record contents" and "CloudTrail userIdentity element" (CloudTrail user guide). Every
member may be missing or of another type: an event that cannot be read is left out and never ends a command.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from orderops.frozen import Frozen, field

OURS = re.compile(r"\borderops/\S+(?: run/(?P<run>[0-9a-f]+))?")
# The first that is found names the tool: an SDK is inside most other tools.
TOOLS = (
    ("Terraform", "terraform"),
    ("OpenTofu", "opentofu"),
    ("pulumi", "pulumi"),
    ("aws-cdk", "cdk"),
    ("cloudformation", "CloudFormation"),
    ("console.amazonaws.com", "console"),
    ("signin.amazonaws.com", "console"),
    ("Mozilla/", "console"),
    ("aws-cli/", "aws-cli"),
    ("aws-toolkit", "AWS Toolkit"),
    ("Boto3/", "boto3"),
    ("Botocore/", "botocore"),
    ("aws-sdk-go", "AWS SDK for Go"),
    ("aws-sdk-java", "AWS SDK for Java"),
    ("aws-sdk-js", "AWS SDK for JavaScript"),
    ("aws-sdk-rust", "AWS SDK for Rust"),
    ("aws-sdk-dotnet", "AWS SDK for .NET"),
)
LONGEST_TOOL = 40


class TrailEvent(Frozen):
    """A call that changed something, as CloudTrail recorded it."""

    time: datetime
    event: str
    """The API's name of the call, such as ModifyDBInstance."""
    source: str
    """The service, such as rds."""
    who: str
    """User, or session name of an assumed role, with the role."""
    tool: str
    event_id: str
    run: str = ""
    """The run of orderops that sent it."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    resources: tuple[str, ...] = ()
    """Names and ARNs of the resources that CloudTrail lists with the event."""

    @property
    def ours(self) -> bool:
        """Whether orderops sent it."""
        return self.tool.startswith("orderops")

    @property
    def by(self) -> str:
        """Who, and with which tool."""
        return f"{self.who} ({self.tool})"

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with stable keys."""
        return {
            "at": f"{self.time:%Y-%m-%dT%H:%M:%SZ}",
            "who": self.who,
            "tool": self.tool,
            "run": self.run or None,
            "event": self.event,
            "event_id": self.event_id,
        }


def read_event(outer: Mapping[str, Any]) -> TrailEvent | None:
    """Read an event of LookupEvents; None if it changed nothing, failed, is scaling of AWS, or cannot be read."""
    try:
        record = json.loads(outer.get("CloudTrailEvent") or "")
    except (TypeError, ValueError, RecursionError):
        return None
    time = _time(outer.get("EventTime"), record)
    if not isinstance(record, dict) or time is None or _changed_nothing(outer, record):
        return None
    identity = _mapping(record.get("userIdentity"))
    agent = _text(record.get("userAgent"))
    ours = OURS.search(agent)
    return TrailEvent(
        time=time,
        event=_text(outer.get("EventName")) or _text(record.get("eventName")),
        source=_text(record.get("eventSource")).partition(".")[0],
        who=_who(identity) or _text(outer.get("Username")) or "unknown",
        tool=_tool(agent, record, identity),
        event_id=_text(outer.get("EventId")) or _text(record.get("eventID")),
        run=(ours["run"] or "") if ours else "",
        parameters=_mapping(record.get("requestParameters")),
        resources=tuple(_resources(outer, record)),
    )


def _changed_nothing(outer: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    # LookupEvents has it as the text "true", the record as a boolean.
    read_only = str(outer.get("ReadOnly", record.get("readOnly", ""))).lower() == "true"
    invoked_by = _text(_mapping(record.get("userIdentity")).get("invokedBy"))
    return read_only or bool(record.get("errorCode")) or "autoscaling" in invoked_by


def _time(given: Any, record: Any) -> datetime | None:
    if isinstance(given, datetime):
        return given.astimezone(UTC)
    try:
        return datetime.fromisoformat(record["eventTime"]).astimezone(UTC)
    except (KeyError, TypeError, ValueError):
        return None


def _who(identity: Mapping[str, Any]) -> str:
    arn = _text(identity.get("arn"))
    match identity.get("type"):
        case "AssumedRole":
            # …:assumed-role/ROLE/SESSION
            _, _, rest = arn.partition(":assumed-role/")
            role, _, session = rest.rpartition("/")
            issuer = _mapping(_mapping(identity.get("sessionContext")).get("sessionIssuer"))
            role = _text(issuer.get("userName")) or role
            return f"{session}, role {role}" if session and role else session or role
        case "Root":
            return f"root of account {account}" if (account := _text(identity.get("accountId"))) else "root"
        case "AWSService":
            return _text(identity.get("invokedBy"))
        case "AWSAccount":
            return f"account {_text(identity.get('accountId')) or 'unknown'}"
        case "IdentityCenterUser":
            return _text(_mapping(identity.get("onBehalfOf")).get("userId"))
    return _text(identity.get("userName")) or arn.rpartition("/")[2]


def _tool(agent: str, record: Mapping[str, Any], identity: Mapping[str, Any]) -> str:
    if ours := OURS.search(agent):
        return f"orderops run {ours['run']}" if ours["run"] else "orderops"
    if str(record.get("sessionCredentialFromConsole", "")).lower() == "true":
        return "console"
    for part, name in TOOLS:
        if part.lower() in agent.lower():
            return name
    first = agent or _text(identity.get("invokedBy"))
    return first.split()[0][:LONGEST_TOOL] if first.split() else "unknown tool"


def _resources(outer: Mapping[str, Any], record: Mapping[str, Any]) -> Iterator[str]:
    for listed, key in ((outer.get("Resources"), "ResourceName"), (record.get("resources"), "ARN")):
        for resource in listed if isinstance(listed, list) else ():
            if name := _text(_mapping(resource).get(key)):
                yield name


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""

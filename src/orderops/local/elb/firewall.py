"""Judge requests by the rules of a web ACL, as far as a laptop can, and write the records of AWS WAF's log.

Knows neither moto nor sockets. What AWS keeps to itself is not judged: its managed rule groups, and from which country
an address is. Such a rule neither blocks nor counts.

Meaning of statements: AWS WAF developer guide, "Using rule statements in AWS WAF"; form of a record: "Log fields for
protection pack (web ACL) traffic".
"""

from __future__ import annotations

import json
import secrets
import threading
from base64 import b64decode
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

from orderops.local.elb.traffic import MinuteCounts

Network = IPv4Network | IPv6Network
Json = Mapping[str, Any]
# Bytes of a body that a load balancer shows to WAF, and API Gateway.
SEEN = 8192
SEEN_OF_API = 16_384
# Records that wait for the next look at the account, and addresses that a rate is kept of; a flood must not fill the
# memory.
MOST_WAITING = 10_000
MOST_ADDRESSES = 10_000
REDACTED = "REDACTED"
# The rule of a metric that counts all rules of a web ACL, and the one that ends a request which no rule ended.
ALL, DEFAULT = "ALL", "Default_Action"


@dataclass(frozen=True)
class WebAcl:
    """Rules of a load balancer or a stage in the order of their priority, and where its requests are logged."""

    arn: str
    source: str
    """What it guards, as the log names it."""
    rules: tuple[Json, ...]
    ranges: Mapping[str, tuple[Network, ...]] = field(default_factory=dict)
    """Addresses of each IP set, by ARN."""
    blocks: bool = False
    """Whether a request that no rule ends is blocked."""
    log_group: str = ""
    log_filter: Json = field(default_factory=dict)
    metric: str = ""
    """Its name in metrics."""
    metrics: Mapping[str, str] = field(default_factory=dict)
    """The names of its rules in metrics, by rule."""
    redacted: frozenset[str] = frozenset()
    """Headers whose values are left out of the log, in lower case."""
    source_name: str = "ALB"
    """The kind of what it guards, as the log names it."""
    seen: int = SEEN
    """Bytes of a body that rules see."""

    @property
    def sees_bodies(self) -> bool:
        """Tell whether a rule needs the size of a body."""
        return "SizeConstraintStatement" in json.dumps(self.rules)


@dataclass(frozen=True)
class WebRequest:
    """What rules look at. `body_size` counts no more than one byte beyond what the web ACL sees of a body."""

    address: str
    method: str
    path: str
    query: str = ""
    version: str = "1.1"
    headers: Sequence[tuple[str, str]] = ()
    body_size: int = 0


@dataclass(frozen=True)
class LogRecord:
    """Record of a request, and the log group for it."""

    acl: str
    log_group: str
    message: str
    timestamp: int
    """Milliseconds since 1970."""


class Firewall:
    """Web ACLs, the rates of addresses, and the records that wait to be logged.

    `acls` has them by the name of a load balancer, or by `API/STAGE`.
    """

    def __init__(self) -> None:
        self.acls: Mapping[str, WebAcl] = {}
        self.counts = MinuteCounts()
        self._rates: dict[str, dict[str, deque[float]]] = {}
        self._waiting: deque[LogRecord] = deque(maxlen=MOST_WAITING)
        self._lock = threading.Lock()

    def lets_in(self, acl: WebAcl, request: WebRequest, now: float) -> bool:
        """Judge a request at a time in seconds since 1970, and note its record."""
        ended, counted = "BLOCK" if acl.blocks else "ALLOW", []
        by: Json = {"Name": DEFAULT, "Statement": {}}
        for rule in acl.rules:
            if self._matches(rule["Statement"], acl, request, now) is not True:
                continue
            action = next(iter(rule.get("Action") or {"None": {}}))
            if action in ("Allow", "Block"):
                ended, by = action.upper(), rule
                break
            if action == "Count":
                counted.append(rule["Name"])
        self.counts.add(now, _counted(acl, ended, by["Name"], counted))
        if acl.log_group and _is_logged(acl.log_filter, {ended, *(["COUNT"] if counted else ())}):
            self._note(acl, request, ended, by, counted, now)
        return ended == "ALLOW"

    def taken(self) -> list[LogRecord]:
        """Return the records that wait, and forget them."""
        with self._lock:
            records = list(self._waiting)
            self._waiting.clear()
        return records

    def _note(
        self, acl: WebAcl, request: WebRequest, ended: str, by: Json, counted: Collection[str], now: float
    ) -> None:
        moment = int(now * 1000)
        message = json.dumps(_record(acl, request, ended, by, counted, moment))
        with self._lock:
            self._waiting.append(LogRecord(acl.arn.split("/")[-2], acl.log_group, message, moment))

    def _matches(self, statement: Json, acl: WebAcl, request: WebRequest, now: float) -> bool | None:
        """Tell whether a statement matches; None if only AWS knows."""
        name, body = next(iter(statement.items()))
        match name:
            case "IPSetReferenceStatement":
                return _is_in(acl.ranges.get(body["ARN"], ()), _sender(request, body.get("IPSetForwardedIPConfig")))
            case "ByteMatchStatement":
                return _byte_match(body, request)
            case "SizeConstraintStatement":
                return _size_match(body, request, acl.seen)
            case "RateBasedStatement":
                return self._is_over(body, acl, request, now)
            case "NotStatement":
                inner = self._matches(body["Statement"], acl, request, now)
                return None if inner is None else not inner
            case "AndStatement" | "OrStatement":
                found = [self._matches(inner, acl, request, now) for inner in body["Statements"]]
                decides = name == "OrStatement"
                return decides if decides in found else None if None in found else not decides
            case _:
                return None

    def _is_over(self, body: Json, acl: WebAcl, request: WebRequest, now: float) -> bool | None:
        """Count a request of an address, and tell whether it had more than the limit in the window."""
        if body.get("AggregateKeyType") not in ("IP", "FORWARDED_IP"):
            return None
        sender = _sender(request, body.get("ForwardedIPConfig"))
        if not isinstance(sender, str):
            return sender
        inside = self._matches(body["ScopeDownStatement"], acl, request, now) if "ScopeDownStatement" in body else True
        if inside is not True:
            return inside
        window = float(body.get("EvaluationWindowSec", 300))
        # A changed setting begins to count again, as on AWS.
        rates = self._rates.setdefault(f"{acl.arn} {json.dumps(body, sort_keys=True)}", {})
        times = rates.setdefault(sender, deque(maxlen=int(body["Limit"]) + 1))
        times.append(now)
        while times[0] <= now - window:
            times.popleft()
        if len(rates) > MOST_ADDRESSES:
            del rates[next(iter(rates))]
        return len(times) > int(body["Limit"])


def _counted(acl: WebAcl, ended: str, by: str, counted: Collection[str]) -> dict[tuple[str, str], int]:
    """What the metrics of AWS WAF count for a request: for the rule that ended it, those that counted it, and all."""
    metric = "BlockedRequests" if ended == "BLOCK" else "AllowedRequests"
    found = {(f"{acl.metric}/{rule}", metric): 1 for rule in (ALL, acl.metrics.get(by, by))}
    rules = [acl.metrics.get(name, name) for name in counted]
    return found | {(f"{acl.metric}/{rule}", "CountedRequests"): 1 for rule in (*rules, *([ALL] if rules else ()))}


def _sender(request: WebRequest, forwarded: Json | None) -> str | bool | None:
    """The address that a statement looks at. If its header holds none, whether it matches; None without the header.

    API reference, "ForwardedIPConfig": a rule is not applied at all to a request that lacks the header.
    """
    if forwarded is None:
        return request.address
    wanted = forwarded["HeaderName"].lower()
    found = next((value for name, value in request.headers if name.lower() == wanted), None)
    if found is None or forwarded.get("Position", "FIRST") != "FIRST":
        return None
    first = found.split(",")[0].strip()
    try:
        ip_address(first)
    except ValueError:
        return bool(forwarded["FallbackBehavior"] == "MATCH")
    return first


def _is_in(ranges: Sequence[Network], sender: str | bool | None) -> bool | None:
    return any(ip_address(sender) in network for network in ranges) if isinstance(sender, str) else sender


def _byte_match(body: Json, request: WebRequest) -> bool | None:
    if "UriPath" not in body["FieldToMatch"] or any(one["Type"] != "NONE" for one in body["TextTransformations"]):
        return None
    wanted, path = b64decode(body["SearchString"]), request.path.encode()
    match body["PositionalConstraint"]:
        case "EXACTLY":
            return path == wanted
        case "STARTS_WITH":
            return path.startswith(wanted)
        case "ENDS_WITH":
            return path.endswith(wanted)
        case "CONTAINS":
            return wanted in path
        case _:
            return None


def _size_match(body: Json, request: WebRequest, shown: int) -> bool | None:
    if "Body" not in body["FieldToMatch"]:
        return None
    handling = body["FieldToMatch"]["Body"]["OversizeHandling"]
    if request.body_size > shown and handling != "CONTINUE":
        return bool(handling == "MATCH")
    seen, size = min(request.body_size, shown), int(body["Size"])
    results = {"GT": seen > size, "GE": seen >= size, "LT": seen < size, "LE": seen <= size, "EQ": seen == size}
    return results.get(body["ComparisonOperator"], seen != size)


def _is_logged(log_filter: Json, actions: Collection[str]) -> bool:
    for one in log_filter.get("Filters", ()):
        hits = [condition.get("ActionCondition", {}).get("Action") in actions for condition in one["Conditions"]]
        if any(hits) if one["Requirement"] == "MEETS_ANY" else all(hits):
            return bool(one["Behavior"] == "KEEP")
    return bool(log_filter.get("DefaultBehavior", "KEEP") == "KEEP")


def _record(
    acl: WebAcl, request: WebRequest, ended: str, by: Json, counted: Collection[str], moment: int
) -> dict[str, Any]:
    rate = "RateBasedStatement" in by["Statement"]
    headers = [
        {"name": name, "value": REDACTED if name.lower() in acl.redacted else value} for name, value in request.headers
    ]
    return {
        "timestamp": moment,
        "formatVersion": 1,
        "webaclId": acl.arn,
        "terminatingRuleId": by["Name"],
        "terminatingRuleType": "RATE_BASED" if rate else "REGULAR",
        "action": ended,
        "terminatingRuleMatchDetails": [],
        "httpSourceName": acl.source_name,
        "httpSourceId": acl.source,
        "ruleGroupList": [],
        "rateBasedRuleList": [],
        "nonTerminatingMatchingRules": [
            {"ruleId": name, "action": "COUNT", "ruleMatchDetails": []} for name in counted
        ],
        "requestHeadersInserted": None,
        "responseCodeSent": None,
        "httpRequest": {
            "clientIp": request.address,
            "country": "-",
            "headers": headers,
            "uri": request.path,
            "args": request.query,
            "httpVersion": f"HTTP/{request.version}",
            "httpMethod": request.method,
            "requestId": f"1-{moment // 1000:08x}-{secrets.token_hex(12)}",
        },
    }

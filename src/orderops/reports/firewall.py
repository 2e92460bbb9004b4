"""What the web ACL blocked and counted, by rule, path and address, read from its log.

The form of a record: AWS WAF developer guide, "Log fields for protection pack (web ACL) traffic".
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from orderops.aws.client import every
from orderops.config.waf import WafConfig
from orderops.config.waf_groups import GROUPS, group_of
from orderops.errors import AwsError, OrderopsError
from orderops.frozen import Frozen
from orderops.infra.firewall import COUNTRIES, EXCEPTED, OUR_RULES, caller_header, log_group_name
from orderops.infra.workspace import Workspace
from orderops.resources.apigateway_rest_api import STAGE

MOST_RECORDS = 100_000
"""Records that are read, which takes a minute or two."""
TOP = 10
"""Paths and addresses that are named for each rule."""
STOPPING = frozenset({"BLOCK", "CAPTCHA", "CHALLENGE"})
Record = Mapping[str, Any]


@dataclass
class RuleHits:
    """The requests that one rule blocked, or would have."""

    rule: str
    group: str
    """The managed group that it belongs to; "" for a rule of the file."""
    would_block: int = 0
    blocked: int = 0
    paths: Counter[str] = field(default_factory=Counter)
    addresses: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By address and country."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with stable keys."""
        return {
            "rule": self.rule,
            "group": self.group or None,
            "would_block": self.would_block,
            "blocked": self.blocked,
            "paths": [{"path": path, "requests": count} for path, count in self.paths.most_common(TOP)],
            "addresses": [
                {"address": address, "country": country or None, "requests": count}
                for (address, country), count in self.addresses.most_common(TOP)
            ],
        }


class FirewallReport(Frozen):
    """What a web ACL did since a moment."""

    environment: str
    mode: str
    since: datetime
    log_group: str
    would_block: int
    """Requests that would have been blocked, each counted once."""
    blocked: int
    rules: tuple[RuleHits, ...]
    """Most frequent first."""
    complete: bool
    """Whether all records were read."""
    not_judged: tuple[str, ...] = ()
    """Rules that only AWS can judge, in an environment of the laptop."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with stable keys."""
        return {
            "environment": self.environment,
            "mode": self.mode,
            "since": self.since.isoformat(),
            "log_group": self.log_group,
            "would_block": self.would_block,
            "blocked": self.blocked,
            "complete": self.complete,
            "not_judged": list(self.not_judged),
            "rules": [hits.to_dict() for hits in self.rules],
        }


def firewall_report(workspace: Workspace, since: datetime) -> FirewallReport:
    """Read the log of the web ACL. Raises OrderopsError where the environment has none."""
    environment = workspace.environment
    if not environment.firewall:
        raise OrderopsError(
            f"{environment.name} has no web ACL", "declare one: enabled = true in the table [waf] of its file"
        )
    group = log_group_name(environment)
    excepted = {rule for rule, exception in environment.waf.exceptions.items() if not exception.paths}
    partly = environment.waf.exceptions.keys() - excepted
    rules: dict[str, RuleHits] = {}
    header = caller_header(environment)
    would, blocked, read = 0, 0, 0
    for record in islice(_records(workspace, group, since), MOST_RECORDS):
        read += 1
        stopped, counted = _stopped(record), _counted(record)
        # What is excepted on some paths is counted everywhere: the rule of ours behind it tells on which others.
        counted = {rule for rule in counted if rule not in excepted and (rule not in partly or rule in OUR_RULES)}
        counted = {rule.removeprefix(EXCEPTED) for rule in counted}
        blocked += bool(stopped)
        would += bool(counted and not stopped)
        for rule in {stopped} if stopped else counted:
            _add(rules.setdefault(rule, RuleHits(rule, group_of(rule) or "")), record, header, blocked=bool(stopped))
    found = sorted(rules.values(), key=lambda hits: (-hits.would_block - hits.blocked, hits.rule))
    return FirewallReport(
        environment.name,
        environment.waf.mode,
        since,
        group,
        would,
        blocked,
        tuple(found),
        read < MOST_RECORDS,
        tuple(_only_on_aws(environment.waf)) if environment.emulated else (),
    )


def _only_on_aws(declared: WafConfig) -> Iterator[str]:
    yield from declared.managed_groups
    if declared.allowed_countries or declared.blocked_countries:
        yield COUNTRIES


def _records(workspace: Workspace, group: str, since: datetime) -> Iterator[Record]:
    start = int(since.timestamp() * 1000)
    try:
        for event in every(workspace.aws.logs.filter_log_events, "events", logGroupName=group, startTime=start):
            record = _parsed(event["message"])
            if record:
                yield record
    except AwsError as error:
        if error.code != "ResourceNotFoundException":
            raise
        raise OrderopsError(f"the log group {group} does not exist", "create it: orderops infra apply") from None


def _parsed(text: str) -> Record:
    """A record; empty for a line of another writer."""
    try:
        record = json.loads(text)
    except ValueError:
        return {}
    return record if isinstance(record, dict) and isinstance(record.get("httpRequest"), dict) else {}


def _stopped(record: Record) -> str:
    """The rule that blocked a request; "" if none did."""
    if record.get("action") not in STOPPING:
        return ""
    name = str(record.get("terminatingRuleId", ""))
    inner = next((_rule(group.get("terminatingRule")) for group in _groups(record) if group.get("terminatingRule")), "")
    return (inner if name in GROUPS else name.removeprefix(EXCEPTED)) or name


def _counted(record: Record) -> set[str]:
    """The rules that would have blocked a request, had they not been told to count."""
    found = {_rule(one) for one in record.get("nonTerminatingMatchingRules") or () if one.get("action") == "COUNT"}
    for group in _groups(record):
        for one in group.get("nonTerminatingMatchingRules") or ():
            # A rule that counts by itself, as AWS made it, would not block either.
            if one.get("action") == "COUNT" and one.get("overriddenAction", "BLOCK") in STOPPING:
                found.add(_rule(one))
        found |= {_rule(one) for one in group.get("excludedRules") or ()}
        # Of a rule that AWS has added, and the file does not name, the whole group is told to count.
        if (last := group.get("terminatingRule")) and last.get("action") in STOPPING:
            found.add(_rule(last))
    return found - GROUPS.keys() - {""}


def _groups(record: Record) -> list[Record]:
    return [group for group in record.get("ruleGroupList") or () if isinstance(group, dict)]


def _rule(one: Any) -> str:
    return str(one.get("ruleId", "")) if isinstance(one, dict) else ""


def _add(hits: RuleHits, record: Record, header: str, *, blocked: bool) -> None:
    request = record["httpRequest"]
    hits.blocked += blocked
    hits.would_block += not blocked
    hits.paths[_path(record)] += 1
    country = str(request.get("country") or "")
    hits.addresses[_caller(request, header), "" if country == "-" else country] += 1


def _caller(request: Mapping[str, Any], header: str) -> str:
    """The address of a caller; the log has it in a header where requests come from an API."""
    sent = [one for one in request.get("headers") or () if isinstance(one, dict)]
    named = (str(one.get("value", "")) for one in sent if str(one.get("name", "")).lower() == header.lower())
    return next(named, str(request.get("clientIp", "")))


def _path(record: Record) -> str:
    """The path of a request, as exceptions name it: without the stage that the URL of an API has in front."""
    path = str(record["httpRequest"].get("uri", ""))
    if record.get("httpSourceName") != "APIGW" or path.split("/")[1:2] != [STAGE]:
        return path
    return path.removeprefix(f"/{STAGE}") or "/"

"""The web ACLs of the account's load balancers and stages, and the log groups that their records go to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.elb.firewall import SEEN_OF_API, LogRecord, WebAcl

# Every save of the state writes all events, so that only the newest are kept.
EVENTS_KEPT = 5000
STAGES = "stages"


def web_acls() -> dict[str, WebAcl]:
    """Return the web ACL of each load balancer that has one, by its name, and of each stage, by `API/STAGE`."""
    found: dict[str, WebAcl] = {}
    for _, _, backend in get_backend("wafv2").iter_backends():
        for acl in backend.wacls.values():
            for resource in acl.associated_resources:
                parts = resource.split("/")
                # The ARN of a stage ends in /restapis/API/stages/STAGE, of a load balancer in loadbalancer/app/NAME/ID.
                if parts[-2] == STAGES:
                    source = f"{DEFAULT_ACCOUNT_ID}:{parts[-3]}:{parts[-1]}"
                    guard = replace(_web_acl(backend, acl, source), source_name="APIGW", seen=SEEN_OF_API)
                    found[f"{parts[-3]}/{parts[-1]}"] = guard
                else:
                    found[parts[-2]] = _web_acl(backend, acl, resource.partition(":loadbalancer/")[2])
    return found


def write_records(records: Iterable[LogRecord]) -> bool:
    """Add records to their log groups, if these exist; tell whether there was one."""
    written = False
    for record in records:
        region, name = record.log_group.split(":")[3], record.log_group.rpartition(":")[2]
        backend = get_backend("logs")[DEFAULT_ACCOUNT_ID][region]
        if name not in backend.groups:
            continue
        stream = f"{region}_{record.acl}_0"
        backend.ensure_log_stream(name, stream)
        backend.put_log_events(name, stream, [{"timestamp": record.timestamp, "message": record.message}])
        del backend.groups[name].streams[stream].events[:-EVENTS_KEPT]
        written = True
    return written


def _web_acl(backend: Any, acl: Any, source: str) -> WebAcl:
    logging = backend.logging_configurations.get(acl.arn)
    fields = (logging.redacted_fields or ()) if logging else ()
    rules = ({"Name": rule.name, "Statement": rule.statement, "Action": rule.action} for rule in _sorted(acl.rules))
    return WebAcl(
        arn=acl.arn,
        source=source,
        rules=tuple(rules),
        ranges={arn: tuple(map(ip_network, one.addresses)) for arn, one in backend.ip_sets.items()},
        blocks="Block" in acl.default_action,
        metric=acl.visibility_config["MetricName"],
        metrics={rule.name: rule.visibility_config["MetricName"] for rule in acl.rules},
        log_group=logging.log_destination_configs[0].removesuffix(":*") if logging else "",
        log_filter=(logging.logging_filter or {}) if logging else {},
        redacted=frozenset(one["SingleHeader"]["Name"].lower() for one in fields if "SingleHeader" in one),
    )


def _sorted(rules: Iterable[Any]) -> list[Any]:
    return sorted(rules, key=lambda rule: int(rule.priority))

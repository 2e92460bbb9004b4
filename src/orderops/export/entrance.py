"""Entrance: load balancer, listener, rules, target groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orderops.export.hcl import blocks
from orderops.export.part import Found, Part, ignoring

REDIRECT = ("Host", "Path", "Port", "Protocol", "Query")
HSTS = "routing.http.response.strict_transport_security.header_value"


def load_balancer(found: Found) -> Iterator[Part]:
    """A load balancer with its attributes."""
    properties = found.properties
    logs = {
        "bucket": found.references.named("s3-bucket", properties["access_logs.s3.bucket"], "id"),
        "enabled": properties["access_logs.s3.enabled"] == "true",
    }
    body = {
        "name": found.name,
        "load_balancer_type": properties["Type"],
        "internal": properties["Scheme"] == "internal",
        "subnets": found.place(properties["Subnets"]),
        "security_groups": found.place(properties["SecurityGroups"]),
        "idle_timeout": int(properties["idle_timeout.timeout_seconds"]),
        "enable_deletion_protection": properties["deletion_protection.enabled"] == "true",
        "drop_invalid_header_fields": properties["routing.http.drop_invalid_header_fields.enabled"] == "true",
        "access_logs": blocks(logs if properties["access_logs.s3.bucket"] else None),
        "tags": found.tags,
    }
    yield Part("aws_lb", found.observed.id, body)


def listener(found: Found) -> Iterator[Part]:
    """A listener, and what it answers by default."""
    properties = found.properties
    body = {
        "load_balancer_arn": found.place(properties["LoadBalancerArn"]),
        "port": properties["Port"],
        "protocol": properties["Protocol"],
        "certificate_arn": found.place(next(iter(properties["Certificates"]), None)),
        "ssl_policy": properties["SslPolicy"],
        "routing_http_response_strict_transport_security_header_value": properties.get(HSTS) or None,
        "default_action": blocks(*(_action(found, action) for action in properties["DefaultActions"])),
        "tags": found.tags,
    }
    yield Part("aws_lb_listener", found.observed.id, body)


def _action(found: Found, action: Mapping[str, Any]) -> dict[str, Any]:
    fixed, redirect = action.get("FixedResponseConfig"), action.get("RedirectConfig")
    answer = fixed and {
        "content_type": fixed["ContentType"],
        "message_body": fixed.get("MessageBody"),
        "status_code": fixed["StatusCode"],
    }
    return {
        "type": action["Type"],
        "target_group_arn": found.place(action.get("TargetGroupArn")),
        "fixed_response": blocks(answer),
        "redirect": blocks(_redirect(redirect) if redirect else None),
    }


def _redirect(redirect: Mapping[str, str]) -> dict[str, str]:
    return {**{key.lower(): redirect[key] for key in REDIRECT}, "status_code": redirect["StatusCode"]}


def rule(found: Found) -> Iterator[Part]:
    """A listener rule. Which of two target groups gets the requests changes with every release, and is left alone."""
    properties = found.properties
    groups, live = properties["TargetGroupArns"], properties["LiveTargetGroupArn"]
    action: dict[str, Any] = {"type": "forward"}
    if len(groups) == 1 and isinstance(groups[0], Mapping):
        action = _action(found, groups[0])
    elif len(groups) == 1:
        action["target_group_arn"] = found.place(groups[0])
    else:
        weights = [{"arn": found.place(arn), "weight": 100 if arn == live else 0} for arn in groups]
        action["forward"] = blocks({"target_group": blocks(*weights)})
    name, *values = properties["Header"] or [None]
    header = {"http_header": blocks({"http_header_name": name, "values": _flat(values)})} if name else None
    hosts = _matched("host_header", properties["Hosts"])
    body = {
        "listener_arn": found.place(properties["ListenerArn"]),
        "priority": properties["Priority"],
        "condition": blocks(*_matched("path_pattern", properties["PathPatterns"]), *hosts, header),
        "action": blocks(action),
        "tags": found.tags,
        "lifecycle": ignoring("action") if len(groups) > 1 else None,
    }
    yield Part("aws_lb_listener_rule", found.observed.id, body)


def _matched(kind: str, values: list[Any]) -> Iterator[dict[str, Any]]:
    if values:
        yield {kind: blocks({"values": values})}


def _flat(values: list[Any]) -> list[str]:
    return [text for value in values for text in (value if isinstance(value, (list, tuple)) else [value])]


def target_group(found: Found) -> Iterator[Part]:
    """A target group. Its own port is used by no target that ECS registers, and another one would replace it."""
    properties = found.properties
    check = {
        "enabled": True,
        "protocol": properties["HealthCheckProtocol"],
        "port": properties["HealthCheckPort"],
        "path": properties["HealthCheckPath"],
        "interval": properties["HealthCheckIntervalSeconds"],
        "timeout": properties["HealthCheckTimeoutSeconds"],
        "healthy_threshold": properties["HealthyThresholdCount"],
        "unhealthy_threshold": properties["UnhealthyThresholdCount"],
        "matcher": properties["Matcher"]["HttpCode"],
    }
    body = {
        "name": found.name,
        "port": getattr(found.resource, "port", None),
        "protocol": properties["Protocol"],
        "target_type": properties["TargetType"],
        "vpc_id": found.place(properties["VpcId"]),
        "deregistration_delay": properties["deregistration_delay.timeout_seconds"],
        "health_check": blocks(check),
        "tags": found.tags,
        "lifecycle": ignoring("port"),
    }
    yield Part("aws_lb_target_group", found.observed.id, body)

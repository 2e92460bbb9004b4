"""Which rule of a listener a request meets, and what the rule says. Knows neither moto nor sockets."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

Json = dict[str, Any]


@dataclass(frozen=True)
class HttpRequest:
    """What rules look at."""

    method: str
    host: str
    path: str
    query: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class RoutingRule:
    """Conditions that must all hold, and what happens then; the default rule has none."""

    priority: float
    conditions: tuple[Json, ...]
    actions: tuple[Json, ...]

    def meets(self, request: HttpRequest) -> bool:
        return all(_holds(condition, request) for condition in self.conditions)


@dataclass(frozen=True)
class Listener:
    """A port and its rules, in the order in which they are tried."""

    arn: str
    balancer: str
    port: int
    rules: tuple[RoutingRule, ...]
    idle_timeout: float = 60.0

    def action(self, request: HttpRequest) -> Json:
        """The last action of the first rule that the request meets: those before it only authenticate."""
        for rule in self.rules:
            if rule.meets(request) and rule.actions:
                return rule.actions[-1]
        return {"Type": "none"}


def pick_group(action: Json) -> str:
    """The target group of a forward, by weight where there are several."""
    groups = [group for group in action.get("ForwardConfig", {}).get("TargetGroups", []) if group.get("TargetGroupArn")]
    weights = [int(group.get("Weight", 1)) for group in groups]
    if groups and any(weights):
        return str(random.choices(groups, weights)[0]["TargetGroupArn"])
    return str(action.get("TargetGroupArn", ""))


def redirect_to(action: Json, request: HttpRequest, port: int) -> tuple[int, str]:
    """Status and address of a redirect."""
    config = action["RedirectConfig"]
    known = {"protocol": "http", "host": request.host.partition(":")[0], "port": str(port)}
    known |= {"path": request.path.removeprefix("/"), "query": request.query}
    parts = {
        "Protocol": "#{protocol}",
        "Host": "#{host}",
        "Port": "#{port}",
        "Path": "/#{path}",
        "Query": "#{query}",
        **config,
    }
    filled = {name: re.sub(r"#\{(\w+)\}", lambda found: known.get(found[1], ""), str(parts[name])) for name in parts}
    query = f"?{filled['Query']}" if filled["Query"] else ""
    status = 301 if config.get("StatusCode") == "HTTP_301" else 302
    return status, f"{filled['Protocol'].lower()}://{filled['Host']}:{filled['Port']}{filled['Path']}{query}"


def _holds(condition: Json, request: HttpRequest) -> bool:
    values = condition.get("Values") or []
    match condition.get("Field"):
        case "path-pattern":
            return _any_like(_values(condition, "PathPatternConfig"), request.path)
        case "host-header":
            return _any_like(_values(condition, "HostHeaderConfig"), request.host.partition(":")[0].lower())
        case "http-request-method":
            return request.method in _values(condition, "HttpRequestMethodConfig")
        case "http-header":
            config = condition["HttpHeaderConfig"]
            return _any_like(config["Values"], request.headers.get(config["HttpHeaderName"].lower(), ""))
        case "query-string":
            pairs = parse_qsl(request.query, keep_blank_values=True)
            wanted = condition["QueryStringConfig"]["Values"]
            return any(_like(one["Value"], v) and one.get("Key", k) == k for one in wanted for k, v in pairs)
        case "source-ip":
            return any(
                str(value).startswith("127.") or value == "0.0.0.0/0" for value in _values(condition, "SourceIpConfig")
            )
        case _:
            return not values


def _values(condition: Json, config: str) -> list[str]:
    return list(condition.get(config, {}).get("Values") or condition.get("Values") or [])


def _any_like(patterns: list[str], text: str) -> bool:
    return any(_like(pattern, text) for pattern in patterns)


def _like(pattern: str, text: str) -> bool:
    return _compiled(pattern).fullmatch(text) is not None


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    """`*` is any number of characters, `?` is one, everything else is itself."""
    return re.compile("".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in pattern), re.DOTALL)

"""Match requests with listener rules and resolve their actions. Knows neither moto nor sockets."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

Json = dict[str, Any]
# Names that resolvers answer with a loopback address, and such addresses: no foreign page comes from there.
LOOPBACK = re.compile(r"(?:[a-z0-9-]+\.)*localhost|127(?:\.\d{1,3}){3}|\[::1\]")


@dataclass(frozen=True)
class HttpRequest:
    """Parts of a request that rules look at."""

    method: str
    host: str
    path: str
    query: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class RoutingRule:
    """Conditions, which must all match, and the actions; the default rule has no conditions."""

    priority: float
    conditions: tuple[Json, ...]
    actions: tuple[Json, ...]

    def matches(self, request: HttpRequest) -> bool:
        return all(_condition_matches(condition, request) for condition in self.conditions)


@dataclass(frozen=True)
class Listener:
    """Port and rules, in order of priority."""

    arn: str
    balancer: str
    port: int
    rules: tuple[RoutingRule, ...]
    idle_timeout: float = 60.0
    internal: bool = False
    """Whether a VPC link leads to it, so that it needs no port that clients know."""
    certificates: tuple[tuple[str, ...], ...] = ()
    """The names on each certificate, the default one first; empty for a listener without TLS."""
    added_headers: tuple[tuple[str, str], ...] = ()
    """Headers that are added to every response."""

    @property
    def place(self) -> int | str:
        """What no other listener has: its port; an internal one has a port of this machine that is chosen for it."""
        return self.arn if self.internal else self.port

    @property
    def scheme(self) -> str:
        """The protocol that clients speak."""
        return "https" if self.certificates else "http"

    def answers(self, host: str) -> bool:
        """Tell whether a request for this host is answered: a name of this machine, or one that a rule declares.

        On AWS a balancer answers for every name. Here, a name that resolves to this machine may be that of a web page,
        which would then read everything (DNS rebinding).
        """
        name = _host_name(host)
        certified = [pattern for names in self.certificates for pattern in names]
        return LOOPBACK.fullmatch(name) is not None or _matches_any([*self._declared_hosts(), *certified], name)

    def _declared_hosts(self) -> list[str]:
        conditions = [condition for rule in self.rules for condition in rule.conditions]
        patterns = [
            pattern
            for condition in conditions
            if condition.get("Field") == "host-header"
            for pattern in _values(condition, "HostHeaderConfig")
        ]
        # `*` names no host.
        return [pattern.lower() for pattern in patterns if re.search("[a-z0-9]", pattern, re.IGNORECASE)]

    def action(self, request: HttpRequest) -> Json:
        """Return the last action of the first matching rule: earlier actions only authenticate."""
        for rule in self.rules:
            if rule.matches(request) and rule.actions:
                return rule.actions[-1]
        return {"Type": "none"}


def pick_group(action: Json) -> str:
    """Return the target group of a forward action, chosen by weight."""
    groups = [group for group in action.get("ForwardConfig", {}).get("TargetGroups", []) if group.get("TargetGroupArn")]
    weights = [int(group.get("Weight", 1)) for group in groups]
    if groups and any(weights):
        return str(random.choices(groups, weights)[0]["TargetGroupArn"])
    return str(action.get("TargetGroupArn", ""))


def redirect_to(action: Json, request: HttpRequest, port: int, scheme: str = "http") -> tuple[int, str]:
    """Return status and URL of a redirect action; `port` and `scheme` are those of the listener."""
    config = action["RedirectConfig"]
    known = {"protocol": scheme, "host": _host_name(request.host), "port": str(port)}
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


def _host_name(host: str) -> str:
    """Return a host without its port, in lower case."""
    return re.sub(r":\d*$", "", host).lower()


def _condition_matches(condition: Json, request: HttpRequest) -> bool:
    values = condition.get("Values") or []
    match condition.get("Field"):
        case "path-pattern":
            return _matches_any(_values(condition, "PathPatternConfig"), request.path)
        case "host-header":
            return _matches_any(_values(condition, "HostHeaderConfig"), _host_name(request.host))
        case "http-request-method":
            return request.method in _values(condition, "HttpRequestMethodConfig")
        case "http-header":
            config = condition["HttpHeaderConfig"]
            return _matches_any(config["Values"], request.headers.get(config["HttpHeaderName"].lower(), ""))
        case "query-string":
            pairs = parse_qsl(request.query, keep_blank_values=True)
            wanted = condition["QueryStringConfig"]["Values"]
            return any(
                _matches_pattern(expected["Value"], v) and expected.get("Key", k) == k
                for expected in wanted
                for k, v in pairs
            )
        # Every client of a laptop comes from the loopback interface.
        case "source-ip":
            return any(
                str(value).startswith("127.") or value == "0.0.0.0/0" for value in _values(condition, "SourceIpConfig")
            )
        case _:
            return not values


def _values(condition: Json, config: str) -> list[str]:
    return list(condition.get(config, {}).get("Values") or condition.get("Values") or [])


def _matches_any(patterns: list[str], text: str) -> bool:
    return any(_matches_pattern(pattern, text) for pattern in patterns)


def _matches_pattern(pattern: str, text: str) -> bool:
    return _compiled(pattern).fullmatch(text) is not None


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern: `*` is any number of characters, `?` is one."""
    return re.compile("".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in pattern), re.DOTALL)

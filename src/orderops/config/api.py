"""The table [api] of an environment file: an HTTP or REST API of API Gateway in front of the load balancer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field

from orderops.config import types as values
from orderops.config.api_routes import ORDER_PROCESSOR_ROUTES, PROBED, UNAUTHORISED, USERS, ProcessorKinds
from orderops.config.loader import Key, Mistake, TomlTable, no_keys
from orderops.config.service import ServiceConfig
from orderops.config.types import between, counted
from orderops.frozen import Frozen
from orderops.text.lists import joined

Authorization = Literal["none", "jwt", "iam"]
ApiKind = Literal["none", "http", "rest"]
PRICE = "its requests cost almost three times as much as those of an HTTP API"
ONLY_REST = {
    "api_keys": "keys of clients",
    "plan": "limits for each key",
    "validate_requests": "the validation of requests",
    "waf": "AWS WAF on the API",
}
"""Settings that only a REST API has, and what each is."""
# API Gateway ends a request to a REST API earlier than one to an HTTP API.
MOST_SECONDS: Mapping[ApiKind, int] = {"none": 30, "http": 30, "rest": 29}
TOGETHER = "is missing: API Gateway takes the two limits together"
# The limits of an account in a region, "Quotas for configuring and running an HTTP API".
Rate = Annotated[int, between(1, 10_000, "the quota of an account is 10,000 in a region")]
Burst = Annotated[int, between(1, 5_000, "the quota of an account is 5,000; with 0, every call is answered with 429")]


class DeclaredRoute(Frozen):
    """A route as it is made: its key, who may use it, and its own limit if it has one."""

    key: str
    authorization: Authorization
    scopes: tuple[str, ...]
    limit: tuple[int, int] | None
    """Requests a second, and at once."""
    needs_key: bool = False
    """Whether a caller needs an API key."""


class ApiJwtConfig(TomlTable):
    """The tokens that routes with `authorization = "jwt"` take."""

    issuer: values.IssuerUrl | None = None
    """URL of the issuer, which serves `/.well-known/openid-configuration`; a token has it as `iss`."""
    audience: Annotated[list[values.Reason], counted(0, 50)] = Field(default_factory=list)
    """Audiences; a token has one of them as `aud` or `client_id`."""


class ApiPlanConfig(TomlTable):
    """The usage plan: what the holder of each API key may use."""

    requests_per_second: Rate | None = None
    """Requests a second of each key; needs `burst`. When left out, those of the API."""
    burst: Burst | None = None
    """Requests at once of each key; needs `requests_per_second`."""
    quota: Annotated[int, between(1, 2_147_483_647)] | None = None
    """Requests of each key in a `period`; when left out, any number."""
    period: Literal["day", "week", "month"] = "month"
    """What `quota` counts in; it begins anew at midnight UTC."""

    @property
    def limit(self) -> tuple[int, int] | None:
        """Requests a second, and at once, of each key."""
        return (self.requests_per_second, self.burst) if self.requests_per_second and self.burst else None


class ApiRouteConfig(TomlTable):
    """A route of the API: its name is the method and the path, such as `POST /orders`."""

    authorization: Authorization | None = None
    """Who may use it; when left out, as `[api] authorization` says."""
    scopes: Annotated[list[values.TokenScope], counted(0, 10)] = Field(default_factory=list)
    """Scopes of which a token must have one; with `jwt` only."""
    api_key: bool | None = None
    """Whether a caller needs an API key; when left out, as `[api] api_keys` says."""
    requests_per_second: Rate | None = None
    """Requests a second of all callers together; needs `burst`. When left out, those of the API."""
    burst: Burst | None = None
    """Requests at once of all callers together; needs `requests_per_second`."""


class ApiConfig(TomlTable):
    """An API in front of the load balancer."""

    type: ApiKind | None = None
    """Kind of the API: `http`, `rest` or `none`. When left out, orderops chooses: `rest` where `api_keys`, `plan`,
    `validate_requests` or `waf` is declared, which only a REST API has; else `http`; and `none` where nothing is
    declared."""
    balancer: Literal["internal", "both"] = "internal"
    """The load balancer behind the API: `internal` alone, or `both` it and the public one, while clients move."""
    authorization: Authorization = "none"
    """Who may use a route that says nothing itself: everybody, holders of a token (`jwt`; HTTP), or signers (`iam`)."""
    requests_per_second: Rate = 500
    """Requests a second of all callers together, above which the API answers 429."""
    burst: Burst = 1000
    """Requests at once of all callers together."""
    timeout_seconds: Annotated[int, between(1, 30, "API Gateway ends a request after 30 s")] | None = None
    """Seconds after which the API answers in place of the service; when left out, the most: 30, or 29 for `rest`."""
    access_log_days: values.LogDays = 30
    """Days for which the access log is kept."""
    api_keys: bool = False
    """Whether callers need an API key (`x-api-key`), which `orderops api keys create` makes; a REST API."""
    plan: ApiPlanConfig = no_keys()
    """What the holder of each key may use; with `api_keys`."""
    validate_requests: bool = False
    """Whether the API refuses orders that break the schema of the order processor's OpenAPI document; a REST API."""
    waf: bool | None = None
    """Whether the web ACL of `[waf]` is on the API, where it sees the addresses of callers, and not on the load
    balancer behind it; a REST API. When left out, if it is a REST API for another reason."""
    jwt: ApiJwtConfig = no_keys()
    """The tokens of callers."""
    routes: Annotated[dict[values.RouteKey, ApiRouteConfig], counted(0, 300)] = Field(default_factory=dict)
    """Routes with settings of their own, and those of services with an image of their own."""

    @property
    def kind(self) -> ApiKind:
        """The kind of the API: as declared, or else as its settings need it."""
        if self.type is not None:
            return self.type
        return "rest" if self._needs_rest() else "http" if self._given() else "none"

    @property
    def choice(self) -> str:
        """Why orderops chose this kind, in words; "" if the file says it, or there is no API."""
        if self.type is not None or not self.declared:
            return ""
        if needs := self._needs_rest():
            return f"a REST API, for {joined(needs)}, which no HTTP API has; {PRICE}"
        return "an HTTP API: nothing in [api] needs a REST API, whose requests cost almost three times as much"

    @property
    def declared(self) -> bool:
        """Whether there is an API."""
        return self.kind != "none"

    @property
    def timeout_millis(self) -> int:
        """Milliseconds after which the API ends a request."""
        return 1000 * (self.timeout_seconds or MOST_SECONDS[self.kind])

    @property
    def alone(self) -> bool:
        """Whether all requests come by the API, so that the load balancer is internal."""
        return self.declared and self.balancer == "internal"

    @property
    def takes_web_acl(self) -> bool:
        """Whether a web ACL of the environment is on the API."""
        return self.kind == "rest" and self.waf is not False

    def routes_of(self, services: Mapping[str, ServiceConfig]) -> list[DeclaredRoute]:
        """Every route, sorted by its key: those of the order processor, and those of the file."""
        keys = {*_known_keys(ProcessorKinds.of(services.values())), *self.routes}
        return [self._route(key) for key in sorted(keys)]

    def authorises_orders(self, services: Mapping[str, ServiceConfig]) -> bool:
        """Whether nobody can reach /orders but by this API, and with a token or a signature."""
        guarded = [route for route in self.routes_of(services) if "/orders" in route.key]
        return self.alone and all(route.authorization != "none" for route in guarded)

    def mistakes(self) -> Iterator[Mistake]:
        """Check what an API of this kind does not have, and settings that miss each other."""
        if self.type == "none" and (given := self._given()):
            yield Mistake(("type",), self.type, f'must be "http" or "rest", or left out, with {", ".join(given)}')
        if self.type == "http":
            for key in self._given():
                if what := ONLY_REST.get(key):
                    rule = f'is of REST APIs ({what}): leave type out, or write type = "rest"; {PRICE}'
                    yield Mistake((key,), self.type if key == "plan" else True, rule, (("type",),))
        if missing := _missing_limit(self.plan):
            yield Mistake(("plan", missing), None, TOGETHER, (("plan",),))
        if self.plan.given() and not self.api_keys:
            yield Mistake(("plan",), {}, "counts the requests of each key: set api_keys = true", (("api_keys",),))
        if self.kind == "rest":
            yield from self._rest_mistakes()
        yield from self._token_mistakes()
        for key, route in self.routes.items():
            yield from self._route_mistakes(("routes", key), key, route)

    def misfits(self, services: Mapping[str, ServiceConfig], cidrs: list[str], *, emulated: bool) -> Iterator[Mistake]:
        """Check the API against the rest of the file."""
        if not self.declared:
            return
        kinds = ProcessorKinds.of(services.values())
        known = _known_keys(kinds)
        for key in self.routes if kinds.only_order_processors else ():
            if key not in known:
                rule = f"is no route of the order processor; its OpenAPI document has: {', '.join(sorted(known))}"
                yield Mistake(("api", "routes", key), {}, rule)
        if not kinds.order_processors and not self.routes:
            rule = 'needs the routes of your service: each is a table such as [api.routes."GET /orders"]'
            yield Mistake(("api", "routes"), {}, rule)
        issuer = urlsplit(self.jwt.issuer or "https:")
        if issuer.scheme != "https" and not (emulated and issuer.hostname in ("localhost", "127.0.0.1")):
            rule = "must begin with https://, since API Gateway reads the issuer's keys; http only on this machine"
            yield Mistake(("api", "jwt", "issuer"), self.jwt.issuer, rule)
        if self.alone and cidrs != ["0.0.0.0/0"]:
            rule = "has no effect behind the API, which admits every address: take it out, or authorise callers"
            yield Mistake(("balancer", "allowed_cidrs"), cidrs, rule, (("api", "balancer"),))
        if self.validate_requests and not kinds.order_processors:
            rule = "knows the requests of the order processor only, and no service of this file is one"
            yield Mistake(("api", "validate_requests"), self.validate_requests, rule)
        yield from self._service_misfits(services)

    def _given(self) -> list[str]:
        """The settings that differ from their defaults, without the type, and without one that keeps WAF away."""
        return [key for key in self.given() if key != "type" and getattr(self, key) is not False]

    def _needs_rest(self) -> list[str]:
        """What is declared of what only a REST API has."""
        return [what for key, what in ONLY_REST.items() if key in self._given()]

    def _rest_mistakes(self) -> Iterator[Mistake]:
        if (self.timeout_seconds or 0) > MOST_SECONDS["rest"]:
            rule = "must be 1 to 29: API Gateway ends a request to a REST API after 29 s"
            yield Mistake(("timeout_seconds",), self.timeout_seconds, rule, (("type",),))
        rule = 'needs an HTTP API: a REST API checks tokens only by a Lambda function; use "iam", or take {} out'
        rest = ", ".join(key for key in ONLY_REST if key in self._given()) or "type"
        if self.authorization == "jwt":
            yield Mistake(("authorization",), "jwt", rule.format(rest), (("api_keys",), ("validate_requests",)))
        for key, route in self.routes.items():
            if route.authorization == "jwt":
                yield Mistake(("routes", key, "authorization"), "jwt", rule.format(rest), (("type",),))
        yield from self._variable_mistakes()

    def _variable_mistakes(self) -> Iterator[Mistake]:
        """Check that paths have one name for the variable of one place, as the tree of a REST API has."""
        names: dict[str, str] = {}
        for key in self.routes:
            above = ""
            for part in key.partition(" ")[2].strip("/").split("/"):
                if part.startswith("{") and (other := names.setdefault(above, part)) != part:
                    rule = f"has {part} where another route has {other}: a REST API takes one variable in a place"
                    yield Mistake(("routes", key), {}, rule)
                above += f"/{part}"

    def _service_misfits(self, services: Mapping[str, ServiceConfig]) -> Iterator[Mistake]:
        guarded = any(route.authorization != "none" for route in self.routes_of(services))
        for name, declared in services.items():
            key: Key = ("services", name)
            if self.balancer == "both" and declared.strategy != "rolling":
                rule = 'must be "rolling" while [api] balancer = "both": ECS shifts the traffic of one load balancer'
                yield Mistake((*key, "strategy"), declared.strategy, rule, (("api", "balancer"),))
            if guarded and declared.token_secret:
                rule = "reads the header Authorization, which the API's jwt or iam uses: take one of the two out"
                yield Mistake((*key, "token_secret"), declared.token_secret, rule, (("api", "authorization"),))

    def _token_mistakes(self) -> Iterator[Mistake]:
        used = "jwt" in (self.authorization, *(route.authorization for route in self.routes.values()))
        for key, value in (("issuer", self.jwt.issuer), ("audience", self.jwt.audience)):
            if used and not value:
                rule = 'is missing; authorization = "jwt" needs it'
                yield Mistake(("jwt", key), value, rule, (("authorization",), ("jwt",), ("routes",)))
        if self.jwt.issuer and not used:
            rule = 'is not used: no route has authorization = "jwt"'
            yield Mistake(("jwt", "issuer"), self.jwt.issuer, rule, (("authorization",), ("routes",)))

    def _route_mistakes(self, where: Key, key: str, route: ApiRouteConfig) -> Iterator[Mistake]:
        authorization = self._route(key).authorization
        if route.scopes and authorization != "jwt":
            rule = f'belong to authorization = "jwt"; this route has "{authorization}", and a route has one of them'
            yield Mistake((*where, "scopes"), route.scopes, rule, ((*where, "authorization"),))
        if missing := _missing_limit(route):
            yield Mistake((*where, missing), None, TOGETHER, (where,))
        if route.api_key and not self.api_keys:
            rule = "needs api_keys = true, which makes the usage plan that keys belong to"
            yield Mistake((*where, "api_key"), True, rule, (("api_keys",),))
        if route.api_key and key in PROBED:
            rule = "must be false: orderops status and releases ask it as a client without a key"
            yield Mistake((*where, "api_key"), True, rule, (("api_keys",),))
        if authorization != "none" and key in PROBED:
            rule = 'must be "none": orderops status and releases ask it as a client without a token'
            yield Mistake((*where, "authorization"), authorization, rule, (("authorization",),))

    def _route(self, key: str) -> DeclaredRoute:
        own = self.routes.get(key, ApiRouteConfig())
        default: Authorization = "none" if key in UNAUTHORISED else self.authorization
        limit = (own.requests_per_second, own.burst) if own.requests_per_second and own.burst else None
        needs_key = (self.api_keys and key not in UNAUTHORISED) if own.api_key is None else own.api_key
        return DeclaredRoute(key, own.authorization or default, tuple(own.scopes), limit, needs_key)


def _missing_limit(table: ApiPlanConfig | ApiRouteConfig) -> str:
    """The one of two limits that is left out while the other is there; "" if none is missing."""
    if (table.requests_per_second is None) == (table.burst is None):
        return ""
    return "burst" if table.burst is None else "requests_per_second"


def _known_keys(kinds: ProcessorKinds) -> Iterable[str]:
    if not kinds.order_processors:
        return ()
    return (*ORDER_PROCESSOR_ROUTES, *(USERS if kinds.demonstration else ()))

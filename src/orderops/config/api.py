"""The table [api] of an environment file: an HTTP API of API Gateway in front of the load balancer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field

from orderops.config import types as values
from orderops.config.api_routes import ORDER_PROCESSOR_ROUTES, PROBED, UNAUTHORISED, USERS, ProcessorKinds
from orderops.config.loader import Key, Mistake, TomlTable
from orderops.config.service import ServiceConfig
from orderops.config.types import between, counted

Authorization = Literal["none", "jwt", "iam"]
REST = (
    "needs a REST API, which orderops does not offer: it costs about 3.5 times as much for each request, and a change "
    "of it reaches callers only by deployments of its own; "
)
NOT_OFFERED = {
    "api_keys": (REST + "an HTTP API knows its callers by jwt or iam: authorization", "authorization"),
    "validate_requests": (REST + "the service itself answers a wrong order with 422", "type"),
}
# The limits of an account in a region, "Quotas for configuring and running an HTTP API".
Rate = Annotated[int, between(1, 10_000, "the quota of an account is 10,000 in a region")]
Burst = Annotated[int, between(1, 5_000, "the quota of an account is 5,000; with 0, every call is answered with 429")]


@dataclass(frozen=True)
class DeclaredRoute:
    """A route as it is made: its key, who may use it, and its own limit if it has one."""

    key: str
    authorization: Authorization
    scopes: tuple[str, ...]
    limit: tuple[int, int] | None
    """Requests a second, and at once."""


class ApiJwtConfig(TomlTable):
    """The tokens that routes with `authorization = "jwt"` take."""

    issuer: values.IssuerUrl | None = None
    """URL of the issuer, which serves `/.well-known/openid-configuration`; a token has it as `iss`."""
    audience: Annotated[list[values.Reason], counted(0, 50)] = Field(default_factory=list)
    """Audiences; a token has one of them as `aud` or `client_id`."""


class ApiRouteConfig(TomlTable):
    """A route of the API: its name is the method and the path, such as `POST /orders`."""

    authorization: Authorization | None = None
    """Who may use it; when left out, as `[api] authorization` says."""
    scopes: Annotated[list[values.TokenScope], counted(0, 10)] = Field(default_factory=list)
    """Scopes of which a token must have one; with `jwt` only."""
    requests_per_second: Rate | None = None
    """Requests a second of all callers together; needs `burst`. When left out, those of the API."""
    burst: Burst | None = None
    """Requests at once of all callers together; needs `requests_per_second`."""


class ApiConfig(TomlTable):
    """An API in front of the load balancer."""

    type: Literal["none", "http", "rest"] = "none"
    """Kind of the API: `http`, or `none`. A REST API is not offered."""
    balancer: Literal["internal", "both"] = "internal"
    """The load balancer behind the API: `internal` alone, or `both` it and the public one, while clients move."""
    authorization: Authorization = "none"
    """Who may use a route that says nothing itself: everybody, holders of a token (`jwt`), or signers (`iam`)."""
    requests_per_second: Rate = 500
    """Requests a second of all callers together, above which the API answers 429."""
    burst: Burst = 1000
    """Requests at once of all callers together."""
    timeout_seconds: Annotated[int, between(1, 30, "API Gateway ends a request after 30 s")] = 30
    """Seconds after which the API answers 503 in place of the service."""
    access_log_days: values.LogDays = 30
    """Days for which the access log is kept."""
    api_keys: bool = False
    """Not offered: API keys and usage plans are of REST APIs."""
    validate_requests: bool = False
    """Not offered: the validation of requests is of REST APIs."""
    jwt: ApiJwtConfig = ApiJwtConfig()
    """The tokens of callers."""
    routes: Annotated[dict[values.RouteKey, ApiRouteConfig], counted(0, 300)] = Field(default_factory=dict)
    """Routes with settings of their own, and those of services with an image of their own."""

    @property
    def declared(self) -> bool:
        """Whether there is an API."""
        return self.type == "http"

    @property
    def alone(self) -> bool:
        """Whether all requests come by the API, so that the load balancer is internal."""
        return self.declared and self.balancer == "internal"

    def routes_of(self, services: Mapping[str, ServiceConfig]) -> list[DeclaredRoute]:
        """Every route, sorted by its key: those of the order processor, and those of the file."""
        keys = {*_known_keys(ProcessorKinds.of(services.values())), *self.routes}
        return [self._route(key) for key in sorted(keys)]

    def authorises_orders(self, services: Mapping[str, ServiceConfig]) -> bool:
        """Whether nobody can reach /orders but by this API, and with a token or a signature."""
        guarded = [route for route in self.routes_of(services) if "/orders" in route.key]
        return self.alone and all(route.authorization != "none" for route in guarded)

    def mistakes(self) -> Iterator[Mistake]:
        """Check what an HTTP API does not have, and settings that miss each other."""
        if self.type == "rest":
            yield Mistake(("type",), self.type, f'{REST}use type = "http"')
        for key, (rule, among) in NOT_OFFERED.items():
            if getattr(self, key):
                yield Mistake((key,), True, rule, ((among,),))
        fields = type(self).model_fields
        defaults = {key: field.get_default(call_default_factory=True) for key, field in fields.items()}
        rest = sorted(key for key in fields if getattr(self, key) != defaults[key])
        if self.type == "none" and rest:
            yield Mistake(("type",), self.type, f'must be "http" with {", ".join(rest)}')
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
        yield from self._service_misfits(services)

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
        if (route.requests_per_second is None) != (route.burst is None):
            missing, value = ("burst", route.burst) if route.burst is None else ("requests_per_second", None)
            rule = "is missing: API Gateway takes the two limits of a route together"
            yield Mistake((*where, missing), value, rule, (where,))
        if authorization != "none" and key in PROBED:
            rule = 'must be "none": orderops status and releases ask it as a client without a token'
            yield Mistake((*where, "authorization"), authorization, rule, (("authorization",),))

    def _route(self, key: str) -> DeclaredRoute:
        own = self.routes.get(key, ApiRouteConfig())
        default: Authorization = "none" if key in UNAUTHORISED else self.authorization
        limit = (own.requests_per_second, own.burst) if own.requests_per_second and own.burst else None
        return DeclaredRoute(key, own.authorization or default, tuple(own.scopes), limit)


def _known_keys(kinds: ProcessorKinds) -> Iterable[str]:
    if not kinds.order_processors:
        return ()
    return (*ORDER_PROCESSOR_ROUTES, *(USERS if kinds.demonstration else ()))

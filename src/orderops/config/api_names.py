"""What a name under [domain] cannot have while it leads to an API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orderops.config.api import ApiConfig
from orderops.config.domain import DomainConfig
from orderops.config.loader import Mistake
from orderops.config.service import ServiceConfig

PORT = 443
"""The only port of a domain name of API Gateway."""


def name_mistakes(
    domain: DomainConfig, api: ApiConfig, services: Mapping[str, ServiceConfig], *, emulated: bool
) -> Iterator[Mistake]:
    """Check the names of an environment that has an API."""
    if not domain.name or not api.declared:
        return
    among = (("api",),)
    # On the laptop the port is that of the load balancer; a name of the API has a port of its own.
    if domain.port != PORT and not emulated:
        rule = f"must be {PORT} with [api]: API Gateway answers a name by no other port"
        yield Mistake(("domain", "port"), domain.port, rule, among)
    if domain.hsts_seconds:
        rule = "must be 0 with [api]: API Gateway adds no such header, and has no HTTP either; a service may send it"
        yield Mistake(("domain", "hsts_seconds"), domain.hsts_seconds, rule, among)
    for name, service in services.items():
        if service.hosts:
            rule = "cannot be combined with [api], which knows routes by their paths alone; tell services by paths"
            yield Mistake(("services", name, "hosts"), service.hosts, rule, among)


def redirected_names(domain: DomainConfig, api: ApiConfig) -> list[tuple[str, ...]]:
    """The further names by the rules of the load balancer that redirect each; none behind an API alone."""
    return [] if api.alone else domain.redirected

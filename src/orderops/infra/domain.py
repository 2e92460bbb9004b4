"""The name of an environment: certificate, HTTPS listener, records, and what sends requests by HTTP on to it.

A name is added in this order: the certificate, the HTTPS listener with the rules of all services, the records, and only
then the redirects. So HTTP answers until HTTPS does. It is taken away the other way round: HTTP answers again first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from orderops.aws.client import Aws
from orderops.config.environment import Environment
from orderops.engine.resource import Resource
from orderops.infra.service import ServiceBase
from orderops.resources.acm_certificate import AcmCertificate, certificate_name
from orderops.resources.elbv2_listener import SAME_HOST, Elbv2Listener, Redirect
from orderops.resources.elbv2_load_balancer import Elbv2LoadBalancer
from orderops.resources.elbv2_rule import Elbv2Rule
from orderops.resources.route53_alias import Route53Alias
from orderops.resources.route53_zones import zone_id


@dataclass(frozen=True)
class Entrance:
    """The listeners of an environment, and what a name needs besides."""

    listener: Elbv2Listener
    """For HTTP."""
    rest: tuple[Resource, ...] = ()
    certificate: AcmCertificate | None = None

    def resources(self) -> tuple[Resource, ...]:
        """All of them."""
        return (self.listener, *self.rest)


def http_listener_of(environment: Environment, balancer: Elbv2LoadBalancer) -> Elbv2Listener:
    """The listener for HTTP of an environment without a name."""
    port = environment.balancer.port
    return Elbv2Listener(f"{balancer.name}:{port}", balancer, port)


def serving_listener_of(environment: Environment, balancer: Elbv2LoadBalancer) -> Elbv2Listener:
    """The listener that has the rules of the services: for HTTPS where the environment has a name."""
    domain = environment.domain
    if not domain.name:
        return http_listener_of(environment, balancer)
    names = domain.all_names
    certificate = AcmCertificate(certificate_name(names), names, domain.hosted_zone)
    return Elbv2Listener(
        f"{balancer.name}:{domain.port}", balancer, domain.port, certificate, hsts_seconds=domain.hsts_seconds
    )


def entrance_of(environment: Environment, serving: Elbv2Listener, services: Iterable[ServiceBase]) -> Entrance:
    """The entrance to services whose rules are on the `serving` listener."""
    domain, balancer = environment.domain, serving.load_balancer
    if not domain.name or not serving.certificate:
        return Entrance(serving)
    rules = tuple(rule for base in services if base.routing for rule in base.routing.rules)
    aliases = tuple(
        Route53Alias(name, balancer, serving.certificate, rules, domain.hosted_zone)
        for name in (domain.all_names if domain.hosted_zone else ())
    )
    redirect = Redirect(domain.name, domain.port)
    # Without records of ours, HTTPS has to answer at least.
    http = replace(http_listener_of(environment, balancer), redirect=redirect, after=aliases or rules)
    redirects = [_sent_on(rule, http, redirect, aliases or rules) for rule in rules]
    redirects += _to_themselves(environment, http, rules, aliases or rules)
    return Entrance(http, (serving.certificate, serving, *aliases, *redirects), serving.certificate)


def _to_themselves(
    environment: Environment, http: Elbv2Listener, rules: tuple[Elbv2Rule, ...], after: tuple[Resource, ...]
) -> Iterator[Elbv2Rule]:
    """The rules that send requests for further names on to the same name; all others go to the first one."""
    chunks = environment.domain.redirected
    priorities = environment.routing.before_all(len(chunks))
    for number, (hosts, priority) in enumerate(zip(chunks, priorities, strict=True), start=1):
        name = f"{environment.prefix}-names{'' if number == 1 else f'-{number}'}:{http.port}"
        redirect = Redirect(SAME_HOST, environment.domain.port)
        # It needs no target group, and every rule names one.
        group = rules[0].target_group
        yield Elbv2Rule(name, http, group, priority, (), redirect=redirect, after=after, hosts=hosts)


def _sent_on(rule: Elbv2Rule, http: Elbv2Listener, redirect: Redirect, after: tuple[Resource, ...]) -> Elbv2Rule:
    """The rule for HTTP of the same requests; under the name that it has while HTTP answers them itself."""
    name = f"{rule.name.rpartition(':')[0]}:{http.port}"
    # Not after the listener's own redirect only: rules win over the default action of their listener.
    return replace(rule, name=name, listener=http, redirect=redirect, after=after)


def check_zone(aws: Aws, environment: Environment) -> None:
    """Raise OrderopsError if the account has not exactly one public hosted zone for the names of an environment."""
    if environment.domain.hosted_zone:
        zone_id(aws, environment.domain.hosted_zone)


def public_url(environment: Environment, host: str, service: str | None = None) -> str:
    """The URL for clients of a load balancer with this host name, or of one of its services."""
    domain = environment.domain
    hosts = environment.services[service].hosts if service else ()
    if domain.name:
        name = domain.name if not hosts or domain.name in hosts else hosts[0]
        return f"https://{name}" + ("" if domain.port == 443 else f":{domain.port}")
    port = environment.balancer.port
    return f"http://{host}" if port == 80 else f"http://{host}:{port}"

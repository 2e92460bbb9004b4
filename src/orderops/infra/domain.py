"""The name of an environment: certificate, HTTPS listener, records, and what sends requests by HTTP on to it.

A name is added in this order: the certificate, the HTTPS listener with the rules of all services, the records, and only
then the redirects. So HTTP answers until HTTPS does. It is taken away the other way round: HTTP answers again first.

With an API, the records lead to that: its domain names and their mappings stand before, and the services were released,
so that their tasks are behind the API when the first request comes by the name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from orderops.aws.client import Aws
from orderops.config.environment import Environment
from orderops.engine.resource import Resource
from orderops.frozen import Frozen, replace
from orderops.infra.api import ApiFront
from orderops.infra.rest_api import RestFront
from orderops.infra.service import ServiceBase
from orderops.resources.acm_certificate import AcmCertificate, certificate_name
from orderops.resources.apigatewayv2_domain_name import Apigatewayv2DomainName
from orderops.resources.apigatewayv2_mapping import Apigatewayv2Mapping
from orderops.resources.elbv2_listener import SAME_HOST, Elbv2Listener, Redirect
from orderops.resources.elbv2_load_balancer import Elbv2LoadBalancer
from orderops.resources.elbv2_rule import Elbv2Rule
from orderops.resources.route53_alias import Route53Alias
from orderops.resources.route53_zones import zone_id


class Entrance(Frozen):
    """The listeners of an environment, and what a name needs besides."""

    listener: Elbv2Listener
    """For HTTP."""
    rest: tuple[Resource, ...] = ()
    certificate: AcmCertificate | None = None
    mappings: tuple[Apigatewayv2Mapping, ...] = ()
    """From each name to the API, where there is one."""
    after_release: tuple[Resource, ...] = ()
    """What leads clients elsewhere than before: to an API, which the tasks of services join when they are released."""

    @property
    def late(self) -> set[str]:
        """The addresses of what comes after a release."""
        return {resource.address for resource in self.after_release}

    @property
    def names(self) -> tuple[Apigatewayv2DomainName, ...]:
        """The names that the API answers, the first one first."""
        return tuple(mapping.domain for mapping in self.mappings)

    def resources(self) -> tuple[Resource, ...]:
        """All of them."""
        return tuple(dict.fromkeys((self.listener, *self.rest, *self.names, *self.mappings, *self.after_release)))


def http_listener_of(environment: Environment, balancer: Elbv2LoadBalancer) -> Elbv2Listener:
    """The listener for HTTP of an environment without a name."""
    port = environment.balancer.port
    return Elbv2Listener(f"{balancer.name}:{port}", balancer, port)


def serving_listener_of(environment: Environment, balancer: Elbv2LoadBalancer) -> Elbv2Listener:
    """The listener that has the rules of the services: for HTTPS where the environment has a name."""
    domain, certificate = environment.domain, certificate_of(environment)
    if certificate is None:
        return http_listener_of(environment, balancer)
    return Elbv2Listener(
        f"{balancer.name}:{domain.port}", balancer, domain.port, certificate, hsts_seconds=domain.hsts_seconds
    )


def certificate_of(environment: Environment) -> AcmCertificate | None:
    """The certificate for the names of an environment; None without a name."""
    names = environment.domain.all_names
    return AcmCertificate(certificate_name(names), names, environment.domain.hosted_zone) if names else None


def entrance_of(
    environment: Environment,
    serving: Elbv2Listener,
    services: Iterable[ServiceBase],
    api: ApiFront | RestFront | None = None,
) -> Entrance:
    """The entrance to services whose rules are on the `serving` listener; with an `api`, the names lead to that."""
    certificate = serving.certificate or certificate_of(environment)
    if certificate is None:
        return Entrance(serving)
    rules = tuple(rule for base in services if base.routing for rule in base.routing.rules)
    mappings = tuple(_mappings(environment, certificate, api)) if api else ()
    aliases = tuple(_aliases(environment, serving.load_balancer, certificate, rules, mappings))
    if serving.certificate is None:
        return Entrance(serving, (certificate,), certificate, mappings, aliases)
    # Without records of ours, HTTPS has to answer at least.
    http, redirects = _to_https(environment, serving.load_balancer, rules, aliases or mappings or rules)
    if api:
        return Entrance(http, (certificate, serving), certificate, mappings, (*aliases, http, *redirects))
    return Entrance(http, (certificate, serving, *aliases, *redirects), certificate)


def _mappings(
    environment: Environment, certificate: AcmCertificate, api: ApiFront | RestFront
) -> Iterator[Apigatewayv2Mapping]:
    for name in environment.domain.all_names:
        yield Apigatewayv2Mapping(name, Apigatewayv2DomainName(name, certificate), api.api, api.stage)


def _aliases(
    environment: Environment,
    balancer: Elbv2LoadBalancer,
    certificate: AcmCertificate,
    rules: tuple[Elbv2Rule, ...],
    mappings: tuple[Apigatewayv2Mapping, ...],
) -> Iterator[Route53Alias]:
    zone = environment.domain.hosted_zone
    led = {mapping.name: mapping for mapping in mappings}
    for name in environment.domain.all_names if zone else ():
        if mapping := led.get(name):
            yield Route53Alias(name, mapping.domain, certificate, (mapping,), zone)
        else:
            yield Route53Alias(name, balancer, certificate, rules, zone)


def _to_https(
    environment: Environment, balancer: Elbv2LoadBalancer, rules: tuple[Elbv2Rule, ...], after: tuple[Resource, ...]
) -> tuple[Elbv2Listener, list[Elbv2Rule]]:
    """The listener for HTTP and its rules, which send requests on to the name."""
    redirect = Redirect(str(environment.domain.name), environment.domain.port)
    http = replace(http_listener_of(environment, balancer), redirect=redirect, after=after)
    redirects = [_sent_on(rule, http, redirect, after) for rule in rules]
    return http, [*redirects, *_to_themselves(environment, http, rules, after)]


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
    """The URL for clients of a load balancer with this host name, or of one of its services.

    The names of an environment with an API lead past the load balancer.
    """
    domain = environment.domain
    hosts = environment.services[service].hosts if service else ()
    if domain.name and not environment.api.declared:
        name = domain.name if not hosts or domain.name in hosts else hosts[0]
        return f"https://{name}" + ("" if domain.port == 443 else f":{domain.port}")
    port = environment.balancer.port
    return f"http://{host}" if port == 80 else f"http://{host}:{port}"

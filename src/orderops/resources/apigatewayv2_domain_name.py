"""Domain name of API Gateway: a name of the environment, with its certificate, that an API answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, ClassVar
from urllib.parse import urlsplit

from orderops.aws.client import Aws, every, if_found
from orderops.aws.ownership import Ownership, Tags
from orderops.engine.features import Feature
from orderops.engine.names import NameRule
from orderops.engine.resource import Observed, Outputs, Properties, Resource, State
from orderops.resources.acm_certificate import AcmCertificate
from orderops.resources.apigateway_rest_api import LAPTOP, THIS_MACHINE
from orderops.resources.apigatewayv2_api import FEATURE, arn_of

FIXED = {"EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}
"""The only values that HTTP APIs take."""
CONFIGURED = ("CertificateArn", *FIXED)
STATES = {"AVAILABLE": State.READY, "UPDATING": State.PENDING}


class Apigatewayv2DomainName(Resource):
    """Named as the domain name, which is unique in account and region. HTTP and REST APIs use the same ones."""

    certificate: AcmCertificate

    kind: ClassVar[str] = "apigatewayv2-domain-name"
    feature: ClassVar[Feature | None] = FEATURE
    name_rule: ClassVar[NameRule | None] = NameRule(253, r"[a-z0-9.-]+", "a domain name")
    # Without ConflictException: a name that is taken stays taken.
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        {
            "NotFoundException",
            "BadRequestException: concurrent modification",
            # A certificate that ACM has just issued.
            "BadRequestException: certificate",
        }
    )
    timeout: ClassVar[timedelta] = timedelta(minutes=40)
    typical_duration: ClassVar[timedelta] = timedelta(minutes=2)

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for raw in every(aws.apigatewayv2.get_domain_names, "Items"):
            if owner.has(raw.get("Tags", {})):
                yield _observed(aws, raw)

    def occupant(self, aws: Aws, desired: Properties) -> Observed | None:
        return domain_name(aws, self.name)

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.apigatewayv2.tag_resource(ResourceArn=observed.arn, Tags=dict(tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {**FIXED, "CertificateArn": outputs[self.certificate].arn}

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.apigatewayv2.create_domain_name(
            DomainName=self.name, DomainNameConfigurations=[dict(desired)], Tags=owner.tags
        )

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        whole = {**{key: observed.properties[key] for key in CONFIGURED}, **changed}
        aws.apigatewayv2.update_domain_name(DomainName=observed.name, DomainNameConfigurations=[whole])

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.apigatewayv2.delete_domain_name(DomainName=observed.name)


def domain_names(aws: Aws, owner: Ownership) -> Iterator[Observed]:
    """The domain names of an environment, for kinds that belong to one; shares the listing of the inventory."""
    yield from Apigatewayv2DomainName.listing(aws, Ownership(owner.environment))


def domain_name(aws: Aws, name: str) -> Observed | None:
    """A domain name of the account, whoever has it; None if there is none."""
    found = if_found(aws.apigatewayv2.get_domain_name, "NotFoundException", DomainName=name)
    return _observed(aws, found) if found else None


def _observed(aws: Aws, raw: Mapping[str, Any]) -> Observed:
    name, tags = raw["DomainName"], raw.get("Tags", {})
    configuration: Mapping[str, Any] = next(iter(raw.get("DomainNameConfigurations", ())), {})
    status = configuration.get("DomainNameStatus", "AVAILABLE")
    properties = {
        **{key: configuration.get(key) for key in CONFIGURED},
        # What an alias record leads to.
        "ApiGatewayDomainName": configuration.get("ApiGatewayDomainName"),
        "HostedZoneId": configuration.get("HostedZoneId"),
        "Url": _url(aws, name, tags),
    }
    return Observed(
        name,
        properties,
        tags=tags,
        name=name,
        arn=arn_of(aws, f"domainnames/{name}"),
        # Any other state asks for something by hand, such as another certificate.
        state=STATES.get(status, State.FAILED),
        status=": ".join(filter(None, (status, configuration.get("DomainNameStatusMessage")))),
    )


def _url(aws: Aws, name: str, tags: Tags) -> str:
    """Where the name answers: on AWS by the port of HTTPS; the emulator tells the one of this machine by a tag."""
    if LAPTOP in tags and urlsplit(aws.endpoint("apigateway")).hostname in THIS_MACHINE:
        return str(tags[LAPTOP])
    return f"https://{name}"

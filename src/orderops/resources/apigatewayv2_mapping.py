"""API mapping: which stage of which API answers a domain name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.features import Feature
from orderops.engine.resource import Observed, Outputs, Properties, Resource
from orderops.errors import AwsError
from orderops.resources.apigateway_rest_api import ApigatewayRestApi
from orderops.resources.apigateway_stage import ApigatewayStage
from orderops.resources.apigatewayv2_api import FEATURE, RETRYABLE, Apigatewayv2Api
from orderops.resources.apigatewayv2_domain_name import Apigatewayv2DomainName, domain_names
from orderops.resources.apigatewayv2_stage import Apigatewayv2Stage


class Apigatewayv2Mapping(Resource):
    """All paths under a domain name; named as that. AWS keeps no tags: the domain name is the owner's.

    A mapping leads to a stage, so that a path has no stage in front, also that of a REST API.
    """

    domain: Apigatewayv2DomainName
    api: Apigatewayv2Api | ApigatewayRestApi
    stage: Apigatewayv2Stage | ApigatewayStage

    kind: ClassVar[str] = "apigatewayv2-mapping"
    untagged: ClassVar[bool] = True
    feature: ClassVar[Feature | None] = FEATURE
    retryable_errors: ClassVar[frozenset[str]] = RETRYABLE

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for domain in domain_names(aws, owner):
            for raw in _mappings(aws, domain.name) if owner.name in ("", domain.name) else ():
                # One with a key is for paths that begin with it, and was made by hand.
                if not raw.get("ApiMappingKey"):
                    properties = {"ApiId": raw["ApiId"], "Stage": raw["Stage"]}
                    tags = owner.named(cls.kind, domain.name)
                    yield Observed(raw["ApiMappingId"], properties, tags=tags, name=domain.name)

    def desired(self, outputs: Outputs) -> Properties:
        return {"ApiId": outputs[self.api].id, "Stage": outputs[self.stage].id.rpartition("/")[2]}

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.apigatewayv2.create_api_mapping(DomainName=self.name, **desired)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        # AWS takes a stage only together with its API.
        whole = {**observed.properties, **changed}
        aws.apigatewayv2.update_api_mapping(DomainName=observed.name, ApiMappingId=observed.id, **whole)

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.apigatewayv2.delete_api_mapping(DomainName=observed.name, ApiMappingId=observed.id)


def _mappings(aws: Aws, domain: str) -> Iterator[dict[str, Any]]:
    """All mappings of a domain name; none if it was deleted meanwhile. botocore has no paginator for them."""
    token: dict[str, str] = {}
    while True:
        try:
            page = aws.apigatewayv2.get_api_mappings(DomainName=domain, **token)
        except AwsError as error:
            if error.code != "NotFoundException":
                raise
            return
        yield from page.get("Items", ())
        if not page.get("NextToken"):
            return
        token = {"NextToken": page["NextToken"]}

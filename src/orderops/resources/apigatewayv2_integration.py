"""Integration of an HTTP API with a listener behind a VPC link."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.features import Feature
from orderops.engine.resource import Effect, Observed, Outputs, Properties, Resource
from orderops.resources.apigatewayv2_api import FEATURE, RETRYABLE, Apigatewayv2Api, apis
from orderops.resources.apigatewayv2_parts import parts
from orderops.resources.apigatewayv2_vpc_link import Apigatewayv2VpcLink
from orderops.resources.elbv2_listener import Elbv2Listener

CLIENT_HEADER = "X-Client-Ip"
"""The header by which the API tells the service its caller's address. What a client sends there is overwritten."""
CALLER = f"overwrite:header.{CLIENT_HEADER}"
FIXED = {"IntegrationType": "HTTP_PROXY", "IntegrationMethod": "ANY", "ConnectionType": "VPC_LINK"}
PAYLOAD = {"PayloadFormatVersion": "1.0"}


class Apigatewayv2Integration(Resource):
    """Sends requests to a listener; ends them after `timeout_millis`. AWS keeps no tags: its description is its name.

    Named `<api>:<what it leads to>`.
    """

    api: Apigatewayv2Api
    link: Apigatewayv2VpcLink
    listener: Elbv2Listener
    timeout_millis: int = 30_000

    kind: ClassVar[str] = "apigatewayv2-integration"
    untagged: ClassVar[bool] = True
    feature: ClassVar[Feature | None] = FEATURE
    retryable_errors: ClassVar[frozenset[str]] = RETRYABLE
    effects: ClassVar[Mapping[str, Effect]] = {"ConnectionId": Effect.INTERRUPTS}

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for api in apis(aws, owner):
            for raw in parts(aws, "get_integrations", api):
                name = raw.get("Description", "")
                if name.startswith(f"{api.name}:") and owner.name in ("", name):
                    properties = {**_properties(raw), "ApiId": api.id}
                    yield Observed(raw["IntegrationId"], properties, tags=owner.named(cls.kind, name), name=name)

    def desired(self, outputs: Outputs) -> Properties:
        return {
            **FIXED,
            **PAYLOAD,
            "ConnectionId": outputs[self.link].id,
            "IntegrationUri": outputs[self.listener].arn,
            "RequestParameters": {CALLER: "$context.identity.sourceIp"},
            "TimeoutInMillis": self.timeout_millis,
            "ApiId": outputs[self.api].id,
        }

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.apigatewayv2.create_integration(**desired, Description=self.name)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        given = dict(changed)
        if "RequestParameters" in given:
            # A parameter that is left out stays; an empty text takes it away.
            cleared = dict.fromkeys(observed.properties["RequestParameters"], "")
            given["RequestParameters"] = {**cleared, **given["RequestParameters"]}
        given["ApiId"] = observed.properties["ApiId"]
        aws.apigatewayv2.update_integration(IntegrationId=observed.id, **given)

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.apigatewayv2.delete_integration(ApiId=observed.properties["ApiId"], IntegrationId=observed.id)


def _properties(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{key: raw.get(key) for key in (*FIXED, *PAYLOAD, "ConnectionId", "IntegrationUri")},
        "RequestParameters": dict(raw.get("RequestParameters", {})),
        "TimeoutInMillis": raw.get("TimeoutInMillis", 30_000),
    }

"""REST API of API Gateway, whose routes lead to a load balancer behind a VPC link."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

from orderops.aws.client import Aws, every
from orderops.aws.ownership import ADDRESS, Ownership, Tags
from orderops.aws.partition import dns_suffix_of
from orderops.engine.features import Feature
from orderops.engine.names import NameRule
from orderops.engine.resource import UNKNOWN, Effect, Observed, Outputs, Properties, Resource, unknown_in
from orderops.frozen import replace
from orderops.resources.apigateway_definition import (
    RestRoute,
    definition_of,
    digest,
    document,
    observed_definition,
    version_of,
)
from orderops.resources.apigatewayv2_api import FEATURE, RETRYABLE, arn_of
from orderops.resources.apigatewayv2_vpc_link import Apigatewayv2VpcLink
from orderops.resources.elbv2_listener import Elbv2Listener

STAGE = "live"
"""The stage of every REST API, and the first part of the path of its URL."""
LAPTOP = "orderops:laptop-url"
"""The tag by which the emulator tells the URL of an API; the answers of API Gateway have none."""
THIS_MACHINE = ("localhost", "127.0.0.1")
DEFINED = ("Integration", "Routes", "Version")
"""The properties that an import of the definition sets."""


class ApigatewayRestApi(Resource):
    """Found by its tags, as names are not unique. Its routes are imported as an OpenAPI document, all in one call.

    What is imported reaches callers only when a stage deploys it. `Version` tells the bodies that are validated:
    API Gateway rewrites the schemas that it stores.
    """

    link: Apigatewayv2VpcLink
    listener: Elbv2Listener
    routes: tuple[RestRoute, ...]
    timeout_millis: int = 29_000

    kind: ClassVar[str] = "apigateway-rest-api"
    feature: ClassVar[Feature | None] = FEATURE
    name_rule: ClassVar[NameRule | None] = NameRule(255, r"[A-Za-z0-9._-]+", "letters, digits and ._-")
    retryable_errors: ClassVar[frozenset[str]] = RETRYABLE
    effects: ClassVar[Mapping[str, Effect]] = {"DisableExecuteApiEndpoint": Effect.INTERRUPTS}

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for raw in every(aws.apigateway.get_rest_apis, "items"):
            if owner.has(raw.get("tags", {})):
                yield _observed(aws, raw)

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        resources = list(every(aws.apigateway.get_resources, "items", restApiId=observed.id, embed=["methods"]))
        found = observed_definition(resources)
        return replace(observed, properties={**observed.properties, **found})

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.apigateway.tag_resource(resourceArn=observed.arn, tags=dict(tags))

    def desired(self, outputs: Outputs) -> Properties:
        balancer = outputs[self.listener.load_balancer]
        return {
            "Name": self.name,
            "DisableExecuteApiEndpoint": False,
            "Integration": {
                "connectionId": outputs[self.link].id,
                "integrationTarget": balancer.arn,
                "timeoutInMillis": self.timeout_millis,
                "uri": f"http://{balancer.properties['DNSName']}:{self.listener.port}",
            },
            "Routes": definition_of(self.routes),
            "Version": version_of(self.routes),
        }

    def definition(self, outputs: Outputs) -> str:
        """A digest of all that a deployment takes a copy of; *(known after apply)* while a part of it is."""
        desired = self.desired(outputs)
        defined = {key: desired[key] for key in DEFINED}
        return UNKNOWN if unknown_in(defined) else digest(defined)

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.apigateway.create_rest_api(name=self.name, endpointConfiguration={"types": ["REGIONAL"]}, tags=owner.tags)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        whole = {**observed.properties, **changed}
        if changed.keys() & set(DEFINED):
            body = json.dumps(document(self.name, self.routes, whole["Integration"], whole["Version"])).encode()
            aws.apigateway.put_rest_api(restApiId=observed.id, mode="overwrite", body=body)
        values = {"Name": whole["Name"], "DisableExecuteApiEndpoint": str(whole["DisableExecuteApiEndpoint"]).lower()}
        patches = [
            {"op": "replace", "path": f"/{key[0].lower()}{key[1:]}", "value": value}
            for key, value in values.items()
            if key in changed
        ]
        if patches:
            aws.apigateway.update_rest_api(restApiId=observed.id, patchOperations=patches)

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.apigateway.delete_rest_api(restApiId=observed.id)


def rest_apis(aws: Aws, owner: Ownership) -> Iterator[Observed]:
    """The REST APIs of an environment, for kinds that belong to one; shares the listing of the inventory."""
    yield from ApigatewayRestApi.listing(aws, Ownership(owner.environment))


def _observed(aws: Aws, raw: Mapping[str, Any]) -> Observed:
    tags, id = raw.get("tags", {}), raw["id"]
    properties = {
        "Name": raw["name"],
        "DisableExecuteApiEndpoint": raw.get("disableExecuteApiEndpoint", False),
        "Version": raw.get("version"),
        "ApiEndpoint": _url(aws, id, tags),
    }
    name = tags.get(ADDRESS, "").partition("/")[2] or raw["name"]
    return Observed(id, properties, tags=tags, name=name, arn=arn_of(aws, f"restapis/{id}"))


def _url(aws: Aws, id: str, tags: Tags) -> str:
    """Where the stage of an API answers."""
    if LAPTOP in tags and urlsplit(aws.endpoint("apigateway")).hostname in THIS_MACHINE:
        return f"{tags[LAPTOP]}/{STAGE}"
    return f"https://{id}.execute-api.{aws.region}.{dns_suffix_of(aws.region)}/{STAGE}"

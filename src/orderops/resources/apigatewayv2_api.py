"""HTTP API of API Gateway."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import ADDRESS, Ownership, Tags
from orderops.engine.features import Feature
from orderops.engine.names import NameRule
from orderops.engine.resource import Observed, Outputs, Properties, Resource

FEATURE = Feature("apigatewayv2", ":apigateway:")
RETRYABLE = frozenset(
    {
        "NotFoundException",
        # Also raised for a change that met another one of the same API.
        "ConflictException",
        "BadRequestException: concurrent modification",
        # A mapping that was deleted a moment ago.
        "BadRequestException: mapping",
    }
)
"""Errors of every part of an API that the next read explains."""


class Apigatewayv2Api(Resource):
    """Has no setting but its name; AWS allows several of one name, so it is found by its tags."""

    kind: ClassVar[str] = "apigatewayv2-api"
    name_rule: ClassVar[NameRule | None] = NameRule(128, r"[A-Za-z0-9._-]+", "letters, digits and ._-")
    feature: ClassVar[Feature | None] = FEATURE
    retryable_errors: ClassVar[frozenset[str]] = RETRYABLE
    immutable: ClassVar[frozenset[str]] = frozenset({"ProtocolType"})

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for raw in every(aws.apigatewayv2.get_apis, "Items"):
            if owner.has(raw.get("Tags", {})):
                yield _observed(aws, raw)

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.apigatewayv2.tag_resource(ResourceArn=observed.arn, Tags=dict(tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {"ProtocolType": "HTTP", "Name": self.name, "DisableExecuteApiEndpoint": False}

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.apigatewayv2.create_api(**desired, Tags=owner.tags)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        aws.apigatewayv2.update_api(ApiId=observed.id, **changed)

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.apigatewayv2.delete_api(ApiId=observed.id)


def apis(aws: Aws, owner: Ownership) -> Iterator[Observed]:
    """The APIs of an environment, for kinds that belong to one; shares the listing of the inventory."""
    yield from Apigatewayv2Api.listing(aws, Ownership(owner.environment))


def arn_of(aws: Aws, path: str) -> str:
    """The ARN under which API Gateway keeps tags; it names no account."""
    return f"arn:{aws.partition}:apigateway:{aws.region}::/{path}"


def _observed(aws: Aws, raw: Mapping[str, Any]) -> Observed:
    properties = {key: raw.get(key) for key in ("ProtocolType", "Name", "ApiEndpoint", "RouteSelectionExpression")}
    properties["DisableExecuteApiEndpoint"] = raw.get("DisableExecuteApiEndpoint", False)
    tags, id = raw.get("Tags", {}), raw["ApiId"]
    name = tags.get(ADDRESS, "").partition("/")[2] or raw["Name"]
    return Observed(id, properties, tags=tags, name=name, arn=arn_of(aws, f"apis/{id}"))

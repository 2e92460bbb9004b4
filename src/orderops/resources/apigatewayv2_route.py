"""Route of an HTTP API: a method and a path, and who may use it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.features import Feature
from orderops.engine.resource import Observed, Outputs, Properties, Resource
from orderops.resources.apigatewayv2_api import FEATURE, RETRYABLE, Apigatewayv2Api, apis
from orderops.resources.apigatewayv2_authorizer import Apigatewayv2Authorizer
from orderops.resources.apigatewayv2_integration import Apigatewayv2Integration
from orderops.resources.apigatewayv2_parts import parts

WITHOUT = str.maketrans("", "", "}$")


class Apigatewayv2Route(Resource):
    """Named `<api>:<method> <path>`: an API has one route of a key.

    With an `authorizer`, callers need a token with one of `scopes`; with `iam`, a signature of an allowed identity.
    """

    api: Apigatewayv2Api
    key: str
    integration: Apigatewayv2Integration
    authorizer: Apigatewayv2Authorizer | None = None
    scopes: tuple[str, ...] = ()
    iam: bool = False

    kind: ClassVar[str] = "apigatewayv2-route"
    untagged: ClassVar[bool] = True
    feature: ClassVar[Feature | None] = FEATURE
    retryable_errors: ClassVar[frozenset[str]] = RETRYABLE

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for api in apis(aws, owner):
            for raw in parts(aws, "get_routes", api):
                name = route_name(api.name, raw["RouteKey"])
                if owner.name in ("", name):
                    properties = {**_properties(raw), "ApiId": api.id}
                    yield Observed(raw["RouteId"], properties, tags=owner.named(cls.kind, name), name=name)

    def desired(self, outputs: Outputs) -> Properties:
        return {
            "ApiId": outputs[self.api].id,
            "Target": f"integrations/{outputs[self.integration].id}",
            "AuthorizationType": "JWT" if self.authorizer else "AWS_IAM" if self.iam else "NONE",
            "AuthorizerId": outputs[self.authorizer].id if self.authorizer else None,
            "AuthorizationScopes": sorted(self.scopes),
        }

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        given = {key: value for key, value in desired.items() if value}
        aws.apigatewayv2.create_route(**given, RouteKey=self.key)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        # Who may use the route is sent as a whole: AWS compares its parts with each other.
        whole = {**observed.properties, **changed}
        given = {key: whole[key] for key in ("Target", "AuthorizationType", "AuthorizationScopes")}
        if whole["AuthorizerId"]:
            given["AuthorizerId"] = whole["AuthorizerId"]
        aws.apigatewayv2.update_route(ApiId=observed.properties["ApiId"], RouteId=observed.id, **given)

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.apigatewayv2.delete_route(ApiId=observed.properties["ApiId"], RouteId=observed.id)


def route_name(api: str, key: str) -> str:
    """The name of the route with this key, in the letters that tags and shells take: `{id}` is `:id`."""
    return f"{api}:{key.replace('{', ':').translate(WITHOUT)}"


def _properties(raw: Mapping[str, Any]) -> dict[str, Any]:
    kind = raw.get("AuthorizationType", "NONE")
    return {
        "Target": raw.get("Target"),
        "AuthorizationType": kind,
        # Of no meaning with another type.
        "AuthorizerId": raw.get("AuthorizerId") if kind == "JWT" else None,
        "AuthorizationScopes": sorted(raw.get("AuthorizationScopes", ())),
    }

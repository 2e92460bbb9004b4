"""JWT authorizer of an HTTP API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.features import Feature
from orderops.engine.names import NameRule
from orderops.engine.resource import Observed, Outputs, Properties, Resource
from orderops.resources.apigatewayv2_api import FEATURE, RETRYABLE, Apigatewayv2Api, apis
from orderops.resources.apigatewayv2_parts import parts


class Apigatewayv2Authorizer(Resource):
    """Admits requests with a token of `issuer` for one of `audience`, in the header Authorization."""

    api: Apigatewayv2Api
    issuer: str
    audience: tuple[str, ...]

    kind: ClassVar[str] = "apigatewayv2-authorizer"
    name_rule: ClassVar[NameRule | None] = NameRule(128, r"[A-Za-z0-9._-]+", "letters, digits and ._-")
    untagged: ClassVar[bool] = True
    feature: ClassVar[Feature | None] = FEATURE
    retryable_errors: ClassVar[frozenset[str]] = RETRYABLE

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for api in apis(aws, owner):
            for raw in parts(aws, "get_authorizers", api):
                name, configuration = raw["Name"], raw.get("JwtConfiguration", {})
                if name.startswith(f"{api.name}-") and owner.name in ("", name):
                    properties = {
                        "ApiId": api.id,
                        "AuthorizerType": raw.get("AuthorizerType"),
                        "IdentitySource": list(raw.get("IdentitySource", ())),
                        "JwtConfiguration": {
                            "Audience": sorted(configuration.get("Audience", ())),
                            "Issuer": configuration.get("Issuer"),
                        },
                    }
                    yield Observed(raw["AuthorizerId"], properties, tags=owner.named(cls.kind, name), name=name)

    def desired(self, outputs: Outputs) -> Properties:
        return {
            "ApiId": outputs[self.api].id,
            "AuthorizerType": "JWT",
            "IdentitySource": ["$request.header.Authorization"],
            "JwtConfiguration": {"Audience": sorted(self.audience), "Issuer": self.issuer},
        }

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.apigatewayv2.create_authorizer(**desired, Name=self.name)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        given = {**changed, "ApiId": observed.properties["ApiId"]}
        aws.apigatewayv2.update_authorizer(AuthorizerId=observed.id, **given)

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.apigatewayv2.delete_authorizer(ApiId=observed.properties["ApiId"], AuthorizerId=observed.id)

"""The definition of a REST API: as an OpenAPI document that API Gateway imports, and as it is read back."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from orderops.frozen import Frozen
from orderops.resources.apigatewayv2_integration import CLIENT_HEADER

Json = dict[str, Any]
ANY = "x-amazon-apigateway-any-method"
KEY_SCHEME, SIGNATURE_SCHEME = "api_key", "sigv4"
SCHEMES: Mapping[str, Json] = {
    KEY_SCHEME: {"type": "apiKey", "name": "x-api-key", "in": "header"},
    SIGNATURE_SCHEME: {
        "type": "apiKey",
        "name": "Authorization",
        "in": "header",
        "x-amazon-apigateway-authtype": "awsSigv4",
    },
}
VALIDATOR = "body"
INTEGRATION = ("connectionId", "integrationTarget", "timeoutInMillis")
CALLER = {f"integration.request.header.{CLIENT_HEADER}": "context.identity.sourceIp"}


class RestRoute(Frozen):
    """A method and a path, who may use it, and the JSON schema (draft 4) of its body where that is validated."""

    key: str
    needs_key: bool = False
    iam: bool = False
    model: str = ""
    """The name of the schema: letters and digits."""
    schema: Mapping[str, Any] | None = None

    @property
    def method(self) -> str:
        return self.key.partition(" ")[0]

    @property
    def path(self) -> str:
        return self.key.partition(" ")[2]

    @property
    def admits(self) -> str:
        """Who may use it and what it demands of a body, as in `Routes`."""
        authorization = "AWS_IAM" if self.iam else "NONE"
        return " ".join((authorization, *(["apiKeyRequired"] * self.needs_key), *filter(None, [self.model])))


def definition_of(routes: Iterable[RestRoute]) -> dict[str, str]:
    """Each route's authorisation, whether it needs a key, and the model that its body is validated by."""
    return {route.key: route.admits for route in sorted(routes, key=lambda route: route.key)}


def version_of(routes: Iterable[RestRoute]) -> str:
    """A version that tells whether the schemas of bodies are these."""
    return digest({route.model: route.schema for route in routes if route.model})


def digest(value: Any) -> str:
    """A short digest of a value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def document(title: str, routes: Sequence[RestRoute], integration: Mapping[str, Any], version: str) -> Json:
    """The OpenAPI document with API Gateway's extensions, which is imported as a whole."""
    paths: dict[str, Json] = {}
    for route in routes:
        method = ANY if route.method == "ANY" else route.method.lower()
        paths.setdefault(route.path, {})[method] = _operation(route, integration)
    return {
        "openapi": "3.0.1",
        "info": {"title": title, "version": version},
        "paths": paths,
        "components": {
            "securitySchemes": SCHEMES,
            "schemas": {route.model: route.schema for route in routes if route.model},
        },
        "x-amazon-apigateway-request-validators": {
            VALIDATOR: {"validateRequestBody": True, "validateRequestParameters": False}
        },
    }


def observed_definition(resources: Iterable[Mapping[str, Any]]) -> Json:
    """`Routes` and `Integration`, from the resources of an API with their methods.

    `Integration` is what the methods have in common, or what each has where they differ.
    """
    routes, integrations = {}, {}
    for resource in resources:
        for method, raw in resource.get("resourceMethods", {}).items():
            key = f"{method} {resource['path']}"
            routes[key] = _admits(raw)
            integrations[key] = _integration(resource["path"], raw.get("methodIntegration", {}))
    different = list({json.dumps(one, sort_keys=True): one for one in integrations.values()}.values())
    common: Any = different[0] if len(different) == 1 else dict(sorted(integrations.items()))
    return {"Routes": dict(sorted(routes.items())), "Integration": common or None}


def _operation(route: RestRoute, integration: Mapping[str, Any]) -> Json:
    names = _names(route.path)
    schemes = [SIGNATURE_SCHEME] * route.iam + [KEY_SCHEME] * route.needs_key
    body = {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{route.model}"}}}}
    return {
        "parameters": [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names],
        "responses": {},
        "security": [{scheme: []} for scheme in schemes],
        **({"requestBody": {**body, "required": True}} if route.model else {}),
        **({"x-amazon-apigateway-request-validator": VALIDATOR} if route.model else {}),
        "x-amazon-apigateway-integration": {
            "type": "http_proxy",
            "httpMethod": route.method,
            "connectionType": "VPC_LINK",
            **{key: integration[key] for key in INTEGRATION},
            # The path here is the one that the load balancer gets, so the name of the stage is no part of it.
            "uri": integration["uri"] + _uri_path(route.path),
            "requestParameters": _mapped(route.path),
            "passthroughBehavior": "when_no_match",
        },
    }


def _admits(raw: Mapping[str, Any]) -> str:
    words = [raw.get("authorizationType", "NONE")]
    if raw.get("apiKeyRequired"):
        words.append("apiKeyRequired")
    if raw.get("requestValidatorId"):
        words.append(raw.get("requestModels", {}).get("application/json", "(no model)"))
    return " ".join(words)


def _integration(path: str, raw: Mapping[str, Any]) -> Json:
    found = {key: raw.get(key) for key in (*INTEGRATION, "uri")}
    end = _uri_path(path)
    if str(found["uri"]).endswith(end):
        found["uri"] = str(found["uri"])[: -len(end)]
    if (mapped := dict(raw.get("requestParameters", {}))) != _mapped(path):
        found["requestParameters"] = mapped
    return found


def _names(path: str) -> list[str]:
    return [name.rstrip("+") for name in re.findall(r"\{([^}]+)\}", path)]


def _uri_path(path: str) -> str:
    return path.replace("+}", "}")


def _mapped(path: str) -> dict[str, str]:
    """Request parameters: those of the path, and the caller's address in place of what the caller says of it."""
    names = {f"integration.request.path.{name}": f"method.request.path.{name}" for name in _names(path)}
    return {**names, **CALLER}

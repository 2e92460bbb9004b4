"""The import of an OpenAPI document: resources, methods, integrations, validators and models, or why it is refused."""

from __future__ import annotations

import re
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.apigateway.store import Json, link_records, new_id
from orderops.local.emulator.protocol import ApiError
from orderops.local.strict.apigatewayv2.answers import bad

METHODS = ("delete", "get", "head", "options", "patch", "post", "put")
ANY_METHOD = "x-amazon-apigateway-any-method"
PART = re.compile(r"[A-Za-z0-9._:-]+|\{[A-Za-z0-9._-]+\+?\}")
MAPPED = re.compile(r"method\.request\.path\.([\w.-]+)", re.ASCII)
# Keywords of schemas that an import of OpenAPI 3.0 does not take ("Amazon API Gateway important notes").
NOT_TAKEN = ("$defs", "const", "examples", "if", "unevaluatedProperties", "prefixItems")
SHORTEST, LONGEST = 50, 29_000


def imported(region: str, document: Json) -> dict[str, Json]:
    """Return the resources by path, each with its methods; `_schema` of a method is what its body is validated by."""
    if not str(document.get("openapi", "")).startswith("3.0"):
        raise bad("Invalid OpenAPI input.")
    resources = {"/": {"id": new_id(), "path": "/"}}
    for path, operations in document.get("paths", {}).items():
        resource = _resource(resources, path)
        for name, operation in operations.items():
            if name not in (*METHODS, ANY_METHOD):
                raise bad(f"Invalid method {name} of {path}")
            method = "ANY" if name == ANY_METHOD else name.upper()
            resource.setdefault("resourceMethods", {})[method] = _method(region, document, path, method, operation)
    return resources


def _resource(resources: dict[str, Json], path: str) -> Json:
    """Add the resource of a path, and those above it."""
    if not path.startswith("/"):
        raise bad(f"Invalid path {path}")
    pieces = [piece for piece in path.split("/") if piece]
    parent = resources["/"]
    for number, piece in enumerate(pieces, start=1):
        where = "/" + "/".join(pieces[:number])
        if not PART.fullmatch(piece) or (piece.endswith("+}") and number < len(pieces)):
            raise bad(f"Resource's path part is not allowed: {piece}")
        if where not in resources:
            _check_sibling(resources, parent, piece)
            made = {"id": new_id(6), "parentId": parent["id"], "pathPart": piece, "path": where}
            resources[where] = made
        parent = resources[where]
    return parent


def _check_sibling(resources: dict[str, Json], parent: Json, piece: str) -> None:
    if not piece.startswith("{"):
        return
    for other in resources.values():
        if other.get("parentId") == parent["id"] and other["pathPart"].startswith("{"):
            text = f"A sibling ({other['pathPart']}) of this resource already has a variable path part"
            raise bad(f"{text} -- only one is allowed")


def _method(region: str, document: Json, path: str, method: str, operation: Json) -> Json:
    parameters = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"]
    made: Json = {
        "httpMethod": method,
        "authorizationType": "NONE",
        "apiKeyRequired": False,
        "requestParameters": {f"method.request.path.{name}": True for name in parameters},
        **_security(document, operation),
        **_body(document, operation),
    }
    if "x-amazon-apigateway-integration" in operation:
        made["methodIntegration"] = _integration(region, operation["x-amazon-apigateway-integration"], parameters)
    return made


def _security(document: Json, operation: Json) -> Json:
    schemes = document.get("components", {}).get("securitySchemes", {})
    found: Json = {}
    for name in (name for one in operation.get("security", ()) for name in one):
        if name not in schemes:
            raise bad(f"Unable to find the security definition {name}")
        if schemes[name].get("x-amazon-apigateway-authtype") == "awsSigv4":
            found["authorizationType"] = "AWS_IAM"
        elif (schemes[name]["type"], schemes[name].get("name")) == ("apiKey", "x-api-key"):
            found["apiKeyRequired"] = True
        else:
            raise ApiError("NotEmulated", f"the security scheme {name} is not emulated on the laptop")
    return found


def _body(document: Json, operation: Json) -> Json:
    found: Json = {}
    validators = document.get("x-amazon-apigateway-request-validators", {})
    validator = operation.get("x-amazon-apigateway-request-validator")
    if validator is not None and validator not in validators:
        raise bad(f"Invalid request validator {validator}")
    if validator:
        found["requestValidatorId"] = f"v-{validator}"
    content = operation.get("requestBody", {}).get("content", {})
    if "application/json" in content:
        name = content["application/json"]["schema"].get("$ref", "").rpartition("/")[2]
        schema = document.get("components", {}).get("schemas", {}).get(name)
        if schema is None or not re.fullmatch(r"[A-Za-z0-9]+", name):
            raise bad(f"Invalid model identifier specified: {name or 'a schema without a name'}")
        _check_schema(schema)
        found["requestModels"] = {"application/json": name}
        if validator and validators[validator].get("validateRequestBody"):
            found["_schema"] = schema
    return found


def _check_schema(schema: Any) -> None:
    if isinstance(schema, list):
        for inner in schema:
            _check_schema(inner)
    if isinstance(schema, dict):
        for key, inner in schema.items():
            numeric = key in ("exclusiveMinimum", "exclusiveMaximum") and not isinstance(inner, bool)
            if key in NOT_TAKEN or numeric or (key == "type" and isinstance(inner, list)):
                raise bad(f"Invalid model schema specified: Unsupported keyword {key}")
            # The names of properties are no keywords.
            for nested in inner.values() if key == "properties" else [inner]:
                _check_schema(nested)


def _integration(region: str, sent: Json, parameters: list[str]) -> Json:
    if (sent.get("type", "").lower(), sent.get("connectionType")) != ("http_proxy", "VPC_LINK"):
        raise ApiError("NotEmulated", "only HTTP_PROXY integrations by a VPC link are emulated on the laptop")
    link, target = sent.get("connectionId", ""), sent.get("integrationTarget")
    if link not in link_records(region):
        raise bad(f"Invalid VpcLink ID specified: {link}")
    if not target:
        raise bad(f"IntegrationTarget is required for VpcLinkV2 {link}")
    if target not in get_backend("elbv2")[DEFAULT_ACCOUNT_ID][region].load_balancers:
        raise bad(f"Invalid integration target specified: {target}")
    if not re.match(r"https?://[^/{}]+", sent.get("uri", "")):
        raise bad("Invalid HTTP endpoint specified for URI")
    if not SHORTEST <= sent.get("timeoutInMillis", LONGEST) <= LONGEST:
        raise bad(f"Timeout should be between {SHORTEST} ms and {LONGEST} ms")
    for value in sent.get("requestParameters", {}).values():
        for name in MAPPED.findall(value):
            if name not in parameters:
                text = f"Invalid mapping expression parameter specified: method.request.path.{name}"
                raise bad(f"Invalid mapping expression specified: {text}")
    return {
        "type": "HTTP_PROXY",
        "httpMethod": sent["httpMethod"],
        "uri": sent["uri"],
        "connectionType": "VPC_LINK",
        "connectionId": link,
        "integrationTarget": target,
        "requestParameters": sent.get("requestParameters", {}),
        "passthroughBehavior": sent.get("passthroughBehavior", "when_no_match").upper(),
        "timeoutInMillis": sent.get("timeoutInMillis", LONGEST),
        "cacheKeyParameters": [],
    }

"""The definition of a REST API: the document that is imported, and what is read back."""

from __future__ import annotations

from typing import Any

from orderops.resources.apigateway_definition import RestRoute, definition_of, document, observed_definition, version_of

INTEGRATION = {"connectionId": "link", "integrationTarget": "arn", "timeoutInMillis": 29_000, "uri": "http://lb:80"}
PLACE = RestRoute("POST /orders", needs_key=True, model="Order", schema={"type": "object"})


def method(**changed: Any) -> dict[str, Any]:
    """A method of `/orders/{id}` as API Gateway answers it."""
    mapped = {
        "integration.request.path.id": "method.request.path.id",
        "integration.request.header.X-Client-Ip": "context.identity.sourceIp",
    }
    own = {**INTEGRATION, "uri": "http://lb:80/orders/{id}", "requestParameters": mapped, **changed}
    return {"authorizationType": "NONE", "apiKeyRequired": True, "methodIntegration": own}


def resource(path: str = "/orders/{id}", **methods: dict[str, Any]) -> dict[str, Any]:
    return {"path": path, "resourceMethods": methods}


def test_a_validated_body_names_its_model_and_the_validator() -> None:
    whole = document("api", (PLACE,), INTEGRATION, "v")

    operation = whole["paths"]["/orders"]["post"]
    reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    assert reference == "#/components/schemas/Order"
    assert whole["components"]["schemas"] == {"Order": {"type": "object"}}
    validator = operation["x-amazon-apigateway-request-validator"]
    assert whole["x-amazon-apigateway-request-validators"][validator]["validateRequestBody"] is True


def test_a_route_for_any_method_has_the_extension_in_place_of_a_method() -> None:
    paths = document("api", (RestRoute("ANY /a"),), INTEGRATION, "v")["paths"]

    assert list(paths["/a"]) == ["x-amazon-apigateway-any-method"]
    assert paths["/a"]["x-amazon-apigateway-any-method"]["security"] == []


def test_what_all_methods_share_is_told_once() -> None:
    found = observed_definition([{"path": "/"}, resource(GET=method(), POST=method())])

    assert found["Integration"] == INTEGRATION
    assert found["Routes"] == {"GET /orders/{id}": "NONE apiKeyRequired", "POST /orders/{id}": "NONE apiKeyRequired"}


def test_one_method_that_leads_elsewhere_or_drops_the_callers_address_is_told() -> None:
    elsewhere: tuple[dict[str, Any], ...] = (
        {"uri": "http://lb:80/other"},
        {"requestParameters": {}},
        {"timeoutInMillis": 50},
    )
    for changed in elsewhere:
        found = observed_definition([resource(GET=method(), POST=method(**changed))])
        assert found["Integration"].keys() == {"GET /orders/{id}", "POST /orders/{id}"}
        assert found["Integration"]["GET /orders/{id}"] == INTEGRATION
        assert found["Integration"]["POST /orders/{id}"] != INTEGRATION


def test_an_api_without_methods_has_no_integration() -> None:
    assert observed_definition([{"path": "/"}]) == {"Routes": {}, "Integration": None}


def test_the_version_tells_schemas_apart_and_nothing_else() -> None:
    other = RestRoute("POST /orders", model="Order", schema={"type": "array"})

    assert version_of((PLACE,)) == version_of((PLACE, RestRoute("GET /")))
    assert version_of((PLACE,)) != version_of((other,))
    assert definition_of((PLACE,)) == {"POST /orders": "NONE apiKeyRequired Order"}

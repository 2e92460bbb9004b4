"""API: the HTTP API, its way into the network, its routes and its stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orderops.export.hcl import Expression, blocks
from orderops.export.part import Found, Part
from orderops.resources.apigatewayv2_mapping import Apigatewayv2Mapping
from orderops.resources.apigatewayv2_route import Apigatewayv2Route


def api(found: Found) -> Iterator[Part]:
    """An HTTP API."""
    properties = found.properties
    body = {
        "name": properties["Name"],
        "protocol_type": properties["ProtocolType"],
        # AWS fills it in, in words that differ from those of the provider.
        "route_selection_expression": properties["RouteSelectionExpression"],
        "disable_execute_api_endpoint": properties["DisableExecuteApiEndpoint"],
        "tags": found.tags,
    }
    yield Part("aws_apigatewayv2_api", found.observed.id, body)


def vpc_link(found: Found) -> Iterator[Part]:
    """A VPC link."""
    properties = found.properties
    body = {
        "name": properties["Name"],
        "subnet_ids": found.place(properties["SubnetIds"]),
        "security_group_ids": found.place(properties["SecurityGroupIds"]),
        "tags": found.tags,
    }
    yield Part("aws_apigatewayv2_vpc_link", found.observed.id, body)


def authorizer(found: Found) -> Iterator[Part]:
    """A JWT authorizer."""
    properties = found.properties
    jwt = properties["JwtConfiguration"]
    body = {
        "api_id": found.place(properties["ApiId"]),
        "name": found.name,
        "authorizer_type": properties["AuthorizerType"],
        "identity_sources": properties["IdentitySource"],
        "jwt_configuration": blocks({"audience": jwt["Audience"], "issuer": jwt["Issuer"]}),
    }
    yield Part("aws_apigatewayv2_authorizer", _inside(found), body)


def integration(found: Found) -> Iterator[Part]:
    """A way of the API to a listener."""
    properties = found.properties
    body = {
        "api_id": found.place(properties["ApiId"]),
        "description": found.name,
        "integration_type": properties["IntegrationType"],
        "integration_method": properties["IntegrationMethod"],
        "integration_uri": found.place(properties["IntegrationUri"]),
        "connection_type": properties["ConnectionType"],
        "connection_id": found.place(properties["ConnectionId"]),
        "payload_format_version": properties["PayloadFormatVersion"],
        "request_parameters": properties["RequestParameters"] or None,
        "timeout_milliseconds": properties["TimeoutInMillis"],
    }
    yield Part("aws_apigatewayv2_integration", _inside(found), body)


def route(found: Found) -> Iterator[Part]:
    """A route, and who may use it."""
    resource, properties = found.resource, found.properties
    assert isinstance(resource, Apigatewayv2Route)
    body = {
        "api_id": found.place(properties["ApiId"]),
        "route_key": resource.key,
        "target": _target(found, properties["Target"]),
        "authorization_type": properties["AuthorizationType"],
        "authorizer_id": found.place(properties["AuthorizerId"]),
        "authorization_scopes": properties["AuthorizationScopes"] or None,
    }
    yield Part("aws_apigatewayv2_route", _inside(found), body)


def _target(found: Found, target: str) -> Any:
    """The target with a reference to its integration, if that is written."""
    place, _, integration = target.partition("/")
    reference = found.references.by_value.get(integration)
    return Expression(f'"{place}/${{{reference}}}"') if reference else target


def stage(found: Found) -> Iterator[Part]:
    """A stage. AWS deploys every change of it by itself."""
    properties = found.properties
    logs = properties["AccessLogSettings"]
    log = {"destination_arn": found.place(logs["DestinationArn"]), "format": logs["Format"]}
    routes = [{"route_key": key, **_limits(limits)} for key, limits in properties["RouteSettings"].items()]
    body = {
        "api_id": found.place(properties["ApiId"]),
        "name": found.observed.id.partition("/")[2],
        "auto_deploy": properties["AutoDeploy"],
        "default_route_settings": blocks(_limits(properties["DefaultRouteSettings"])),
        "route_settings": blocks(*routes),
        "access_log_settings": blocks(log if logs["DestinationArn"] else None),
        "tags": found.tags,
    }
    yield Part("aws_apigatewayv2_stage", found.observed.id, body)


def domain_name(found: Found) -> Iterator[Part]:
    """A domain name, with its certificate."""
    properties = found.properties
    configuration = {
        "certificate_arn": found.place(properties["CertificateArn"]),
        "endpoint_type": properties["EndpointType"],
        "security_policy": properties["SecurityPolicy"],
    }
    body = {"domain_name": found.name, "domain_name_configuration": blocks(configuration), "tags": found.tags}
    yield Part("aws_apigatewayv2_domain_name", found.observed.id, body)


def mapping(found: Found) -> Iterator[Part]:
    """Which stage answers a domain name."""
    resource, properties = found.resource, found.properties
    assert isinstance(resource, Apigatewayv2Mapping)
    domain = found.references.by_address.get(resource.domain.address)
    body = {
        "api_id": found.place(properties["ApiId"]),
        # By the domain name itself: its value is that of the record, too.
        "domain_name": Expression(f"{domain}.domain_name") if domain else found.name,
        "stage": properties["Stage"],
    }
    yield Part("aws_apigatewayv2_api_mapping", f"{found.observed.id}/{found.name}", body)


def _limits(limits: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "throttling_rate_limit": limits["ThrottlingRateLimit"],
        "throttling_burst_limit": limits["ThrottlingBurstLimit"],
    }


def _inside(found: Found) -> str:
    """The id for an import of what belongs to an API."""
    return f"{found.properties['ApiId']}/{found.observed.id}"

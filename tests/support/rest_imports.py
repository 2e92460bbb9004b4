"""A REST API of the strict emulator, and the import of a document with one route; fixtures."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.strict_clients import Client


@pytest.fixture
def subnets(moto: Client) -> list[str]:
    vpc = moto("ec2").create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    return [moto("ec2").create_subnet(VpcId=vpc, CidrBlock="10.9.0.0/24")["Subnet"]["SubnetId"]]


@pytest.fixture
def integration(strict: Client, moto: Client, subnets: list[str]) -> dict[str, Any]:
    """An integration that AWS accepts, as the document has it."""
    balancer = moto("elbv2").create_load_balancer(Name="inner", Subnets=subnets, Scheme="internal")["LoadBalancers"][0]
    link = strict("apigatewayv2").create_vpc_link(Name="orders", SubnetIds=subnets)["VpcLinkId"]
    return {
        "type": "http_proxy",
        "httpMethod": "GET",
        "uri": f"http://{balancer['DNSName']}:80/orders",
        "connectionType": "VPC_LINK",
        "connectionId": link,
        "integrationTarget": balancer["LoadBalancerArn"],
        "timeoutInMillis": 29_000,
    }


@pytest.fixture
def api(strict: Client) -> str:
    made = strict("apigateway").create_rest_api(name="orders", endpointConfiguration={"types": ["REGIONAL"]})
    return str(made["id"])


class Import:
    """Imports a document with one route."""

    def __init__(self, client: Any, api: str, integration: dict[str, Any]) -> None:
        self.client, self.api, self.integration = client, api, integration

    def __call__(self, path: str = "/orders", document: dict[str, Any] | None = None, **operation: Any) -> Any:
        get = {"responses": {}, "x-amazon-apigateway-integration": self.integration, **operation}
        paths = {path: {"get": get}}
        body = {"openapi": "3.0.1", "info": {"title": "t", "version": "1"}, "paths": paths, **(document or {})}
        put = {"restApiId": self.api, "mode": "overwrite", "body": json.dumps(body).encode()}
        return self.client.put_rest_api(**put)

    def deployed(self) -> str:
        self()
        return str(self.client.create_deployment(restApiId=self.api, stageName="live")["id"])


@pytest.fixture
def put(strict: Client, api: str, integration: dict[str, Any]) -> Import:
    return Import(strict("apigateway"), api, integration)

"""HTTP APIs: what AWS refuses, keeps and fills in, where moto accepts, overwrites or fails."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from support.laptop import until
from support.strict_clients import Client, Refused

JWT: dict[str, Any] = {
    "AuthorizerType": "JWT",
    "Name": "jwt",
    "IdentitySource": ["$request.header.Authorization"],
    "JwtConfiguration": {"Issuer": "https://login.example.com/", "Audience": ["orders"]},
}


@pytest.fixture
def subnets(moto: Client) -> list[str]:
    vpc = moto("ec2").create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    return [moto("ec2").create_subnet(VpcId=vpc, CidrBlock="10.9.0.0/24")["Subnet"]["SubnetId"]]


@pytest.fixture
def api(strict: Client) -> str:
    return str(strict("apigatewayv2").create_api(Name="orders", ProtocolType="HTTP")["ApiId"])


@pytest.fixture
def link(strict: Client, subnets: list[str]) -> str:
    return str(strict("apigatewayv2").create_vpc_link(Name="orders", SubnetIds=subnets)["VpcLinkId"])


@pytest.fixture
def listener(moto: Client, subnets: list[str]) -> str:
    elb = moto("elbv2")
    balancer = elb.create_load_balancer(Name="inner", Subnets=subnets, Scheme="internal")["LoadBalancers"][0]
    action = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
    made = elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"], Port=80, Protocol="HTTP", DefaultActions=[action]
    )
    return str(made["Listeners"][0]["ListenerArn"])


@pytest.fixture
def settings(api: str, link: str, listener: str) -> dict[str, Any]:
    """An integration that AWS accepts."""
    return {
        "ApiId": api,
        "IntegrationType": "HTTP_PROXY",
        "IntegrationMethod": "ANY",
        "ConnectionType": "VPC_LINK",
        "ConnectionId": link,
        "IntegrationUri": listener,
        "PayloadFormatVersion": "1.0",
        "RequestParameters": {"overwrite:header.X-Client-Ip": "$context.identity.sourceIp"},
    }


@pytest.fixture
def target(strict: Client, settings: dict[str, Any]) -> str:
    return f"integrations/{strict('apigatewayv2').create_integration(**settings)['IntegrationId']}"


@pytest.fixture
def logged(moto: Client) -> dict[str, str]:
    moto("logs").create_log_group(logGroupName="/api")
    arn = "arn:aws:logs:ap-southeast-2:123456789012:log-group:/api"
    return {"DestinationArn": arn, "Format": '{"id":"$context.requestId"}'}


def test_a_link_is_pending_and_then_available(strict: Client, moto: Client, subnets: list[str]) -> None:
    links = {"Name": "x", "SubnetIds": subnets}
    assert moto("apigatewayv2").create_vpc_link(**links)["VpcLinkStatus"] == "AVAILABLE"

    made = strict("apigatewayv2").create_vpc_link(**links)

    assert made["VpcLinkStatus"] == "PENDING"
    which = {"VpcLinkId": made["VpcLinkId"]}
    until(lambda: strict("apigatewayv2").get_vpc_link(**which)["VpcLinkStatus"] == "AVAILABLE", what="the link")


def test_a_link_in_an_unknown_subnet_is_refused(strict: Client, moto: Client, refused: Refused) -> None:
    assert moto("apigatewayv2").create_vpc_link(Name="x", SubnetIds=["subnet-0"])

    with refused("BadRequestException"):
        strict("apigatewayv2").create_vpc_link(Name="x", SubnetIds=["subnet-0"])


def test_a_subnet_is_in_use_until_its_link_is_gone(
    strict: Client, refused: Refused, link: str, subnets: list[str]
) -> None:
    strict("apigatewayv2").delete_vpc_link(VpcLinkId=link)
    assert strict("apigatewayv2").get_vpc_link(VpcLinkId=link)["VpcLinkStatus"] == "DELETING"
    with refused("DependencyViolation"):
        strict("ec2").delete_subnet(SubnetId=subnets[0])

    until(lambda: not strict("apigatewayv2").get_vpc_links()["Items"], what="the end of the link")
    strict("ec2").delete_subnet(SubnetId=subnets[0])


WRONG_INTEGRATIONS: dict[str, dict[str, Any]] = {
    "an unknown link": {"ConnectionId": "abc123"},
    "an unknown listener": {"IntegrationUri": "arn:aws:elasticloadbalancing:ap-southeast-2:123456789012:listener/x"},
    "too long": {"TimeoutInMillis": 30_001},
    "another payload": {"PayloadFormatVersion": "2.0"},
    "a reserved header": {"RequestParameters": {"overwrite:header.X-Forwarded-For": "1.2.3.4"}},
    "Authorization": {"RequestParameters": {"overwrite:header.Authorization": "x"}},
    "no such mapping": {"RequestParameters": {"set:header.X-Mine": "x"}},
}


@pytest.mark.parametrize("wrong", WRONG_INTEGRATIONS.values(), ids=WRONG_INTEGRATIONS)
def test_a_wrong_integration_is_refused(
    strict: Client, refused: Refused, settings: dict[str, Any], wrong: dict[str, Any]
) -> None:
    with refused("BadRequestException"):
        strict("apigatewayv2").create_integration(**{**settings, **wrong})


def test_an_update_of_an_integration_merges_and_an_empty_text_clears(strict: Client, api: str, target: str) -> None:
    which = {"ApiId": api, "IntegrationId": target.partition("/")[2]}
    strict("apigatewayv2").update_integration(**which, RequestParameters={"append:header.X-More": "1"})
    both = strict("apigatewayv2").get_integration(**which)
    assert set(both["RequestParameters"]) == {"overwrite:header.X-Client-Ip", "append:header.X-More"}
    assert both["TimeoutInMillis"] == 30_000

    strict("apigatewayv2").update_integration(**which, RequestParameters={"append:header.X-More": ""})

    assert set(strict("apigatewayv2").get_integration(**which)["RequestParameters"]) == {"overwrite:header.X-Client-Ip"}


def test_what_a_route_uses_is_not_deleted(strict: Client, refused: Refused, api: str, target: str) -> None:
    apis = strict("apigatewayv2")
    authorizer = apis.create_authorizer(ApiId=api, **JWT)["AuthorizerId"]
    route = apis.create_route(
        ApiId=api, RouteKey="GET /", Target=target, AuthorizationType="JWT", AuthorizerId=authorizer
    )["RouteId"]

    with refused("ConflictException"):
        apis.delete_integration(ApiId=api, IntegrationId=target.partition("/")[2])
    with refused("ConflictException"):
        apis.delete_authorizer(ApiId=api, AuthorizerId=authorizer)

    apis.delete_route(ApiId=api, RouteId=route)
    apis.delete_integration(ApiId=api, IntegrationId=target.partition("/")[2])
    apis.delete_authorizer(ApiId=api, AuthorizerId=authorizer)


WRONG_ROUTES: dict[str, dict[str, Any]] = {
    "no method": {"RouteKey": "/orders"},
    "a small method": {"RouteKey": "get /orders"},
    "greedy in the middle": {"RouteKey": "GET /{a+}/b"},
    "an unknown target": {"RouteKey": "GET /a", "Target": "integrations/abc"},
    "a token without an authorizer": {"RouteKey": "GET /a", "AuthorizationType": "JWT"},
    "scopes without a token": {"RouteKey": "GET /a", "AuthorizationType": "AWS_IAM", "AuthorizationScopes": ["a"]},
    "a key": {"RouteKey": "GET /a", "ApiKeyRequired": True},
}


@pytest.mark.parametrize("wrong", WRONG_ROUTES.values(), ids=WRONG_ROUTES)
def test_a_wrong_route_is_refused(
    strict: Client, moto: Client, refused: Refused, api: str, wrong: dict[str, Any]
) -> None:
    other = moto("apigatewayv2").create_api(Name="of moto", ProtocolType="HTTP")["ApiId"]
    assert moto("apigatewayv2").create_route(ApiId=other, **wrong)

    with refused("BadRequestException"):
        strict("apigatewayv2").create_route(ApiId=api, **wrong)


def test_a_key_is_of_one_route(strict: Client, refused: Refused, api: str, target: str) -> None:
    apis = strict("apigatewayv2")
    apis.create_route(ApiId=api, RouteKey="GET /", Target=target)
    with refused("ConflictException"):
        apis.create_route(ApiId=api, RouteKey="GET /", Target=target)

    other = apis.create_route(ApiId=api, RouteKey="$default", Target=target)["RouteId"]
    with refused("ConflictException"):
        apis.update_route(ApiId=api, RouteId=other, RouteKey="GET /")


WRONG_AUTHORIZERS: dict[str, dict[str, Any]] = {
    "no issuer": {"JwtConfiguration": {"Audience": ["orders"]}},
    "no audience": {"JwtConfiguration": {"Issuer": "https://login.example.com/"}},
    "no TLS": {"JwtConfiguration": {"Issuer": "http://login.example.com/", "Audience": ["orders"]}},
    "no source": {"IdentitySource": []},
    "no such source": {"IdentitySource": ["$request.body.token"]},
}


@pytest.mark.parametrize("wrong", WRONG_AUTHORIZERS.values(), ids=WRONG_AUTHORIZERS)
def test_a_wrong_authorizer_is_refused(strict: Client, refused: Refused, api: str, wrong: dict[str, Any]) -> None:
    with refused("BadRequestException"):
        strict("apigatewayv2").create_authorizer(ApiId=api, **{**JWT, **wrong})


def test_a_second_stage_of_a_name_is_refused_where_moto_overwrites_the_first(
    strict: Client, moto: Client, refused: Refused, api: str
) -> None:
    other = moto("apigatewayv2").create_api(Name="of moto", ProtocolType="HTTP")["ApiId"]
    for _ in range(2):
        assert moto("apigatewayv2").create_stage(ApiId=other, StageName="$default")
    strict("apigatewayv2").create_stage(ApiId=api, StageName="$default")

    with refused("ConflictException"):
        strict("apigatewayv2").create_stage(ApiId=api, StageName="$default")
    with refused("BadRequestException"):
        strict("apigatewayv2").create_stage(ApiId=api, StageName="a b")


def test_an_update_of_a_stage_merges_and_clears_by_calls_of_its_own(
    strict: Client, moto: Client, api: str, target: str, logged: dict[str, str]
) -> None:
    apis, where = strict("apigatewayv2"), {"ApiId": api, "StageName": "$default"}
    for key in ("GET /a", "GET /b"):
        apis.create_route(ApiId=api, RouteKey=key, Target=target)
    limits = {"ThrottlingRateLimit": 5.0, "ThrottlingBurstLimit": 6}
    apis.create_stage(**where, RouteSettings={"GET /a": limits}, AccessLogSettings=logged, StageVariables={"a": "1"})
    with pytest.raises(ClientError):
        moto("apigatewayv2").update_stage(**where, AutoDeploy=True)

    apis.update_stage(**where, RouteSettings={"GET /b": limits}, DefaultRouteSettings=limits, AccessLogSettings={})

    stage = apis.get_stage(**where)
    assert set(stage["RouteSettings"]) == {"GET /a", "GET /b"}
    assert stage["AccessLogSettings"] == logged
    assert stage["DefaultRouteSettings"] == {"DetailedMetricsEnabled": False, **limits}
    apis.update_stage(**where, RouteSettings={}, StageVariables={"a": ""})
    apis.delete_route_settings(**where, RouteKey="GET /a")
    apis.delete_access_log_settings(**where)
    stage = apis.get_stage(**where)
    assert set(stage["RouteSettings"]) == {"GET /b"}
    assert "AccessLogSettings" not in stage
    assert stage["StageVariables"] == {}


def test_a_rate_without_a_burst_lets_nothing_through(strict: Client, api: str) -> None:
    made = strict("apigatewayv2").create_stage(
        ApiId=api, StageName="a", DefaultRouteSettings={"ThrottlingRateLimit": 5.0}
    )

    assert made["DefaultRouteSettings"]["ThrottlingBurstLimit"] == 0


def test_limits_of_an_unknown_route_and_a_log_that_nobody_can_write_are_refused(
    strict: Client, refused: Refused, api: str, logged: dict[str, str]
) -> None:
    apis, where = strict("apigatewayv2"), {"ApiId": api, "StageName": "$default"}
    with refused("NotFoundException"):
        apis.create_stage(**where, RouteSettings={"GET /a": {"ThrottlingRateLimit": 1.0}})
    wrong = (
        {"DestinationArn": f"{logged['DestinationArn']}:*"},
        {"DestinationArn": f"{logged['DestinationArn']}-other"},
        {"Format": "$context.status"},
        {"Format": "$context.requestId\n$context.status"},
    )
    for change in wrong:
        with refused("BadRequestException"):
            apis.create_stage(**where, AccessLogSettings={**logged, **change})


def test_a_stage_that_deploys_by_itself_gets_a_new_deployment_with_each_route(
    strict: Client, api: str, target: str
) -> None:
    apis, where = strict("apigatewayv2"), {"ApiId": api, "StageName": "$default"}
    first = apis.create_stage(**where, AutoDeploy=True)
    apis.create_route(ApiId=api, RouteKey="GET /a", Target=target)

    then = apis.get_stage(**where)

    assert then["DeploymentId"] != first["DeploymentId"]
    assert then["LastDeploymentStatusMessage"].startswith("Successfully deployed")


def test_tags_belong_to_apis_stages_and_links(strict: Client, refused: Refused, api: str, link: str) -> None:
    apis = strict("apigatewayv2")
    apis.create_stage(ApiId=api, StageName="$default", Tags={"a": "1"})
    for path in (f"apis/{api}", f"apis/{api}/stages/$default", f"vpclinks/{link}"):
        arn = f"arn:aws:apigateway:ap-southeast-2::/{path}"
        apis.tag_resource(ResourceArn=arn, Tags={"b": "2"})
        assert apis.get_tags(ResourceArn=arn)["Tags"]["b"] == "2"
        apis.untag_resource(ResourceArn=arn, TagKeys=["b"])
        assert "b" not in apis.get_tags(ResourceArn=arn)["Tags"]
    with refused("NotFoundException"):
        apis.get_tags(ResourceArn="arn:aws:apigateway:ap-southeast-2::/apis/other")


def test_an_api_comes_back_with_what_aws_adds_and_goes_with_its_parts(
    strict: Client, refused: Refused, api: str
) -> None:
    apis = strict("apigatewayv2")
    found = apis.get_api(ApiId=api)
    assert found["RouteSelectionExpression"] == "${request.method} ${request.path}"
    assert (found["DisableExecuteApiEndpoint"], found["IpAddressType"]) == (False, "ipv4")
    with refused("BadRequestException"):
        apis.update_api(ApiId=api, CorsConfiguration={"AllowOrigins": ["*"], "AllowCredentials": True})
    apis.create_stage(ApiId=api, StageName="$default")

    apis.delete_api(ApiId=api)

    with refused("NotFoundException"):
        apis.get_stages(ApiId=api)


def test_listings_have_pages(strict: Client, api: str, target: str) -> None:
    apis = strict("apigatewayv2")
    for number in range(3):
        apis.create_route(ApiId=api, RouteKey=f"GET /{number}", Target=target)

    first = apis.get_routes(ApiId=api, MaxResults="2")
    rest = apis.get_routes(ApiId=api, MaxResults="2", NextToken=first["NextToken"])

    assert [route["RouteKey"] for route in (*first["Items"], *rest["Items"])] == ["GET /0", "GET /1", "GET /2"]


def test_rest_apis_are_left_to_moto(strict: Client) -> None:
    assert strict("apigateway").create_rest_api(name="old")["name"] == "old"
    assert strict("apigateway").get_vpc_links()["items"] == []

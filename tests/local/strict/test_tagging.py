from __future__ import annotations

from typing import Any

import pytest

from support.service_roles import give_rds_its_role
from support.strict_clients import Client

TAGS = [{"Key": "orderops:environment", "Value": "dev"}]
OURS: dict[str, Any] = {"TagFilters": [{"Key": "orderops:environment", "Values": ["dev"]}]}


@pytest.fixture
def made(strict: Client) -> None:
    ec2, rds = strict("ec2"), strict("rds")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=f"ap-southeast-2{zone}")["Subnet"]
        for n, zone in enumerate("ab")
    ]
    strict("ecr").create_repository(repositoryName="orders", tags=TAGS)
    give_rds_its_role()
    rds.create_db_subnet_group(
        DBSubnetGroupName="orders",
        DBSubnetGroupDescription="orders",
        SubnetIds=[subnet["SubnetId"] for subnet in subnets],
        Tags=TAGS,
    )
    rds.create_db_parameter_group(
        DBParameterGroupName="orders", DBParameterGroupFamily="postgres16", Description="orders", Tags=TAGS
    )
    strict("sqs").create_queue(QueueName="orders", tags={"orderops:environment": "dev"})
    strict("ecr").create_repository(repositoryName="others", tags=[{"Key": "orderops:environment", "Value": "prod"}])


@pytest.mark.usefixtures("made")
def test_the_tag_index_contains_repositories_and_rds_groups(moto: Client, strict: Client) -> None:
    assert _kinds(strict) == {"repository/orders", "subgrp:orders", "pg:orders", "orders"}
    assert _kinds(moto) == {"orders"}


@pytest.mark.usefixtures("made")
def test_the_tag_index_filters_by_type(strict: Client) -> None:
    assert _kinds(strict, ResourceTypeFilters=["rds", "sqs"]) == {"subgrp:orders", "pg:orders", "orders"}
    assert _kinds(strict, ResourceTypeFilters=["rds:pg"]) == {"pg:orders"}


def _kinds(client: Client, **filters: Any) -> set[str]:
    mappings = client("resourcegroupstaggingapi").get_resources(**OURS, **filters)["ResourceTagMappingList"]
    return {mapping["ResourceARN"].split(":", 5)[5] for mapping in mappings}


def test_the_tag_index_contains_web_acls_and_http_apis(strict: Client) -> None:
    tags = {"orderops:environment": "dev"}
    visible = {"SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": False, "MetricName": "orders"}
    strict("wafv2").create_web_acl(
        Name="orders", Scope="REGIONAL", DefaultAction={"Allow": {}}, VisibilityConfig=visible, Tags=TAGS
    )
    strict("wafv2").create_ip_set(Name="orders", Scope="REGIONAL", IPAddressVersion="IPV4", Addresses=[], Tags=TAGS)
    api = strict("apigatewayv2").create_api(Name="orders", ProtocolType="HTTP", Tags=tags)["ApiId"]

    kinds = {kind.rpartition("/")[0] for kind in _kinds(strict, ResourceTypeFilters=["wafv2"])}
    assert kinds == {"regional/webacl/orders", "regional/ipset/orders"}
    assert _kinds(strict, ResourceTypeFilters=["apigateway"]) == {f"/apis/{api}"}


@pytest.mark.usefixtures("made")
def test_the_tag_index_contains_listeners_and_rules(strict: Client) -> None:
    ours = [{"Name": "cidr-block", "Values": ["10.0.0.0/24", "10.0.1.0/24"]}]
    subnets = [subnet["SubnetId"] for subnet in strict("ec2").describe_subnets(Filters=ours)["Subnets"]]
    elb, ec2 = strict("elbv2"), strict("ec2")
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(
        InternetGatewayId=gateway, VpcId=ec2.describe_subnets(Filters=ours)["Subnets"][0]["VpcId"]
    )
    balancer = elb.create_load_balancer(Name="orders", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    nothing = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]
    listener = elb.create_listener(
        LoadBalancerArn=balancer, Protocol="HTTP", Port=80, DefaultActions=nothing, Tags=TAGS
    )["Listeners"][0]["ListenerArn"]
    paths = [{"Field": "path-pattern", "Values": ["/orders"]}]
    rule = elb.create_rule(ListenerArn=listener, Priority=1, Conditions=paths, Actions=nothing, Tags=TAGS)

    found = _kinds(strict, ResourceTypeFilters=["elasticloadbalancing"])

    assert found == {arn.split(":", 5)[5] for arn in (listener, rule["Rules"][0]["RuleArn"])}
    assert len(_kinds(strict, ResourceTypeFilters=["elasticloadbalancing:listener"])) == 1

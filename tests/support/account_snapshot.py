"""All resources of an account by name, tagged or not, so that the results of two runs can be compared."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

Client = Callable[[str], Any]
AccountSnapshot = Mapping[str, list[str]]
Thing = dict[str, Any]
CHOSEN_BY_AWS = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<=-green-)[a-z0-9]{6}\b")

# kind: the client, the call with what it answers and its parameters, and what a thing goes by (tag:Name for EC2).
LISTINGS: dict[str, tuple[str, str, str, dict[str, Any], str]] = {
    "address": ("ec2", "describe_addresses", "Addresses", {}, ""),
    "flow log": ("ec2", "describe_flow_logs", "FlowLogs", {}, ""),
    "internet gateway": ("ec2", "describe_internet_gateways", "InternetGateways", {}, ""),
    "nat gateway": ("ec2", "describe_nat_gateways", "NatGateways", {}, ""),
    "route table": ("ec2", "describe_route_tables", "RouteTables", {}, ""),
    "security group": ("ec2", "describe_security_groups", "SecurityGroups", {}, "GroupName"),
    "subnet": ("ec2", "describe_subnets", "Subnets", {}, ""),
    "vpc": ("ec2", "describe_vpcs", "Vpcs", {}, ""),
    "balancer": ("elbv2", "describe_load_balancers", "LoadBalancers", {}, "LoadBalancerName"),
    "target group": ("elbv2", "describe_target_groups", "TargetGroups", {}, "TargetGroupName"),
    "database": ("rds", "describe_db_instances", "DBInstances", {}, "DBInstanceIdentifier"),
    "database class": ("rds", "describe_db_instances", "DBInstances", {}, "DBInstanceClass"),
    "database version": ("rds", "describe_db_instances", "DBInstances", {}, "EngineVersion"),
    "deployment": ("rds", "describe_blue_green_deployments", "BlueGreenDeployments", {}, "BlueGreenDeploymentName"),
    "database subnets": ("rds", "describe_db_subnet_groups", "DBSubnetGroups", {}, "DBSubnetGroupName"),
    "parameters": ("rds", "describe_db_parameter_groups", "DBParameterGroups", {}, "DBParameterGroupName"),
    "api": ("apigatewayv2", "get_apis", "Items", {}, "Name"),
    "rest api": ("apigateway", "get_rest_apis", "items", {}, "name"),
    "usage plan": ("apigateway", "get_usage_plans", "items", {}, "name"),
    "api key": ("apigateway", "get_api_keys", "items", {}, "name"),
    "domain name": ("apigatewayv2", "get_domain_names", "Items", {}, "DomainName"),
    "vpc link": ("apigatewayv2", "get_vpc_links", "Items", {}, "Name"),
    "queue": ("sqs", "list_queues", "QueueUrls", {}, ""),
    "topic": ("sns", "list_topics", "Topics", {}, "TopicArn"),
    "subscription": ("sns", "list_subscriptions", "Subscriptions", {}, "Endpoint"),
    "bucket": ("s3", "list_buckets", "Buckets", {}, "Name"),
    "role": ("iam", "list_roles", "Roles", {}, "RoleName"),
    "log group": ("logs", "describe_log_groups", "logGroups", {}, "logGroupName"),
    "alarm": ("cloudwatch", "describe_alarms", "MetricAlarms", {}, "AlarmName"),
    "anomaly detector": ("cloudwatch", "describe_anomaly_detectors", "AnomalyDetectors", {}, "MetricName"),
    "web ACL": ("wafv2", "list_web_acls", "WebACLs", {"Scope": "REGIONAL"}, "Name"),
    "IP set": ("wafv2", "list_ip_sets", "IPSets", {"Scope": "REGIONAL"}, "Name"),
    "log of a web ACL": (
        "wafv2",
        "list_logging_configurations",
        "LoggingConfigurations",
        {"Scope": "REGIONAL"},
        "ResourceArn",
    ),
    "secret": ("secretsmanager", "list_secrets", "SecretList", {}, "Name"),
    "certificate": ("acm", "list_certificates", "CertificateSummaryList", {}, "DomainName"),
    "repository": ("ecr", "describe_repositories", "repositories", {}, "repositoryName"),
    "task definition": ("ecs", "list_task_definitions", "taskDefinitionArns", {}, ""),
    "scaling": (
        "application-autoscaling",
        "describe_scalable_targets",
        "ScalableTargets",
        {"ServiceNamespace": "ecs"},
        "ResourceId",
    ),
}

# The parts of HTTP APIs, and what each goes by.
OF_APIS = {
    "authorizer": "Name",
    "integration": "Description",
    "api route": "RouteKey",
    "stage": "StageName",
}


def take_snapshot(client: Client) -> AccountSnapshot:
    """Existing resources by kind, without ids, so that equal runs give equal snapshots."""
    there = {kind: list(_names(client, kind)) for kind in LISTINGS}
    there["listener"] = [str(listener["Port"]) for listener in _listeners(client)]
    there["rule"] = [rule for listener in _listeners(client) for rule in _rules(client, listener)]
    there["web ACL of a balancer"] = list(_guarded(client))
    there["web ACL of a stage"] = list(_guarded_stages(client))
    there["mapping"] = list(_mappings(client))
    there |= {kind: list(_of_apis(client, kind, name)) for kind, name in OF_APIS.items()}
    there["rest api route"] = list(_rest_routes(client))
    there["rest api stage"] = list(_rest_stages(client))
    there["record"] = list(_records(client))
    there["cluster"] = [cluster["clusterName"] for cluster in _clusters(client)]
    there["service"] = list(_services(client))
    return {kind: sorted(CHOSEN_BY_AWS.sub("…", name) for name in names) for kind, names in there.items() if names}


def _names(client: Client, kind: str) -> Iterator[str]:
    service, call, key, params, name = LISTINGS[kind]
    for thing in _every(client(service), call, key, **params):
        if isinstance(thing, str):
            yield thing.rpartition("/")[2]
        elif thing.get("State", thing.get("VpcLinkStatus", "").lower()) not in ("deleted", "deleting"):
            yield str(thing[name] if name else _tagged_name(thing))


def _tagged_name(thing: Thing) -> str:
    """The name and address from the tags; empty without tags."""
    tags = {tag["Key"]: tag["Value"] for tag in thing.get("Tags", ())}
    return f"{tags.get('Name', '')} {tags.get('orderops:address', '')}".strip()


def _listeners(client: Client) -> Iterator[Thing]:
    for balancer in _every(client("elbv2"), "describe_load_balancers", "LoadBalancers"):
        arn = balancer["LoadBalancerArn"]
        yield from _every(client("elbv2"), "describe_listeners", "Listeners", LoadBalancerArn=arn)


def _rules(client: Client, listener: Thing) -> Iterator[str]:
    for rule in client("elbv2").describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]:
        yield str(rule["Priority"])


def _guarded(client: Client) -> Iterator[str]:
    for balancer in _every(client("elbv2"), "describe_load_balancers", "LoadBalancers"):
        answer = client("wafv2").get_web_acl_for_resource(ResourceArn=balancer["LoadBalancerArn"])
        if "WebACL" in answer:
            yield str(answer["WebACL"]["Name"])


def _guarded_stages(client: Client) -> Iterator[str]:
    apis = client("apigateway")
    for api in _every(apis, "get_rest_apis", "items"):
        for stage in apis.get_stages(restApiId=api["id"])["item"]:
            if acl := stage.get("webAclArn"):
                yield str(acl.split("/")[-2])


def _mappings(client: Client) -> Iterator[str]:
    """Domain names of API Gateway with the stages that they lead to."""
    apis = client("apigatewayv2")
    for name in _every(apis, "get_domain_names", "Items"):
        for mapping in _every(apis, "get_api_mappings", "Items", DomainName=name["DomainName"]):
            yield f"{name['DomainName']} {mapping['Stage']}"


def _of_apis(client: Client, kind: str, name: str) -> Iterator[str]:
    apis = client("apigatewayv2")
    for api in _every(apis, "get_apis", "Items"):
        for part in _every(apis, f"get_{kind.removeprefix('api ')}s", "Items", ApiId=api["ApiId"]):
            yield str(part[name])


def _rest_routes(client: Client) -> Iterator[str]:
    apis = client("apigateway")
    for api in _every(apis, "get_rest_apis", "items"):
        for resource in _every(apis, "get_resources", "items", restApiId=api["id"]):
            yield from (f"{method} {resource['path']}" for method in resource.get("resourceMethods", {}))


def _rest_stages(client: Client) -> Iterator[str]:
    """Stages with what they have deployed."""
    apis = client("apigateway")
    for api in _every(apis, "get_rest_apis", "items"):
        for stage in apis.get_stages(restApiId=api["id"])["item"]:
            deployed = apis.get_deployment(restApiId=api["id"], deploymentId=stage["deploymentId"])
            yield f"{stage['stageName']} {bool(deployed['description'])}"


def _records(client: Client) -> Iterator[str]:
    for zone in client("route53").list_hosted_zones()["HostedZones"]:
        for record in client("route53").list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]:
            yield f"{record['Name']} {record['Type']}"


def _clusters(client: Client) -> Iterator[Thing]:
    """Existing clusters. ECS keeps deleted clusters and services as INACTIVE."""
    for arn in _every(client("ecs"), "list_clusters", "clusterArns"):
        for cluster in client("ecs").describe_clusters(clusters=[arn])["clusters"]:
            if cluster["status"] != "INACTIVE":
                yield cluster


def _services(client: Client) -> Iterator[str]:
    for cluster in _clusters(client):
        name = cluster["clusterName"]
        for arn in _every(client("ecs"), "list_services", "serviceArns", cluster=name):
            for service in client("ecs").describe_services(cluster=name, services=[arn])["services"]:
                if service["status"] != "INACTIVE":
                    yield str(service["serviceName"])


def _every(client: Any, call: str, key: str, **params: Any) -> Iterable[Any]:
    if client.can_paginate(call):
        for page in client.get_paginator(call).paginate(**params):
            yield from page.get(key, ())
    else:
        yield from getattr(client, call)(**params).get(key, ())

"""Services: cluster, task definition, service, its scaling, and the repository of its images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orderops.aws.ownership import to_pairs
from orderops.export.hcl import Expression, Json, blocks
from orderops.export.part import Found, Part, ignoring

DIMENSION = "ecs:service:DesiredCount"
POLICY = "cpu"
"""The name of the scaling policy, whatever its goal is."""


def cluster(found: Found) -> Iterator[Part]:
    """A cluster."""
    setting = {"name": "containerInsights", "value": found.properties["containerInsights"]}
    yield Part("aws_ecs_cluster", found.name, {"name": found.name, "setting": blocks(setting), "tags": found.tags})


def task_definition(found: Found) -> Iterator[Part]:
    """The newest revision of a task definition."""
    properties = found.properties
    body = {
        "family": found.name,
        "cpu": properties["Cpu"],
        "memory": properties["Memory"],
        "network_mode": "awsvpc",
        "requires_compatibilities": ["FARGATE"],
        "execution_role_arn": found.place(properties["ExecutionRoleArn"]),
        "task_role_arn": found.place(properties["TaskRoleArn"]),
        "container_definitions": Json([_container(found)]),
        "runtime_platform": blocks({"cpu_architecture": "X86_64", "operating_system_family": "LINUX"}),
        "tags": found.tags,
    }
    yield Part("aws_ecs_task_definition", found.observed.arn, body)


def _container(found: Found) -> dict[str, Any]:
    properties = found.properties
    port = properties["Port"]
    options = {
        "awslogs-group": properties["Logs"],
        "awslogs-region": found.region,
        "awslogs-stream-prefix": "task",
    }
    return {
        "name": properties["Container"],
        "image": properties["Image"],
        "essential": True,
        "portMappings": [{"containerPort": port, "hostPort": port, "protocol": "tcp"}] if port else [],
        "environment": to_pairs(properties["Environment"], "name", "value"),
        "secrets": to_pairs(properties["Secrets"], "name", "valueFrom"),
        "stopTimeout": properties["StopTimeout"],
        "linuxParameters": {"initProcessEnabled": True},
        "logConfiguration": {"logDriver": "awslogs", "options": options},
        **({"healthCheck": properties["HealthCheck"]} if properties["HealthCheck"] else {}),
    }


def service(found: Found) -> Iterator[Part]:
    """A service. Autoscaling sets its number of tasks, and a release its task definition."""
    properties = found.properties
    deployment = properties["deploymentConfiguration"] or {}
    breaker = deployment.get("deploymentCircuitBreaker")
    # A blue/green release has the service change its target group.
    shifting = [] if deployment.get("strategy", "ROLLING") == "ROLLING" else ["load_balancer"]
    network = {
        "subnets": found.place(properties["Subnets"]),
        "security_groups": found.place(properties["SecurityGroups"]),
        "assign_public_ip": False,
    }
    body = {
        "name": found.name,
        "cluster": found.references.named("ecs-cluster", properties["Cluster"], "arn"),
        "task_definition": _revision(found, properties["TaskDefinition"]),
        "launch_type": properties["LaunchType"],
        "desired_count": properties["desiredCount"],
        "enable_execute_command": properties["enableExecuteCommand"],
        "propagate_tags": properties["propagateTags"],
        "health_check_grace_period_seconds": properties["healthCheckGracePeriodSeconds"],
        "deployment_minimum_healthy_percent": deployment.get("minimumHealthyPercent"),
        "deployment_maximum_percent": deployment.get("maximumPercent"),
        "deployment_circuit_breaker": blocks(breaker and {key: breaker[key] for key in ("enable", "rollback")}),
        "network_configuration": blocks(network),
        "load_balancer": blocks(*(_balancer(found, balancer) for balancer in properties["LoadBalancers"])),
        "tags": found.tags,
        # ECS spreads the tasks of new services over zones by itself; version 5 of the provider would turn that off.
        "lifecycle": ignoring("desired_count", "availability_zone_rebalancing", *shifting),
    }
    yield Part("aws_ecs_service", f"{properties['Cluster']}/{found.name}", body)


def _revision(found: Found, arn: str) -> Any:
    """The revision as FAMILY:NUMBER, which is how the provider reads it back."""
    revision = arn.rpartition("/")[2]
    target = found.references.by_address.get(f"ecs-task-definition/{revision.partition(':')[0]}")
    if target and arn in found.references.by_value:
        return Expression(f'"${{{target}.family}}:${{{target}.revision}}"')
    return revision


def _balancer(found: Found, balancer: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "target_group_arn": found.place(balancer["targetGroupArn"]),
        "container_name": balancer["containerName"],
        "container_port": balancer["containerPort"],
    }


def scaling(found: Found) -> Iterator[Part]:
    """The limits for the number of tasks, and the goal of the scaling policy."""
    properties = found.properties
    where = {"service_namespace": "ecs", "resource_id": found.observed.id, "scalable_dimension": DIMENSION}
    limits = {"min_capacity": properties["MinCapacity"], "max_capacity": properties["MaxCapacity"]}
    target = f"ecs/{found.observed.id}/{DIMENSION}"
    yield Part("aws_appautoscaling_target", target, {**where, **limits})
    goal = _goal(properties)
    if goal:
        tracking = {"target_tracking_scaling_policy_configuration": blocks(goal)}
        body = {"name": POLICY, "policy_type": "TargetTrackingScaling", **where, **tracking}
        yield Part("aws_appautoscaling_policy", f"{target}/{POLICY}", body, suffix=POLICY)


def _goal(properties: Mapping[str, Any]) -> dict[str, Any] | None:
    backlog = properties["BacklogPerTask"]
    if backlog:
        metrics = [_metric(metric) for metric in backlog["CustomizedMetricSpecification"]["Metrics"]]
        return {
            "target_value": backlog["TargetValue"],
            "scale_out_cooldown": backlog["ScaleOutCooldown"],
            "scale_in_cooldown": backlog["ScaleInCooldown"],
            "customized_metric_specification": blocks({"metrics": blocks(*metrics)}),
        }
    if properties["CpuPercent"] is None:
        return None
    predefined = {"predefined_metric_type": "ECSServiceAverageCPUUtilization"}
    return {"target_value": properties["CpuPercent"], "predefined_metric_specification": blocks(predefined)}


def _metric(metric: Mapping[str, Any]) -> dict[str, Any]:
    stat = metric.get("MetricStat")
    return {
        "id": metric["Id"],
        "expression": metric.get("Expression"),
        "return_data": metric.get("ReturnData"),
        "metric_stat": blocks(stat and {"stat": stat["Stat"], "metric": blocks(_source(stat["Metric"]))}),
    }


def _source(metric: Mapping[str, Any]) -> dict[str, Any]:
    pairs = [{"name": pair["Name"], "value": pair["Value"]} for pair in metric["Dimensions"]]
    return {"metric_name": metric["MetricName"], "namespace": metric["Namespace"], "dimensions": blocks(*pairs)}


def repository(found: Found) -> Iterator[Part]:
    """A repository, and which of its images expire."""
    properties = found.properties
    body = {
        "name": found.name,
        "image_tag_mutability": properties["ImageTagMutability"],
        "image_scanning_configuration": blocks({"scan_on_push": properties["ScanOnPush"]}),
        "encryption_configuration": blocks({"encryption_type": properties["EncryptionType"]}),
        "tags": found.tags,
    }
    yield Part("aws_ecr_repository", found.name, body)
    if properties["LifecyclePolicy"]:
        repository_name = found.references.named("ecr-repository", found.name)
        policy = {"repository": repository_name, "policy": Json(properties["LifecyclePolicy"])}
        yield Part("aws_ecr_lifecycle_policy", found.name, policy)

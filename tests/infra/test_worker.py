"""A worker: what it shares with the service that it works for, and what it has and lacks of its own."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from orderops.config.environment import Environment
from orderops.engine.resource import Output, Outputs, Resource
from orderops.infra.limits import names_in, taken_names
from orderops.infra.readiness import asked_service
from orderops.infra.stack import Stack, stack
from orderops.resources.autoscaling_target import AutoscalingTarget
from orderops.resources.ec2_security_group import Ec2SecurityGroup
from orderops.resources.ecs_service import EcsService
from orderops.resources.ecs_task_definition import EcsTaskDefinition
from orderops.resources.iam_role import IamRole

SHOP = {"max_tasks": 2, "secrets": ["API_KEY"], "token_secret": "TOKEN", "variables": {"MODE": "a", "COLOR": "red"}}


def environment(worker: dict[str, Any] | None = None, shop: dict[str, Any] | None = None) -> Environment:
    services = {
        # The first of the file, so that nothing takes the first service for one with a queue.
        "shop-worker": {"role": "worker", "works_for": "shop", "max_tasks": 2, **(worker or {})},
        "shop": {**SHOP, **(shop or {})},
    }
    return Environment.model_validate({"name": "dev", "database": {}, "services": services})


def declared(worker: dict[str, Any] | None = None) -> Stack:
    return stack(environment(worker), "1" * 12)


def resource(found: Stack, address: str) -> Resource:
    (match,) = [other for other in [*found.infra, *found.release({})] if other.address == address]
    return match


def of_worker(found: Stack, kind: str) -> Any:
    return resource(found, f"{kind}/orderops-dev-shop-worker")


def test_every_resource_is_declared_once() -> None:
    found = declared()
    counts = Counter(other.address for other in [*found.infra, *found.release({})])

    # The linked roles of the account are declared by whatever needs them.
    assert [address for address, count in counts.items() if count > 1 and "service-linked" not in address] == []
    assert list(taken_names(found)) == []


def test_a_worker_has_no_queue_repository_secret_target_group_nor_rule_of_its_own() -> None:
    names = {(name.kind.kind, name.name) for name in names_in(declared()) if "shop-worker" in name.name}

    assert {kind for kind, _ in names} == {
        "autoscaling-target",
        "cloudwatch-alarm",
        "ec2-security-group",
        "ecs-service",
        "ecs-task-definition",
        "iam-role",
        "logs-group",
    }
    assert {name for kind, name in names if kind == "cloudwatch-alarm"} == {
        "orderops-dev-shop-worker-cpu",
        "orderops-dev-shop-worker-database-away",
        "orderops-dev-shop-worker-max-capacity",
        "orderops-dev-shop-worker-memory",
    }


def test_its_tasks_read_queue_secrets_and_variables_of_the_service() -> None:
    found = declared({"variables": {"COLOR": "blue"}, "pool_size": 6})
    definition, shop = of_worker(found, "ecs-task-definition"), found.services["shop"]
    assert isinstance(definition, EcsTaskDefinition)
    variables = definition.environment

    for name, queue in (("QUEUE_URL", shop.queue), ("DEAD_LETTER_QUEUE_URL", shop.dead_letters)):
        url = variables[name]
        assert isinstance(url, Output)
        assert url.resource is queue
    assert {name: secret.resource for name, secret in definition.secrets.items()} == shop.secrets
    assert {name: variables[name] for name in ("ORDEROPS_ROLE", "ORDEROPS_SERVICE", "MODE", "COLOR")} == {
        "ORDEROPS_ROLE": "worker",
        "ORDEROPS_SERVICE": "shop-worker",
        "MODE": "a",
        "COLOR": "blue",
    }
    assert variables["DATABASE_POOL_SIZE"] == "6"
    # It takes no orders.
    assert "TOKEN_SECRET" not in variables


def test_its_roles_reach_the_repository_the_queue_and_the_secrets_of_the_service() -> None:
    found = declared()
    execution = resource(found, "iam-role/orderops-dev-shop-worker-execution")
    task = resource(found, "iam-role/orderops-dev-shop-worker-task")
    assert isinstance(execution, IamRole)
    assert isinstance(task, IamRole)

    def on(role: IamRole, action: str) -> set[str]:
        return {
            other.address
            for allow in role.allow
            if action in allow.actions
            for other in allow.on
            if isinstance(other, Resource)
        }

    assert on(execution, "ecr:BatchGetImage") == {"ecr-repository/orderops-dev-shop"}
    assert on(execution, "logs:PutLogEvents") == {"logs-group//orderops/dev/shop-worker"}
    assert on(execution, "secretsmanager:GetSecretValue") == {"secretsmanager-secret/orderops/dev/shop/API_KEY"}
    assert on(task, "sqs:ReceiveMessage") == {"sqs-queue/orderops-dev-shop-queue"}
    assert on(task, "sqs:SendMessage") >= {"sqs-queue/orderops-dev-shop-dlq"}


def test_nothing_connects_to_its_tasks_and_they_may_connect_to_the_database() -> None:
    found = declared()
    group = of_worker(found, "ec2-security-group")
    assert isinstance(group, Ec2SecurityGroup)

    assert group.ingress == ()
    assert group in [rule.source for rule in found.database_group.ingress]


def test_no_balancer_checks_it_but_a_command_in_its_container() -> None:
    found = declared({"health_path": "/alive", "health_grace_seconds": 90, "port": 9000})
    service, definition = of_worker(found, "ecs-service"), of_worker(found, "ecs-task-definition")
    assert isinstance(service, EcsService)
    assert isinstance(definition, EcsTaskDefinition)
    outputs = Outputs("ap-southeast-2", "1" * 12)

    assert service.desired(outputs)["LoadBalancers"] == []
    assert "healthCheckGracePeriodSeconds" not in service.desired(outputs)
    check = definition.desired(outputs)["HealthCheck"]
    assert check["command"] == ["CMD", "python", "-m", "orderops.service.probe", "/alive"]
    assert check["startPeriod"] == 90
    # The ranges of the ECS API reference.
    assert 5 <= check["interval"] <= 300
    assert 2 <= check["timeout"] <= 60


def test_it_scales_on_the_backlog_of_the_queue_and_the_service_on_cpu() -> None:
    found = declared({"messages_per_task": 250, "min_tasks": 1, "max_tasks": 2})
    worker, shop = of_worker(found, "autoscaling-target"), resource(found, "autoscaling-target/orderops-dev-shop")
    assert isinstance(worker, AutoscalingTarget)
    assert isinstance(shop, AutoscalingTarget)
    outputs = Outputs()

    assert worker.desired(outputs)["CpuPercent"] is None
    assert worker.desired(outputs)["BacklogPerTask"]["TargetValue"] == 250.0
    assert shop.desired(outputs)["CpuPercent"] == 60.0
    assert shop.desired(outputs)["BacklogPerTask"] is None


def test_rules_and_readiness_go_by_the_services_that_get_requests() -> None:
    found = environment()

    assert found.entries == ["shop"]
    assert found.routing.priority("shop") == 100
    assert asked_service(found) == "shop"


@pytest.mark.parametrize("role", ["web", "both"])
def test_a_service_may_write_orders_itself_while_a_worker_helps(role: str) -> None:
    assert environment(shop={"role": role}).workers_of("shop") == ["shop-worker"]

from __future__ import annotations

from typing import Any

from orderops.config.environment import Environment
from orderops.engine.resource import Output, Resource
from orderops.infra.stack import stack
from orderops.resources.ecs_task_definition import EcsTaskDefinition
from orderops.resources.iam_role import IamRole


def declared(**service: Any) -> list[Resource]:
    """Return the resources of an environment with one service."""
    table = {"name": "dev", "database": {}, "services": {"shop": service}}
    whole = stack(Environment.model_validate(table), "1" * 12)
    return [*whole.infra, *whole.release({})]


def variables(**service: Any) -> dict[str, Any]:
    (definition,) = [resource for resource in declared(**service) if isinstance(resource, EcsTaskDefinition)]
    return dict(definition.environment)


def allowed(resources: list[Resource], target: str) -> set[str]:
    """Return the actions that the role of the tasks may use on a resource."""
    (role,) = [resource for resource in resources if resource.name == "orderops-dev-shop-task"]
    assert isinstance(role, IamRole)
    return {
        action
        for allow in role.allow
        for resource in allow.on
        if isinstance(resource, Resource) and resource.name == target
        for action in allow.actions
    }


def test_the_tasks_may_send_to_the_dead_letters_and_do_nothing_else_there() -> None:
    assert allowed(declared(), "orderops-dev-shop-dlq") == {"sqs:GetQueueAttributes", "sqs:SendMessage"}


def test_the_tasks_read_the_token_themselves() -> None:
    service = {"token_secret": "TOKEN"}
    resources = declared(**service)

    assert allowed(resources, "orderops/dev/shop/TOKEN") == {"secretsmanager:GetSecretValue"}
    (secret,) = [resource for resource in resources if resource.name == "orderops/dev/shop/TOKEN"]
    named = variables(**service)["TOKEN_SECRET"]
    assert isinstance(named, Output)
    assert (named.resource.name, named.key) == (secret.name, "arn")


def test_without_a_token_secret_no_variable_names_one() -> None:
    assert "TOKEN_SECRET" not in variables()


def test_role_demonstration_and_polling_are_variables_of_the_task() -> None:
    default = variables()
    other = variables(role="web", demonstration=True, queue={"poll_seconds": 20})

    names = ("ORDEROPS_ROLE", "DEMONSTRATION", "POLL_SECONDS")
    assert [default[name] for name in names] == ["both", "false", "5"]
    assert [other[name] for name in names] == ["web", "true", "20"]

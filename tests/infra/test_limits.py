"""Names that follow from an environment file, against what AWS documents for each kind of resource."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orderops.config.environment import DatabaseConfig, Environment, ServiceConfig
from orderops.config.service import RESERVED_VARIABLES
from orderops.engine.resource import Resource
from orderops.errors import UsageError
from orderops.infra.limits import DeclaredName, checked_environment, name_mistakes, names_in
from orderops.infra.stack import KINDS, stack
from orderops.resources.ecs_task_definition import EcsTaskDefinition
from orderops.resources.elbv2_load_balancer import Elbv2LoadBalancer
from orderops.resources.iam_role import IamRole
from orderops.resources.rds_restored_instance import RdsRestoredInstance

# The longest name of each kind that has names of its own, from the API reference of its service.
LONGEST = {
    "apigateway-rest-api": 255,
    "apigateway-usage-plan": 255,
    "apigatewayv2-api": 128,
    "apigatewayv2-authorizer": 128,
    "apigatewayv2-domain-name": 253,
    "apigatewayv2-vpc-link": 128,
    "cloudwatch-alarm": 255,
    "cloudwatch-composite-alarm": 255,
    "cloudwatch-dashboard": 255,
    "ec2-security-group": 255,
    "ecr-repository": 256,
    "ecs-cluster": 255,
    "ecs-service": 255,
    "ecs-task-definition": 255,
    "elbv2-load-balancer": 32,
    "elbv2-target-group": 32,
    "iam-role": 64,
    "logs-group": 512,
    "logs-service-group": 512,
    "rds-instance": 63,
    "rds-parameter-group": 255,
    "rds-read-replica": 63,
    "rds-subnet-group": 255,
    "route53-alias": 253,
    "s3-bucket": 63,
    "scheduler-group": 64,
    "scheduler-schedule": 64,
    "secretsmanager-login": 512,
    "secretsmanager-pointer": 512,
    "secretsmanager-secret": 512,
    "sns-topic": 256,
    "sqs-queue": 80,
    "wafv2-ip-set": 128,
    "wafv2-web-acl": 128,
}
# Their names are tags, or contain the name of another resource.
UNNAMED = {
    "apigateway-account",
    "apigateway-stage",
    "apigatewayv2-integration",
    "apigatewayv2-mapping",
    "apigatewayv2-route",
    "apigatewayv2-stage",
    "acm-certificate",
    "autoscaling-target",
    "cloudwatch-anomaly-detector",
    "ec2-address",
    "ec2-flow-log",
    "ec2-internet-gateway",
    "ec2-nat-gateway",
    "ec2-route-table",
    "ec2-subnet",
    "ec2-vpc",
    "elbv2-listener",
    "elbv2-rule",
    "iam-service-linked-role",
    "wafv2-association",
    "wafv2-logging",
}


def environment(name: str, service: str, **settings: Any) -> Environment:
    return Environment(name=name, database=DatabaseConfig(), services={service: ServiceConfig(**settings)})


def test_each_kind_has_the_documented_limit_or_no_name_of_its_own() -> None:
    rules = {kind.kind: kind.name_rule for kind in KINDS}

    assert {name: rule.longest for name, rule in rules.items() if rule} == LONGEST
    assert {name for name, rule in rules.items() if not rule} == UNNAMED


@pytest.mark.parametrize(("name", "service"), [("a" * 14, "s" * 8), ("d", "s" * 21), ("x-1-y-2", "a-b-c")])
def test_the_longest_names_of_environment_and_service_fit_every_resource(name: str, service: str) -> None:
    declared = environment(name, service, secrets=["A" * 40])

    assert list(name_mistakes(names_in(stack(declared, "0" * 12)))) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("orderops-abcdefghijklmno-balancer", "33 characters, and AWS allows 32; shorten dev to 2 characters"),
        ("internal-balancer", "is not allowed as the name of elbv2-load-balancer"),
        ("orderops_balancer", "is not allowed as the name of elbv2-load-balancer"),
        ("balancer-", "is not allowed as the name of elbv2-load-balancer"),
    ],
)
def test_a_name_that_a_balancer_cannot_have_is_refused(name: str, message: str) -> None:
    assert refusals(Elbv2LoadBalancer, name, "dev") == [message]


@pytest.mark.parametrize("name", ["1-database", "a--b", "a_b", "a" * 64])
def test_a_name_that_a_database_cannot_have_is_refused(name: str) -> None:
    assert len(refusals(RdsRestoredInstance, name, "dev")) == 1


def refusals(kind: type[Resource], name: str, source: str) -> list[str]:
    mistakes = list(name_mistakes([DeclaredName(kind, name, ("name",), source)]))
    return [
        mistake.allowed.removeprefix(f"{name} ").removeprefix("would have ").partition(":")[0] for mistake in mistakes
    ]


def test_an_environment_of_15_letters_is_refused_with_the_allowed_length(tmp_path: Path) -> None:
    name = "abcdefghijklmno"
    (tmp_path / f"{name}.toml").write_text("[database]\n[services.shop]\n")

    with pytest.raises(UsageError, match="a file name of 1 to 14 lower-case letters"):
        checked_environment(name, tmp_path)


@pytest.mark.parametrize("service", ["balancer", "database"])
def test_a_service_that_would_share_a_resource_with_the_environment_is_refused_on_its_line(
    tmp_path: Path, service: str
) -> None:
    (tmp_path / "dev.toml").write_text(f'[network]\ncidr = "10.1.0.0/16"\n[database]\n[services.{service}]\n')

    with pytest.raises(UsageError) as raised:
        checked_environment("dev", tmp_path)

    assert f"dev.toml:4: services.{service}: " in str(raised.value)
    assert f"ec2-security-group/orderops-dev-{service} is a resource of the environment" in str(raised.value)


@pytest.mark.parametrize("service", ["a", "ecs", "queue", "migrations"])
def test_a_service_may_have_a_name_that_is_part_of_others(tmp_path: Path, service: str) -> None:
    services = f'[services.{service}]\n[services.web]\nport = 9000\npaths = ["/web/*"]\npriority = 99\nmax_tasks = 2\n'
    text = f'[network]\ncidr = "10.1.0.0/16"\n[database]\n{services}'
    (tmp_path / "dev.toml").write_text(text)

    assert checked_environment("dev", tmp_path).name == "dev"


def test_a_secret_whose_address_does_not_fit_in_a_tag_is_refused_on_its_line(tmp_path: Path) -> None:
    # secretsmanager-secret/orderops/dev/shop/ has 40 characters, and the value of a tag 256.
    fits, too_long = "A" * 216, "A" * 217
    (tmp_path / "dev.toml").write_text(f'[database]\n[services.shop]\nsecrets = ["{fits}"]\n')
    checked_environment("dev", tmp_path)
    (tmp_path / "dev.toml").write_text(f'[database]\n[services.shop]\nsecrets = ["{too_long}"]\n')

    with pytest.raises(UsageError) as refused:
        checked_environment("dev", tmp_path)

    assert refused.value.message.startswith(f"{tmp_path / 'dev.toml'}:3: services.shop.secrets[0]: ")
    assert "would have 257 characters, and AWS allows 256; shorten AAA" in refused.value.message
    assert refused.value.message.endswith("to 216 characters")


def test_a_token_secret_whose_address_does_not_fit_is_refused_on_its_line(tmp_path: Path) -> None:
    (tmp_path / "dev.toml").write_text(f'[database]\n[services.shop]\ntoken_secret = "{"A" * 217}"\n')

    with pytest.raises(UsageError) as refused:
        checked_environment("dev", tmp_path)

    assert refused.value.message.startswith(f"{tmp_path / 'dev.toml'}:3: services.shop.token_secret: ")


def test_every_variable_that_the_task_gets_from_orderops_is_reserved() -> None:
    declared = stack(environment("dev", "shop"), "1" * 12)
    definition = next(item for item in declared.release({}) if isinstance(item, EcsTaskDefinition))

    assert definition.environment.keys() <= RESERVED_VARIABLES.keys()


@pytest.mark.parametrize("seconds", [0, 30])
def test_the_service_is_told_how_far_behind_a_replica_may_be(seconds: int) -> None:
    declared = Environment.model_validate(
        {"name": "dev", "database": {}, "services": {"shop": {"max_lag_seconds": seconds}}}
    )
    definition = next(item for item in stack(declared, "1" * 12).release({}) if isinstance(item, EcsTaskDefinition))

    assert definition.environment["DATABASE_MAX_LAG_SECONDS"] == str(seconds)


@pytest.mark.parametrize("seconds", [1, 60, 300, 4000])
def test_the_service_keeps_idle_connections_longer_than_the_balancer(seconds: int) -> None:
    declared = Environment.model_validate(
        {
            **environment("dev", "shop").model_dump(),
            "balancer": {"idle_timeout_seconds": seconds},
        }
    )
    definition = next(item for item in stack(declared, "1" * 12).release({}) if isinstance(item, EcsTaskDefinition))

    assert int(str(definition.environment["KEEP_ALIVE_SECONDS"])) > seconds


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('region = "xx-west-1"\n', '1: region: "xx-west-1": is in no partition of AWS'),
        (
            '[iam]\npermissions_boundary = "arn:aws-cn:iam::123456789012:policy/b"\n',
            "2: iam.permissions_boundary: ",
        ),
    ],
)
def test_a_value_of_another_partition_is_refused_on_its_line(tmp_path: Path, text: str, line: str) -> None:
    (tmp_path / "dev.toml").write_text(text + "[database]\n[services.shop]\n")

    with pytest.raises(UsageError) as refused:
        checked_environment("dev", tmp_path)

    assert refused.value.message.startswith(f"{tmp_path / 'dev.toml'}:{line}")


def test_every_role_of_an_environment_has_the_path_and_the_boundary(tmp_path: Path) -> None:
    boundary = "arn:aws:iam::123456789012:policy/team/boundary"
    (tmp_path / "dev.toml").write_text(
        f'[iam]\npath = "/team/"\npermissions_boundary = "{boundary}"\n[database]\n[services.a]\npaths = ["/a"]\n'
        "[services.b]\nmax_tasks = 2\n"
    )
    declared = stack(checked_environment("dev", tmp_path), "1" * 12)

    roles = [resource for resource in [*declared.infra, *declared.release({})] if isinstance(resource, IamRole)]

    assert len(roles) == 7
    assert {(role.path, role.permissions_boundary) for role in roles} == {("/team/", boundary)}

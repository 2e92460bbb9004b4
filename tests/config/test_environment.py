"""Environment files: defaults, meaning, and a message for every mistake."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel, ValidationError

from orderops.config.descriptions import description_of
from orderops.config.environment import (
    DatabaseConfig,
    Environment,
    NetworkConfig,
    ServiceConfig,
    environment_names,
    load_environment,
    oldest_database_version,
)
from orderops.errors import UsageError
from support.environment_cases import MISTAKES, SERVICE, SERVICE_MISTAKES, declare, refusal
from support.repository import ENVIRONMENTS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for environment files."""
    return tmp_path


# what is shipped


@pytest.mark.parametrize("name", ["local", "dev", "staging", "prod"])
def test_a_packaged_environment_loads_and_has_at_most_45_lines(name: str) -> None:
    environment = load_environment(name, ENVIRONMENTS)

    assert environment.service_name("order-processor") == f"orderops-{name}-order-processor"
    assert len((ENVIRONMENTS / f"{name}.toml").read_text(encoding="utf-8").splitlines()) <= 45


def test_local_runs_in_the_emulator_with_a_process_as_its_service() -> None:
    local = load_environment("local", ENVIRONMENTS)

    assert (local.emulated, local.protected, local.migrations.on_up) == (True, False, True)
    assert (local.balancer.port, local.database.port, local.database.sslmode) == (8080, 15432, "disable")
    assert local.services["order-processor"].image == "process://orderops.service"


def test_dev_declares_the_original_sizes_explicitly() -> None:
    dev = load_environment("dev", ENVIRONMENTS)
    service = dev.services["order-processor"]

    assert (dev.network.cidr, dev.network.zones, dev.network.nat_gateways) == ("10.0.0.0/16", 2, 1)
    assert (dev.database.instance_class, dev.database.storage_gb, dev.database.multi_az) == ("db.t3.micro", 20, False)
    assert (dev.database.backup_days, dev.balancer.port, service.log_days) == (7, 80, 7)
    assert (service.cpu, service.memory, service.min_tasks, service.max_tasks) == (256, 512, 1, 5)
    assert (service.queue.visibility_timeout, service.alarms.queue_depth) == (30, 1000)
    text = (ENVIRONMENTS / "dev.toml").read_text(encoding="utf-8")
    for line in ('cidr = "10.0.0.0/16"', "nat_gateways = 1", "storage_gb = 20", "log_days = 7"):
        assert line in text
    assert "[services.order-processor.queue]\nvisibility_timeout = 30\n" in text


@pytest.mark.parametrize("name", ["staging", "prod"])
def test_staging_and_prod_survive_a_zone_failure_and_an_accidental_delete(name: str) -> None:
    environment = load_environment(name, ENVIRONMENTS)

    assert environment.network.nat_gateways == environment.network.zones
    assert environment.database.multi_az
    assert environment.database.deletion_protection
    assert environment.balancer.deletion_protection
    assert environment.services["order-processor"].min_tasks >= 2
    assert environment.migrations.rehearsed
    assert environment.database.backup_days > load_environment("dev", ENVIRONMENTS).database.backup_days


def test_only_prod_is_protected() -> None:
    assert [name for name in environment_names(ENVIRONMENTS) if load_environment(name, ENVIRONMENTS).protected] == [
        "prod"
    ]


def test_packaged_networks_do_not_overlap() -> None:
    cidrs = [load_environment(name, ENVIRONMENTS).network.cidr for name in ("dev", "staging", "prod")]

    assert len(set(cidrs)) == len(cidrs)


# what a file means


def test_a_file_needs_only_what_differs_from_the_defaults(folder: Path) -> None:
    assert declare(folder, SERVICE) == Environment(
        name="dev", database=DatabaseConfig(), services={"orders": ServiceConfig()}
    )


def test_every_default_can_be_written_explicitly() -> None:
    explicit = Environment(name="dev", database=DatabaseConfig(), services={"orders": ServiceConfig()})

    assert Environment.model_validate(explicit.model_dump()) == explicit


def test_a_loaded_environment_is_immutable(folder: Path) -> None:
    environment = declare(folder, SERVICE)

    with pytest.raises(ValidationError):
        environment.network.zones = 3  # type: ignore[misc]  # this is what must fail


def test_every_field_has_a_description() -> None:
    assert [path for path, _, model in fields(Environment) if not description_of(model, path[-1])] == []


def test_a_description_is_the_docstring_below_the_field() -> None:
    assert description_of(NetworkConfig, "zones") == (
        "Number of availability zones, or their names; existing subnets stay in the zones they are in."
    )


CARVED = {
    "two zones": ({}, ["10.0.0.0/24", "10.0.1.0/24"], ["10.0.4.0/24", "10.0.5.0/24"], ["10.0.8.0/24", "10.0.9.0/24"]),
    "a third zone moves none": (
        {"zones": 3},
        ["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24"],
        ["10.0.4.0/24", "10.0.5.0/24", "10.0.6.0/24"],
        ["10.0.8.0/24", "10.0.9.0/24", "10.0.10.0/24"],
    ),
    "the smallest VPC": (
        {"cidr": "192.168.7.0/24", "subnet_prefix": 28},
        ["192.168.7.0/28", "192.168.7.16/28"],
        ["192.168.7.64/28", "192.168.7.80/28"],
        ["192.168.7.128/28", "192.168.7.144/28"],
    ),
    "one tier as given": (
        {"private_subnets": ["10.0.64.0/18", "10.0.128.0/18"]},
        ["10.0.0.0/24", "10.0.1.0/24"],
        ["10.0.64.0/18", "10.0.128.0/18"],
        ["10.0.8.0/24", "10.0.9.0/24"],
    ),
}


@pytest.mark.parametrize(("given", "public", "private", "isolated"), CARVED.values(), ids=CARVED)
def test_subnets_are_derived_from_the_vpc(
    given: dict[str, Any], public: list[str], private: list[str], isolated: list[str]
) -> None:
    network = NetworkConfig.model_validate(given)

    assert network.subnets("public") == public
    assert network.subnets("private") == private
    assert network.subnets("isolated") == isolated


def test_rule_priorities_follow_the_file_unless_a_service_sets_one(folder: Path) -> None:
    environment = declare(
        folder,
        '[services.users]\npaths = ["/users*"]\n[services.orders]\npaths = ["/orders*"]\npriority = 7\n'
        '[services.rest]\n[database]\ninstance_class = "db.t3.small"\n',
    )

    assert [environment.routing.priority(service) for service in environment.services] == [100, 7, 300]


def test_a_service_name_too_long_for_aws_is_an_error(folder: Path) -> None:
    environment = declare(folder, SERVICE)

    with pytest.raises(UsageError, match="orderops-dev-a-service-of-20-char has 33 characters, at most 32 are allowed"):
        environment.service_name("a-service-of-20-char")


# what is said of a mistake


def check(folder: Path, text: str, expected: list[str], name: str) -> None:
    lines = refusal(folder, text, name)
    assert len(lines) == len(expected), lines
    for line, start in zip(lines, expected, strict=True):
        assert line.startswith(start)
        assert not re.search(r"Input should|Value error|pydantic|type=", line)


@pytest.mark.parametrize(("text", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_reported_with_line_value_and_allowed_values(folder: Path, text: str, expected: list[str]) -> None:
    check(folder, text + SERVICE, expected, "dev" if text else "prod")


@pytest.mark.parametrize(("text", "expected"), SERVICE_MISTAKES.values(), ids=SERVICE_MISTAKES)
def test_a_mistake_in_a_service_is_reported_with_line_value_and_allowed_values(
    folder: Path, text: str, expected: list[str]
) -> None:
    check(folder, SERVICE + text, expected, "dev")


def test_a_missing_database_table_is_an_error_that_explains_the_consequence(folder: Path) -> None:
    (folder / "dev.toml").write_text(SERVICE)

    with pytest.raises(UsageError) as refused:
        load_environment("dev", folder)

    assert refused.value.message == (
        f"{folder}/dev.toml:1: database: is missing: the PostgreSQL instance: a table [database], empty for the "
        "defaults. Without it, an existing one is kept"
    )
    assert refused.value.hint.splitlines()[1:] == [
        "restore [database] as it was; to remove the database intentionally, with [database] in the file: "
        "orderops down --env dev --only rds-instance/orderops-dev-database --confirm orderops-dev-database"
    ]


def test_a_file_without_a_service_is_an_error(folder: Path) -> None:
    assert refusal(folder, "") == ["1: services: is missing: at least one service: a table [services.NAME]"]
    assert refusal(folder, "[services]\n") == ["1: services: a table: must have 1 to 60 entries"]


@pytest.mark.parametrize("name", ["Dev", "an-environment-of-30-characters", "dev-", "d--v"])
def test_a_file_name_that_is_no_environment_name_is_an_error(folder: Path, name: str) -> None:
    assert refusal(folder, SERVICE, name) == [
        f'1: name: "{name}": must be a file name of 1 to 14 lower-case letters, digits and single hyphens that begins '
        "with a letter"
    ]


def test_all_mistakes_of_a_file_are_reported_at_once_in_its_order(folder: Path) -> None:
    lines = refusal(
        folder,
        """protected = true
zonez = 3
[network]
nat_gateways = 3
isolated_subnets = [
    "10.0.0.0/24",
    "10.1.0.0/24",
]
[database]
storage_gb = "30"
deletion_protection = true
[services.order-processor]
cpu = 300
[services.order-processor.queue]
visibility_timeout = 99999
[services.a-service-with-a-name-that-is-too-long]
paths = ["/a/*"]
max_tasks = 2
""",
    )

    assert [line.split(": ")[1] for line in lines] == [
        "balancer.deletion_protection",
        "zonez",
        "network.nat_gateways",
        "network.isolated_subnets[0]",
        "network.isolated_subnets[1]",
        "database.storage_gb",
        "services.order-processor",
        "services.order-processor.cpu",
        "services.order-processor.queue.visibility_timeout",
        "services.a-service-with-a-name-that-is-too-long",
        "services.a-service-with-a-name-that-is-too-long",
        "services.a-service-with-a-name-that-is-too-long.paths",
    ]


@pytest.mark.parametrize("service", ['token_secret = "TOKEN"', 'image = "shop:1.4"', 'dockerfile = "shop/Dockerfile"'])
def test_a_protected_service_names_a_token_or_brings_its_own_image(folder: Path, service: str) -> None:
    protected = "protected = true\n[balancer]\ndeletion_protection = true\n[database]\ndeletion_protection = true\n"
    (folder / "dev.toml").write_text(f"{protected}[services.orders]\n{service}\n")

    assert load_environment("dev", folder).services.keys() == {"orders"}


def test_a_rule_is_not_checked_against_keys_that_are_wrong_themselves(folder: Path) -> None:
    lines = refusal(folder, "[network]\nzones = 9\nnat_gateways = 9\n[services.orders]\nmin_tasks = 9\nmax_tasks = 0\n")

    assert lines == [
        '2: network.zones: 9: must be 2 to 3, or a list such as ["ap-southeast-2a", "ap-southeast-2c"]',
        "6: services.orders.max_tasks: 0: must be 1 to 1000",
    ]

    subnets = '[network]\nprivate_subnets = 1\npublic_subnets = ["10.0.4.0/24", "10.0.5.0/24"]\n'
    assert [line.split(":")[0] for line in refusal(folder, subnets + SERVICE)] == ["2"]


WRONG: dict[str, object] = {"[]": list, "{ a = 1 }": dict, '"…"': str, "-1": int, "true": bool, "1979-05-27": date}


def test_every_value_of_a_wrong_type_is_reported_in_our_own_words(folder: Path) -> None:
    for path, info, _ in fields(Environment):
        for text, kind in WRONG.items():
            if kind in kinds(info.annotation):
                continue
            name = "sqs-queue/orders" if path[0] == "drift" else "orders"
            *tables, key = [name if part == "NAME" else part for part in path]
            head = f"[{'.'.join(json.dumps(table) for table in tables)}]\n" if tables else ""
            tail = "" if path[0] == "services" else SERVICE
            lines = refusal(folder, f"{head}{key} = {text}\n{tail}")
            if key != "name" or tables:
                mistake = rf"{1 + bool(tables)}: {'.'.join([*tables, key])}: .*: must"
                assert any(re.match(mistake, line) for line in lines), lines


def fields(
    model: type[BaseModel], above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any, type[BaseModel]]]:
    """Every field of a model and of the models in it, with its path and its model."""
    for name, info in model.model_fields.items():
        yield (*above, name), info, model
        inner = get_args(info.annotation)[-1] if get_args(info.annotation) else info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from fields(inner, (*above, name, "NAME") if get_args(info.annotation) else (*above, name))


def kinds(annotation: Any) -> set[object]:
    """The kinds of TOML value that a field takes."""
    origin = get_origin(annotation)
    if origin in (list, dict):
        return {origin}
    if origin is Literal:
        return {str}
    if isinstance(annotation, type):
        return {dict if issubclass(annotation, BaseModel) else annotation}
    return {kind for part in get_args(annotation) for kind in kinds(part)}


def test_the_oldest_version_is_that_of_an_environment_on_aws(tmp_path: Path) -> None:
    base = '[database]\nengine_version = "{}"\n[services.orders]\n'
    for name, version in {"dev": "17", "qa": "15.4", "broken": "latest"}.items():
        (tmp_path / f"{name}.toml").write_text(base.format(version))
    (tmp_path / "local.toml").write_text("emulated = true\n" + base.format("14"))

    assert oldest_database_version(tmp_path) == 15


def test_without_an_environment_on_aws_no_version_is_the_oldest(tmp_path: Path) -> None:
    (tmp_path / "local.toml").write_text("emulated = true\n[database]\n[services.orders]\n")

    assert oldest_database_version(tmp_path) is None


@pytest.mark.parametrize(
    "image",
    [
        "orders",
        "orders:1.4",
        "library/orders_api:v1",
        "a__b/c---d:x",
        "localhost:5000/orders@sha256:" + "0a" * 32,
        "Registry.Example.com:443/team/orders:latest@sha256:" + "0a" * 32,
        "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/xy:1",
    ],
)
def test_a_reference_that_registries_accept_is_an_image(folder: Path, image: str) -> None:
    environment = declare(folder, f'{SERVICE}image = "{image}"\n')

    assert environment.services["orders"].image == image


@pytest.mark.parametrize(
    "region", ["us-gov-west-1", "cn-northwest-1", "us-isob-east-1", "eusc-de-east-1", "mx-central-1"]
)
def test_regions_of_every_partition_are_regions(folder: Path, region: str) -> None:
    zones = f'["{region}a", "{region}b"]'

    environment = declare(folder, f'region = "{region}"\n[network]\nzones = {zones}\n{SERVICE}')

    assert (environment.region, environment.network.zone_count) == (region, 2)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", True),
        ('[database]\nlogin = "password"\n', False),
        ('[database]\nlogin = "password"\nsslmode = "disable"\n', False),
        ('[database]\nlogin = "iam"\nsslmode = "require"\n', True),
        ("emulated = true\n", False),
        ('emulated = true\n[database]\nlogin = "iam"\n', True),
    ],
)
def test_services_log_in_with_tokens_on_aws_and_on_the_laptop_if_declared(
    folder: Path, text: str, tokens: bool
) -> None:
    assert declare(folder, f"{text}\n{SERVICE}").iam_login is tokens

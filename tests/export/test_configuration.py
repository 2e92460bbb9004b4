"""What the resources of a running environment become, against the arguments that the AWS provider takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import hcl2
import pytest

from orderops.aws.client import Aws
from orderops.config.environment import load_environment
from orderops.errors import OrderopsError
from orderops.export import kinds
from orderops.export.configuration import Configuration, configuration_of
from orderops.export.part import Found, References
from orderops.frozen import replace
from orderops.infra.plan import make_plan
from orderops.infra.stack import KINDS as ALL
from orderops.infra.workspace import Workspace
from orderops.operations.export import write_files
from support.command_line import Orderops
from support.dev_accounts import REGION
from support.faulty_proxy import Proxy
from support.provider_arguments import ARGUMENTS, mistakes
from support.repository import ENVIRONMENTS

pytest_plugins = ["support.dev_accounts"]
ACCOUNT = "123456789012"


def workspace_on(proxy: Proxy) -> Workspace:
    session = boto3.Session("testing", "testing", region_name=REGION)
    return Workspace(load_environment("dev", ENVIRONMENTS), Aws(REGION, endpoint_url=proxy.url, session=session))


@pytest.fixture
def dev(proxy: Proxy, dev_released: bytes) -> Workspace:
    proxy.bring_back(dev_released)
    return workspace_on(proxy)


def exported(workspace: Workspace) -> Configuration:
    planned = make_plan(workspace, running=True)
    return configuration_of("dev", workspace.declared().values(), planned.outputs, (REGION, ACCOUNT))


def test_every_kind_of_resource_is_written_or_said_to_have_no_equivalent() -> None:
    without = {"cloudwatch-anomaly-detector"}

    assert kinds.NO_EQUIVALENT.keys() == without
    assert kinds.KINDS.keys() == {kind.kind for kind in ALL} - without
    assert kinds.KINDS.keys() >= kinds.LEFT_OUT.keys()


@pytest.mark.slow
def test_every_argument_is_one_of_the_provider_and_none_that_it_requires_is_missing(dev: Workspace) -> None:
    planned = make_plan(dev, running=True)
    found = []
    for resource in dev.declared().values():
        if resource.kind in kinds.NO_EQUIVALENT:
            continue
        one = Found(resource, planned.outputs[resource], REGION, ACCOUNT, References())
        for part in kinds.KINDS[resource.kind](one):
            body = {key: value for key, value in part.body.items() if key != "lifecycle"}
            found += mistakes(part.type, body, ARGUMENTS[part.type])

    assert found == []


@pytest.mark.slow
def test_every_resource_of_the_environment_is_listed_once_for_each_target(dev: Workspace) -> None:
    configuration = exported(dev)

    addresses = {part.address for part in configuration.parts} | configuration.left_out.keys()
    targets = [part.target for part in configuration.parts]
    assert addresses == {step.address for step in make_plan(dev, running=True).steps}
    assert len(targets) == len(set(targets))
    assert configuration.missing == []


@pytest.mark.slow
def test_an_independent_parser_reads_every_file_and_finds_an_import_for_each_resource(dev: Workspace) -> None:
    files = exported(dev).files()
    parsed = [hcl2.loads(text) for name, text in files.items() if name.endswith(".tf")]

    resources = [name for one in parsed for entry in one.get("resource", []) for name in entry.values()]
    assert len(resources) == len([one for file in parsed for one in file.get("import", [])]) > 60


@pytest.mark.parametrize(
    ("address", "target", "import_id"),
    [
        (
            "ecs-service/orderops-dev-order-processor",
            "aws_ecs_service",
            "orderops-dev-cluster/orderops-dev-order-processor",
        ),
        ("ecr-repository/orderops-dev-order-processor", "aws_ecr_repository", "orderops-dev-order-processor"),
        (
            "autoscaling-target/orderops-dev-order-processor",
            "aws_appautoscaling_target",
            "ecs/service/orderops-dev-cluster/orderops-dev-order-processor/ecs:service:DesiredCount",
        ),
        ("iam-role/orderops-dev-flow-log", "aws_iam_role_policy", "orderops-dev-flow-log:orderops"),
        ("s3-bucket/orderops-dev-access-logs-123456789012", "aws_s3_bucket", "orderops-dev-access-logs-123456789012"),
    ],
)
@pytest.mark.slow
def test_the_import_id_has_the_form_that_the_provider_documents(
    dev: Workspace, address: str, target: str, import_id: str
) -> None:
    found = {(part.address, part.target.partition(".")[0]): part.import_id for part in exported(dev).parts}

    assert found[address, target] == import_id


@pytest.mark.slow
def test_resources_refer_to_each_other_and_no_value_of_a_secret_is_written(dev: Workspace) -> None:
    files = exported(dev).files()

    assert "vpc_id = aws_vpc.orderops-dev-vpc.id" in files["network.tf"]
    assert "db_subnet_group_name = aws_db_subnet_group.orderops-dev-database.name" in files["data.tf"]
    revision = '"${aws_ecs_task_definition.orderops-dev-order-processor.family}:'
    assert f"task_definition = {revision}" in files["services.tf"]
    assert "ignore_changes = [max_message_size]" in files["data.tf"]
    assert " password =" not in "".join(files.values())
    assert "verify-full" not in "".join(files.values())
    assert f'allowed_account_ids = ["{ACCOUNT}"]' in files["versions.tf"]


REDIRECT = {
    "Type": "redirect",
    "RedirectConfig": {
        "Host": "shop.example",
        "Path": "/#{path}",
        "Port": "443",
        "Protocol": "HTTPS",
        "Query": "#{query}",
        "StatusCode": "HTTP_301",
    },
}
GROUPS = ["arn:aws:elasticloadbalancing:x:1:targetgroup/a/1", "arn:aws:elasticloadbalancing:x:1:targetgroup/b/2"]


@pytest.mark.parametrize(
    ("groups", "type_", "ignored"),
    [([REDIRECT], "redirect", False), (GROUPS[:1], "forward", False), (GROUPS, "forward", True)],
    ids=["a redirect", "one target group", "two target groups"],
)
@pytest.mark.slow
def test_a_rule_of_any_action_has_the_arguments_of_the_provider(
    dev: Workspace, groups: list[Any], type_: str, ignored: bool
) -> None:
    planned = make_plan(dev, running=True)
    rule = next(one for one in dev.declared().values() if one.kind == "elbv2-rule")
    observed = planned.outputs[rule]
    changed = {**observed.properties, "TargetGroupArns": groups, "LiveTargetGroupArn": GROUPS[1]}
    one = Found(rule, replace(observed, properties=changed), REGION, ACCOUNT, References())

    (part,) = kinds.KINDS["elbv2-rule"](one)

    body = {key: value for key, value in part.body.items() if key != "lifecycle"}
    assert mistakes(part.type, body, ARGUMENTS[part.type]) == []
    assert body["action"].bodies[0]["type"] == type_
    assert bool(part.body["lifecycle"]) is ignored


@pytest.mark.slow
def test_the_command_lists_what_it_writes_and_changes_nothing(
    dev: Workspace, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    orderops = Orderops(capsys)
    where = ("--out", str(tmp_path / "out"), "--env", "dev", "--environments", str(ENVIRONMENTS))
    words = ("infra", "export", "--format", "opentofu", *where)

    said = orderops(*words, "--json")
    again = orderops(*words)

    assert said.code == 0, said.err
    assert {one["file"] for one in said.json["resources"]} <= {path.name for path in (tmp_path / "out").iterdir()}
    assert again.code == 1
    assert "exists" in again.err
    assert orderops(*words, "--force").code == 0
    assert not make_plan(dev, running=True).differs


def test_an_environment_that_does_not_exist_is_refused(
    proxy: Proxy, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    said = Orderops(capsys)(
        "infra", "export", "--out", str(tmp_path / "out"), "--env", "dev", "--environments", str(ENVIRONMENTS)
    )

    assert said.code == 1
    assert "nothing of dev exists" in said.err
    assert not (tmp_path / "out").exists()


def test_no_file_is_written_if_one_of_them_exists(tmp_path: Path) -> None:
    (tmp_path / "b.tf").write_text("mine")

    with pytest.raises(OrderopsError, match=r"b\.tf exists"):
        write_files(tmp_path, {"a.tf": "x", "b.tf": "y"}, force=False)

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"b.tf": "mine"}
    write_files(tmp_path, {"a.tf": "x", "b.tf": "y"}, force=True)
    assert (tmp_path / "b.tf").read_text() == "y"

"""An environment in GovCloud and in China: every ARN begins with the partition of the region."""

from __future__ import annotations

from pathlib import Path

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.config.environment import DatabaseConfig, Environment, ServiceConfig, load_environment
from orderops.iam.persona import Persona
from orderops.iam.policies import policies
from orderops.infra.apply import Apply
from orderops.infra.workspace import Workspace
from support.faulty_proxy import Proxy

IMAGE = {"orders": "registry.example.com/orders:1"}
FILE = '{region}\n[database]\n[services.orders]\nimage = "registry.example.com/orders:1"\n'


@pytest.mark.slow
@pytest.mark.parametrize(("region", "partition"), [("us-gov-west-1", "aws-us-gov"), ("cn-northwest-1", "aws-cn")])
def test_an_environment_in_another_partition_is_created_and_then_up_to_date(
    proxy: Proxy, tmp_path: Path, region: str, partition: str
) -> None:
    (tmp_path / "dev.toml").write_text(FILE.format(region=f'region = "{region}"'))
    session = boto3.Session("testing", "testing", region_name=region)
    aws = Aws(region, endpoint_url=proxy.url, session=session)
    workspace = Workspace(load_environment("dev", tmp_path), aws)
    work = Apply(workspace, IMAGE)

    assert len([*work.infra(), *work.release()]) > 40

    again = Apply(workspace, IMAGE)
    changed = {step.address: step.changes for step in [*again.infra(), *again.release()] if step.action != "no-op"}
    assert changed == {}
    arns = {again.outputs[resource].arn for resource in workspace.declared(IMAGE).values()} - {""}
    assert {arn for arn in arns if not arn.startswith(f"arn:{partition}:")} == set()


@pytest.mark.parametrize(("region", "partition"), [("us-gov-east-1", "aws-us-gov"), ("cn-north-1", "aws-cn")])
def test_the_policies_of_every_persona_name_the_partition(region: str, partition: str) -> None:
    environment = Environment(
        name="dev", region=region, database=DatabaseConfig(), services={"orders": ServiceConfig()}
    )

    texts = [policy.text + policy.attach for persona in Persona for policy in policies(environment, "1" * 12, persona)]

    assert texts
    assert not [text for text in texts if "arn:aws:" in text]
    assert all(f"arn:{partition}:" in text for text in texts)

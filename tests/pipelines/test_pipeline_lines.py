"""The shell lines of azure-pipelines.yml, run as they stand by a shell against an emulated account."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from orderops.aws.client import Aws
from orderops.images.content_hash import content_tag
from orderops.local.strict.delays import Delays
from support.fake_builders import HOST, put
from support.faulty_proxy import Proxy, served
from support.repository import ROOT

DOCKERFILE = "src/orderops/service/Dockerfile"
REGION = "ap-southeast-2"
SWIFT = Delays(database=0.05, backup_lag=0.1, task=0.02, secret=0.05)
VARIABLE = re.compile(r"##vso\[task\.setvariable variable=(\w+);isOutput=true\](.+)")
ROUTES = '[alerts.p0]\nhttps = ["https://events.pagerduty.com/integration/0123456789abcdef0123456789abcdef/enqueue"]\n'


@dataclass
class Agent:
    """What Azure Pipelines does with a step: replace macros, set the environment, run the script, read its commands."""

    url: str
    folder: Path
    outputs: dict[str, str] = field(default_factory=dict)
    summaries: list[Path] = field(default_factory=list)

    def __call__(self, script: str, environ: Mapping[str, str] = {}, *, code: int = 0) -> str:
        """Run the script in a checkout; answers what it wrote."""
        workspace = self.folder / "workspace"
        script = script.replace("$(Pipeline.Workspace)", str(workspace))
        assert "$(Build" not in script
        ended = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder / "checkout",
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("ORDEROPS_")},
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "AWS_ENDPOINT_URL": self.url,
                "AWS_ACCESS_KEY_ID": "testing",
                "AWS_SECRET_ACCESS_KEY": "testing",
                "AWS_REGION": REGION,
                "ORDEROPS_LOG_DIRECTORY": str(self.folder / "logs"),
                **environ,
            },
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert ended.returncode == code, f"{ended.returncode}: {ended.stdout}\n{ended.stderr}"
        self.outputs |= dict(VARIABLE.findall(ended.stdout))
        return ended.stdout + ended.stderr


@pytest.fixture
def account() -> Iterator[Proxy]:
    with served(SWIFT) as proxy:
        yield proxy


@pytest.fixture
def agent(account: Proxy, tmp_path: Path) -> Agent:
    """An agent with a checkout, whose prod has its routes filled in."""
    checkout = tmp_path / "checkout"
    for name in ("environments", "sql", "src"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, checkout)
    prod = checkout / "environments" / "prod.toml"
    prod.write_text(prod.read_text().replace("[migrations]\n", f"{ROUTES}\n[migrations]\n"))
    return Agent(account.url, tmp_path)


def aws_steps(stage: str) -> list[dict[str, Any]]:
    """The steps of a stage that call AWS."""
    pipeline = yaml.safe_load((ROOT / "azure-pipelines.yml").read_text())
    (found,) = [found for found in pipeline["stages"] if found["stage"] == stage]
    (job,) = found["jobs"]
    steps = job["steps"] if "steps" in job else job["strategy"]["runOnce"]["deploy"]["steps"]
    return [step for step in steps if str(step.get("task", "")).startswith("AWSShellScript")]


def script_of(stage: str, step: int = 0) -> str:
    return str(aws_steps(stage)[step]["inputs"]["inlineScript"])


def built(agent: Agent, environment: str, *more: str) -> str:
    """Put the image of this checkout into the environment's registry, as a builder would; answers its URI.

    `more` are further tags.
    """
    agent(f"orderops infra apply --env {environment} --yes --confirm {environment}")
    aws = Aws(REGION, endpoint_url=agent.url, session=boto3.Session("testing", "testing", region_name=REGION))
    checkout = agent.folder / "checkout"
    repository = f"orderops-{environment}-order-processor"
    return f"{HOST}/{repository}@{put(aws, repository, content_tag(checkout, checkout / DOCKERFILE), *more)}"


@pytest.mark.slow
def test_the_lines_of_each_stage_do_what_they_say(agent: Agent) -> None:
    built(agent, "dev")
    assert "ecs-service/orderops-dev-order-processor created" in agent(script_of("dev"))
    # Its task is simulated: it starts, and ends without output.
    assert "cannot run jobs" in agent(script_of("dev", step=1), code=1)

    image = built(agent, "staging")
    # The builder's words alone are replaced: it asks a registry, which the account here has none of.
    agent(script_of("staging").replace("$(orderops service build --env staging)", image))
    assert agent.outputs["image"] == image

    # Neither is anything copied between registries: prod's has the release already, under the name of such a copy.
    built(agent, "prod", f"sha256-{image.rpartition(':')[2][:16]}")
    environ = {name: value.replace(value, image) for name, value in aws_steps("plan_prod")[0]["env"].items()}
    planned = agent(script_of("plan_prod"), environ)
    assert "##vso[task.uploadsummary]" in planned
    plan = agent.folder / "checkout" / "plan"
    assert "ecs-service/orderops-prod-order-processor" in (plan / "prod.md").read_text()
    assert "is not released in prod" in agent("orderops service releases --env prod", code=1)

    artifact = agent.folder / "workspace" / "plan-prod-1"
    artifact.mkdir(parents=True)
    shutil.copy(plan / "prod.json", artifact)
    agent(script_of("prod"))
    released = agent("orderops service releases --env prod --json")
    assert image.partition("@")[2] in released

"""What the pipeline may do: nothing to AWS but by orderops, no migration, and prod only by hand and approved."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from typing import Any

import pytest

from orderops.config.environment import environment_names
from support.repository import ROOT

PIPELINE = ROOT / "azure-pipelines.yml"
BRANCHES = {"dev": "develop", "staging": "master", "prod": "master"}
CONNECTIONS = {**{name: f"orderops-{name}" for name in BRANCHES}, "plan_prod": "orderops-prod-plan"}


@pytest.fixture(scope="module")
def pipeline() -> dict[str, Any]:
    told = import_module("yaml").safe_load(PIPELINE.read_text(encoding="utf-8"))
    assert isinstance(told, dict)
    return told


@pytest.fixture(scope="module")
def stages(pipeline: dict[str, Any]) -> dict[str, Any]:
    return {stage["stage"]: stage for stage in pipeline["stages"]}


def deployment(stage: dict[str, Any]) -> dict[str, Any]:
    (job,) = stage["jobs"]
    assert isinstance(job, dict)
    return job


def steps(stage: dict[str, Any]) -> list[dict[str, Any]]:
    job = deployment(stage)
    found = job["steps"] if "steps" in job else job["strategy"]["runOnce"]["deploy"]["steps"]
    assert isinstance(found, list)
    return found


def aws_steps(stage: dict[str, Any]) -> list[dict[str, Any]]:
    """The steps that have credentials of AWS: first what plans or changes an environment."""
    return [step for step in steps(stage) if "awsCredentials" in step.get("inputs", {})]


def lines_of(step: dict[str, Any]) -> list[str]:
    return str(step["inputs"]["inlineScript"]).splitlines()


def commands(stage: dict[str, Any]) -> list[str]:
    """What plans or changes an environment, line by line."""
    return lines_of(aws_steps(stage)[0])


def test_every_push_is_checked(pipeline: dict[str, Any], stages: dict[str, Any]) -> None:
    scripts = " ".join(step.get("script", "") for step in steps(stages["checks"]))

    assert pipeline["trigger"]["branches"]["include"] == ["*"]
    assert "condition" not in stages["checks"]
    for check in ("ruff check .", "ruff format --check .", "mypy", "orderops migrate lint", "pytest"):
        assert check in scripts
    assert "python benchmarks/lowest_versions.py" in scripts


@pytest.mark.parametrize(("environment", "branch"), BRANCHES.items())
def test_each_environment_follows_its_branch(stages: dict[str, Any], environment: str, branch: str) -> None:
    assert environment in environment_names(ROOT / "environments")
    assert f"eq(variables['Build.SourceBranch'], 'refs/heads/{branch}')" in stages[environment]["condition"]
    assert "succeeded()" in stages[environment]["condition"]
    assert any(line.startswith(f"orderops up --env {environment} --yes") for line in commands(stages[environment]))


@pytest.mark.parametrize("name", CONNECTIONS)
def test_only_orderops_touches_aws_and_only_its_own_environment(stages: dict[str, Any], name: str) -> None:
    stage = stages[name]

    assert {step["inputs"]["awsCredentials"] for step in aws_steps(stage)} == {CONNECTIONS[name]}
    for line in [line for step in aws_steps(stage) for line in lines_of(step)]:
        command = re.sub(r"^\w+=\$\((.*)\)$", r"\1", line)
        words = shlex.split(command, comments=True)
        assert words[0] in ("orderops", "set", "echo", "mkdir", "code=0", "test", "ls"), line
        if words[0] == "orderops":
            assert words[words.index("--env") + 1] == name.removeprefix("plan_")


def test_no_pipeline_touches_the_databases_schema(stages: dict[str, Any]) -> None:
    scripts = [str(step) for stage in stages.values() for step in steps(stage)]

    scripts = [re.sub("orderops migrate (lint|info)", "", script) for script in scripts]  # they only read
    for word in ("migrate", "psql", "sql/"):
        assert not any(word in script for script in scripts)


@pytest.mark.parametrize("environment", BRANCHES)
def test_each_deployment_ends_with_the_migrations_that_are_pending(stages: dict[str, Any], environment: str) -> None:
    last = steps(stages[environment])[-1]

    assert lines_of(last) == [f"orderops migrate info --env {environment}"]
    # The release stands, and the next stage goes on, where the database cannot be asked.
    assert last["continueOnError"] is True


def test_credentials_are_only_where_something_is_deployed(stages: dict[str, Any]) -> None:
    assert not any("awsCredentials" in step.get("inputs", {}) for step in steps(stages["checks"]))
    assert "AWS_SECRET_ACCESS_KEY" not in PIPELINE.read_text(encoding="utf-8")


def test_credentials_outlast_the_creation_of_a_database(pipeline: dict[str, Any]) -> None:
    assert pipeline["variables"]["aws.rolecredential.maxduration"] >= 3600


def test_each_deployment_stands_in_an_environment_that_can_ask_for_approval(stages: dict[str, Any]) -> None:
    assert {name: deployment(stages[name])["environment"] for name in BRANCHES} == {name: name for name in BRANCHES}
    assert all("deployment" in deployment(stages[name]) for name in BRANCHES)


def test_prod_is_planned_by_hand_after_staging_and_named(stages: dict[str, Any]) -> None:
    plan, prod = stages["plan_prod"], stages["prod"]

    assert (plan["trigger"], plan["dependsOn"], prod["dependsOn"]) == ("manual", "staging", "plan_prod")
    assert "refs/heads/master" in plan["condition"]
    assert "--confirm prod" in commands(prod)[-1]


def test_prod_gets_the_release_that_the_run_names_or_the_image_that_staging_ran(
    pipeline: dict[str, Any], stages: dict[str, Any]
) -> None:
    release, job = aws_steps(stages["staging"])[0]["name"], deployment(stages["staging"])["deployment"]

    assert stages["plan_prod"]["variables"]["image"] == (
        f"$[ stageDependencies.staging.{job}.outputs['{job}.{release}.image'] ]"
    )
    assert any("variable=image;isOutput=true" in line for line in commands(stages["staging"]))
    assert [(one["name"], one["default"]) for one in pipeline["parameters"]] == [("release", "")]
    assert aws_steps(stages["plan_prod"])[0]["env"] == {"IMAGE": "${{ coalesce(parameters.release, '$(image)') }}"}
    [planned] = [line for line in commands(stages["plan_prod"]) if line.startswith("orderops")]
    assert '--image "$IMAGE"' in planned


def test_exactly_the_plan_that_was_approved_is_applied(stages: dict[str, Any]) -> None:
    plan, prod = steps(stages["plan_prod"]), steps(stages["prod"])
    [published] = [step for step in plan if "publish" in step]
    downloads = [step for step in prod if "download" in step]

    # A stage's approval is asked for before it starts, so that the plan stands in a stage of its own.
    assert "deployment" not in deployment(stages["plan_prod"])
    assert published == {"publish": "plan", "artifact": "plan-prod-$(System.StageAttempt)"}
    assert [step["download"] for step in downloads] == ["none", "current"]
    assert downloads[1]["patterns"] == "plan-prod-*/prod.json"
    assert any("--out plan/prod.json --markdown > plan/prod.md" in line for line in commands(stages["plan_prod"]))
    assert any(line.endswith('##vso[task.uploadsummary]$PWD/plan/prod.md"') for line in commands(stages["plan_prod"]))
    assert '--plan "$plan"' in commands(stages["prod"])[-1]
    assert "--image" not in commands(stages["prod"])[-1]

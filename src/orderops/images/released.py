"""The image that a service runs, and the release by hand that a change would take back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from orderops.aws.client import Aws, if_found
from orderops.engine.step import Action, Step
from orderops.images.resolve import ImageChoice, ImageOrigin
from orderops.infra.workspace import Workspace
from orderops.resources.ecs_service import EcsService
from orderops.resources.ecs_task_definition import EcsTaskDefinition
from orderops.runs.history import RunOutcome
from orderops.text.durations import in_words
from orderops.text.outside import plain

# A release by hand is followed by few other runs before the next one.
RUNS_READ = 20


def releases_taken_back(
    workspace: Workspace, steps: Iterable[Step], choices: Mapping[str, ImageChoice]
) -> Iterator[str]:
    """A sentence for each service whose image was given with --image in the run that released it, and is not now."""
    changed = {step.address for step in steps if step.action is Action.UPDATE and "Image" in step.changes}
    for service, choice in choices.items():
        name = workspace.environment.service_name(service)
        if choice.origin is ImageOrigin.GIVEN or f"{EcsTaskDefinition.kind}/{name}" not in changed:
            continue
        run = _releasing_run(workspace, f"{EcsService.kind}/{name}")
        if run and "--image " in run["command"]:
            image = plain(running_image(workspace.aws, workspace.stack.cluster.name, name) or "an unknown image")
            yield f"{service} runs {image}, {_by(run)}; this command releases {choice.uri}, {choice.origin}"


def _releasing_run(workspace: Workspace, address: str) -> Mapping[str, Any] | None:
    """The run that released what the service runs; None if none of the last runs did."""
    for run in workspace.runs.history(last=RUNS_READ):
        # A release that failed is rolled back, and its step is not recorded.
        for step in run["steps"] if run["outcome"] != RunOutcome.RUNNING else ():
            if step.get("address") == address and (
                step.get("action") == Action.CREATE or "TaskDefinition" in step.get("changes", {})
            ):
                return run
    return None


def running_image(aws: Aws, cluster: str, service: str) -> str | None:
    """The image of the service's task definition; the newest revision may be of a release that failed."""
    response = if_found(aws.ecs.describe_services, "ClusterNotFoundException", cluster=cluster, services=[service])
    for raw in (response or {}).get("services", ()):
        definition = aws.ecs.describe_task_definition(taskDefinition=raw["taskDefinition"])["taskDefinition"]
        return str(definition["containerDefinitions"][0]["image"])
    return None


def _by(run: Mapping[str, Any]) -> str:
    age = datetime.now(UTC) - datetime.fromisoformat(run["started"])
    return f"released {in_words(age)} ago by {plain(run['who'])} with `{plain(run['command'])}`"

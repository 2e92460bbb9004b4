"""The file of a pipeline on Azure: stages, jobs, steps and their shell lines.

Source: the YAML schema reference of Azure Pipelines (stages, deployment jobs, output variables).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from orderops.errors import OrderopsError
from orderops.frozen import Frozen
from orderops.text.nesting import nests_deeper
from orderops.text.outside import plain

LARGEST = 1024**2
DEEPEST = 40
BRANCH = re.compile(r"eq\(\s*variables\['Build\.SourceBranch'\]\s*,\s*'refs/heads/([^']+)'\s*\)")


class PipelineStep(Frozen):
    """A step of a job."""

    raw: Mapping[str, Any]

    @property
    def lines(self) -> list[str]:
        """Its shell lines, continued ones joined."""
        inputs = self.raw.get("inputs")
        script = self.raw.get("script") or self.raw.get("bash") or self.raw.get("pwsh")
        inline = inputs.get("inlineScript") or inputs.get("script") if isinstance(inputs, Mapping) else None
        text = re.sub(r"\\\n\s*", " ", str(script or inline or ""))
        return [line.strip() for line in text.splitlines() if line.strip()]

    @property
    def connection(self) -> str:
        """The service connection whose credentials it has; "" for none."""
        inputs = self.raw.get("inputs")
        return str(inputs.get("awsCredentials", "")) if isinstance(inputs, Mapping) else ""


class PipelineJob(Frozen):
    """A job, or a deployment job, which has an environment with its checks."""

    name: str
    environment: str
    is_deployment: bool
    steps: Sequence[PipelineStep]


class PipelineStage(Frozen):
    """A stage with its jobs."""

    name: str
    raw: Mapping[str, Any]
    jobs: Sequence[PipelineJob]

    @property
    def needs(self) -> list[str]:
        """The stages that it waits for, as far as it names them."""
        given = self.raw.get("dependsOn")
        return [str(one) for one in given] if isinstance(given, list) else [str(given)] if given else []

    @property
    def condition(self) -> str:
        """Its own condition; "" for the implied one, that all before succeeded."""
        return str(self.raw.get("condition") or "")

    @property
    def branches(self) -> list[str]:
        """The branches that its condition lets in; empty for all."""
        return BRANCH.findall(self.condition)

    @property
    def is_manual(self) -> bool:
        """Whether it waits for somebody to start it."""
        return self.raw.get("trigger") == "manual"

    @property
    def steps(self) -> Iterator[PipelineStep]:
        """The steps of all its jobs."""
        for job in self.jobs:
            yield from job.steps

    @property
    def lines(self) -> Iterator[str]:
        """The shell lines of all its steps."""
        for step in self.steps:
            yield from step.lines


class PipelineFile(Frozen):
    """The whole file."""

    path: Path
    text: str
    raw: Mapping[str, Any]
    stages: Sequence[PipelineStage]

    def before(self, stage: PipelineStage) -> list[PipelineStage]:
        """The stages that have to end before this one, however far back."""
        by_name = {one.name: one for one in self.stages}
        found: dict[str, PipelineStage] = {}
        unread = list(stage.needs)
        while unread:
            name = unread.pop()
            if name in by_name and name not in found:
                found[name] = by_name[name]
                unread += by_name[name].needs
        return list(found.values())


def read_pipeline(path: Path) -> PipelineFile:
    """Read a pipeline's file. Raises OrderopsError for a file that is no pipeline, or that Azure would refuse."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise OrderopsError(f"{path}: {error.strerror}", "name the pipeline's file: --file FILE") from None
    text = content.decode("utf-8", errors="replace")
    raw = _parsed(path, text) if len(content) <= LARGEST else None
    if not isinstance(raw, dict) or nests_deeper(raw, DEEPEST):
        raise OrderopsError(f"{path} is no pipeline", "name the pipeline's file: --file FILE")
    stages = raw.get("stages")
    if not isinstance(stages, list) or not all(isinstance(one, dict) and one.get("stage") for one in stages):
        raise OrderopsError(f"{path} has no list of stages with names", "see azure-pipelines.yml of orderops")
    return PipelineFile(path, text, raw, [_stage(one) for one in stages])


def _parsed(path: Path, text: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise OrderopsError("PyYAML is not installed", "pip install 'orderops[ci]'") from None

    class Loader(yaml.SafeLoader):
        """Refuses a key that stands twice, as Azure does; YAML libraries take the last one."""

    def mapping(loader: Any, node: Any) -> dict[Any, Any]:
        keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
        doubled = next((key for index, key in enumerate(keys) if key in keys[:index]), None)
        if doubled is not None:
            raise yaml.constructor.ConstructorError(None, None, f"the key {doubled!r} stands twice", node.start_mark)
        return {
            key: loader.construct_object(value, deep=True) for key, (_, value) in zip(keys, node.value, strict=True)
        }

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    try:
        return yaml.load(text, Loader)  # a SafeLoader
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or "is not YAML"
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise OrderopsError(f"{where}: {plain(str(problem))}", "mend the line, then re-run this command") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise OrderopsError(f"{path} is not YAML: {plain(str(error))}", "mend it, then re-run this command") from None


def _stage(raw: Mapping[str, Any]) -> PipelineStage:
    jobs = raw.get("jobs")
    return PipelineStage(str(raw["stage"]), raw, [_job(one) for one in jobs or () if isinstance(one, dict)])


def _job(raw: Mapping[str, Any]) -> PipelineJob:
    environment = raw.get("environment")
    name = environment.get("name") if isinstance(environment, dict) else environment
    return PipelineJob(
        str(raw.get("deployment") or raw.get("job") or ""), str(name or ""), "deployment" in raw, list(_steps(raw))
    )


def _steps(raw: Any) -> Iterator[PipelineStep]:
    """The steps of a job, also of a deployment's hooks."""
    if not isinstance(raw, dict):
        return
    steps = raw.get("steps")
    yield from (PipelineStep(step) for step in (steps if isinstance(steps, list) else ()) if isinstance(step, dict))
    for value in raw.values():
        if isinstance(value, dict):
            yield from _steps(value)

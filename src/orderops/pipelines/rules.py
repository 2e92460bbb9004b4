"""What is wrong with a pipeline: each rule reads the file and says where, what, and what to do."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain

from orderops.config.environment import Environment
from orderops.frozen import Frozen, as_dict
from orderops.pipelines.commands import MIGRATING, OrderopsCommand, commands_in, unknown_part
from orderops.pipelines.document import PipelineFile, PipelineJob, PipelineStage

KEY = re.compile(r"(?<![A-Z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])|aws_secret_access_key\s*[:=]\s*\S", re.I)
OUTPUT = re.compile(r"stageDependencies\.(\w+)\.(\w+)\.outputs\['([^']+)'\]")
SET_OUTPUT = re.compile(r"task\.setvariable\s+variable=(\w+);[^\]]*isOutput=true")


class PipelineFinding(Frozen):
    """A mistake: where it stands, what it leads to, and what to write instead."""

    where: str
    what: str
    hint: str

    def to_dict(self) -> dict[str, str]:
        """As JSON, with stable keys."""
        return as_dict(self)


class PipelineCheck(Frozen):
    """A pipeline, the environments it may be about, and the commands that orderops has."""

    file: PipelineFile
    environments: Mapping[str, Environment]
    known: Mapping[tuple[str, ...], AbstractSet[str]]
    branches: Collection[str] | None
    """The branches of the repository; None where they cannot be read."""

    def findings(self) -> list[PipelineFinding]:
        """Everything that is wrong, in the order of the file."""
        stages = chain.from_iterable(self._stage(stage) for stage in self.file.stages)
        return [*self._keys(), *stages, *self._connections()]

    def _stage(self, stage: PipelineStage) -> Iterator[PipelineFinding]:
        commands = list(commands_in(stage.lines, self.known))
        where = f"stage {stage.name}"
        for command in commands:
            if wrong := unknown_part(command, self.known):
                yield PipelineFinding(where, wrong, f"the line is: {command.line}")
            elif command.environment and command.environment not in self._names(command.environment):
                yield PipelineFinding(
                    where,
                    f"there is no environment {command.environment}",
                    f"environments: {', '.join(sorted(self.environments))}",
                )
            elif command.words in MIGRATING:
                yield PipelineFinding(
                    where,
                    f"`orderops {' '.join(command.words)}` runs in a pipeline",
                    "whoever rehearsed a migration applies it; in a pipeline belong `migrate lint` and `migrate info`",
                )
        for job in stage.jobs:
            changing = [one for one in commands_in(_lines(job), self.known) if one.changes]
            for command in changing:
                yield from self._change(stage, job, command)
        yield from self._outputs(stage)
        yield from self._missing_branches(stage)

    def _names(self, name: str) -> Collection[str]:
        """The known environments; a name that is only known as it runs is one of them."""
        return {name} if "$" in name else self.environments

    def _change(self, stage: PipelineStage, job: PipelineJob, command: OrderopsCommand) -> Iterator[PipelineFinding]:
        name, where = command.environment, f"stage {stage.name}"
        if not name:
            hint = "write --env NAME: without it, the laptop's environment is meant"
            yield PipelineFinding(where, f"`{command.line}` names no environment", hint)
            return
        if not job.is_deployment or job.environment != name:
            yield PipelineFinding(
                where,
                f"{name} is changed by a job without the environment {name}, so no approval can stop it",
                f"make it a deployment job: `deployment: …` with `environment: {name}`",
            )
        if not stage.branches or "succeeded()" not in stage.condition:
            yield PipelineFinding(
                where,
                f"{name} is changed from every branch, or after checks that failed",
                "condition: and(succeeded(), eq(variables['Build.SourceBranch'], 'refs/heads/BRANCH'))",
            )
        if not command.has("--yes", "-y"):
            yield PipelineFinding(where, f"`{command.line}` would ask, and nobody answers", "write --yes")
        environment = self.environments.get(name)
        if environment and environment.protected:
            yield from self._protected(stage, command)

    def _protected(self, stage: PipelineStage, command: OrderopsCommand) -> Iterator[PipelineFinding]:
        name, where = command.environment, f"stage {stage.name}"
        before = self.file.before(stage)
        if command.option("--confirm") != name:
            yield PipelineFinding(where, f"{name} is protected, and is not named again", f"write --confirm {name}")
        if not any(one.is_manual for one in (stage, *before)):
            yield PipelineFinding(
                where, f"{name} is changed by every push that gets so far", "write `trigger: manual` in the stage"
            )
        if command.option("--plan") is None:
            yield PipelineFinding(
                where,
                f"what is applied to {name} is planned after its approval",
                "plan in a stage before, with --out FILE, and apply that: orderops up --plan FILE",
            )
            return
        yield from self._planned(stage, name, [one for one in before if _plans(one, name, self.known)])

    def _planned(self, stage: PipelineStage, name: str, planned: Sequence[PipelineStage]) -> Iterator[PipelineFinding]:
        """The stages that save the plan: they have to stand before the approval, and only read."""
        if not planned:
            yield PipelineFinding(
                f"stage {stage.name}",
                f"no stage before saves a plan of {name}",
                f"orderops infra plan --env {name} --out FILE",
            )
        for one in planned:
            if any(job.is_deployment and job.environment == name for job in one.jobs):
                yield PipelineFinding(
                    f"stage {one.name}",
                    f"the plan of {name} is made in its environment, so it is approved before it can be read",
                    "plan in a job without that environment",
                )
            if {step.connection for step in one.steps if step.connection} & {step.connection for step in stage.steps}:
                yield PipelineFinding(
                    f"stage {one.name}",
                    f"the plan of {name} is made with the credentials that change it",
                    "give it a service connection of its own, whose role only reads",
                )

    def _outputs(self, stage: PipelineStage) -> Iterator[PipelineFinding]:
        """References to outputs of other stages: Azure replaces a wrong one by nothing."""
        by_name = {one.name: one for one in self.file.stages}
        for name, job_name, key in OUTPUT.findall(str(stage.raw)):
            wrong = _wrong_output(by_name.get(name), job_name, key)
            if not wrong and name not in stage.needs:
                wrong = f"the stage does not depend on {name}"
            if wrong:
                yield PipelineFinding(
                    f"stage {stage.name}",
                    f"the output {name}.{job_name}.{key} is empty: {wrong}",
                    "stageDependencies.STAGE.JOB.outputs['STEP.VARIABLE']; of a deployment job: 'JOB.STEP.VARIABLE'",
                )

    def _missing_branches(self, stage: PipelineStage) -> Iterator[PipelineFinding]:
        for branch in stage.branches:
            if self.branches is not None and branch not in self.branches:
                yield PipelineFinding(
                    f"stage {stage.name}", f"the repository has no branch {branch}", f"git push origin HEAD:{branch}"
                )

    def _keys(self) -> Iterator[PipelineFinding]:
        for number, line in enumerate(self.file.text.splitlines(), start=1):
            if KEY.search(line):
                yield PipelineFinding(
                    f"line {number}",
                    "a key of AWS stands in the file, and in its history",
                    "delete the key in IAM, then use a service connection with OpenID Connect",
                )

    def _connections(self) -> Iterator[PipelineFinding]:
        used: dict[str, set[str]] = defaultdict(set)
        for stage in self.file.stages:
            for step in stage.steps:
                names = {one.environment for one in commands_in(iter(step.lines), self.known) if one.environment}
                if step.connection:
                    used[step.connection] |= names
        for connection, names in used.items():
            if len(names) > 1:
                yield PipelineFinding(
                    f"connection {connection}",
                    f"one role reaches {' and '.join(sorted(names))}",
                    "one service connection for each environment, with a role of its own",
                )


def _lines(job: PipelineJob) -> Iterator[str]:
    for step in job.steps:
        yield from step.lines


def _plans(stage: PipelineStage, name: str, known: Mapping[tuple[str, ...], AbstractSet[str]]) -> bool:
    return any(one.environment == name and one.option("--out") for one in commands_in(stage.lines, known))


def _wrong_output(stage: PipelineStage | None, job_name: str, key: str) -> str:
    """Why this output does not exist, as a sentence; "" if it does."""
    if stage is None:
        return "there is no such stage"
    job = next((one for one in stage.jobs if one.name == job_name), None)
    if job is None:
        return f"the stage has no job {job_name}"
    parts = key.split(".")
    if job.is_deployment and parts[0] != job_name:
        return f"the key of a deployment job begins with its name, {job_name}"
    step_name, variable = parts[-2] if len(parts) > 1 else "", parts[-1]
    step = next((one for one in job.steps if one.raw.get("name") == step_name), None)
    if step is None:
        return f"the job has no step named {step_name}"
    if variable not in SET_OUTPUT.findall("\n".join(step.lines)):
        return f"the step sets no output {variable}"
    return ""

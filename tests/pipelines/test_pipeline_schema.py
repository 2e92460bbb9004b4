"""azure-pipelines.yml, judged by the schema that Microsoft publishes for such files."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator, ValidationError
from jsonschema.exceptions import best_match
from jsonschema.validators import extend

from support.repository import ROOT

SCHEMA = Path(__file__).parent / "schema" / "service-schema.json.gz"
USED = ("UsePythonVersion@0", "PublishTestResults@2")
AWS_SHELL_SCRIPT = "AWSShellScript@1"
# By task.json of the AWS Toolkit for Azure DevOps.
AWS_INPUTS: dict[str, dict[str, Any]] = {
    "awsCredentials": {"type": "string"},
    "regionName": {"type": "string"},
    "arguments": {"type": "string"},
    "scriptType": {"enum": ["filePath", "inline"]},
    "filePath": {"type": "string"},
    "inlineScript": {"type": "string", "maxLength": 5000},
    "disableAutoCwd": {"type": "boolean"},
    "workingDirectory": {"type": "string"},
    "failOnStandardError": {"type": "boolean"},
}
Pipeline = dict[str, Any]


def _comes_first(validator: Any, first: list[str], found: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    """Check the extension by which the schema says that one of these keys has to be the first."""
    if isinstance(found, dict) and found and next(iter(found)) not in first:
        yield ValidationError(f"{next(iter(found))!r} comes before {' or '.join(first)}")


@pytest.fixture(scope="module")
def judge() -> Callable[[Pipeline], str]:
    """Return the most telling mistake of a pipeline; "" for none."""
    schema = json.loads(gzip.decompress(SCHEMA.read_bytes()))
    task = schema["definitions"]["task"]
    # Of the 200 tasks, those that are used: the others would take seconds for each try.
    patterns = {f"^{name}$" for name in USED}
    task["anyOf"] = [one for one in task["anyOf"] if one["properties"]["task"].get("pattern") in patterns]
    assert len(task["anyOf"]) == len(USED)
    task["anyOf"].append(
        {
            "properties": {
                "task": {"const": AWS_SHELL_SCRIPT},
                "inputs": {"properties": AWS_INPUTS, "additionalProperties": False, "required": ["scriptType"]},
            }
        }
    )
    task["properties"]["task"] = {"enum": [*USED, AWS_SHELL_SCRIPT]}
    # Azure Pipelines reads every scalar as text, so `fetchDepth: 0` is a text too.
    types = Draft7Validator.TYPE_CHECKER.redefine("string", lambda _, found: isinstance(found, (str, int, float)))
    checker = extend(Draft7Validator, {"firstProperty": _comes_first}, type_checker=types)(schema)

    def judged(pipeline: Pipeline) -> str:
        found = best_match(checker.iter_errors(pipeline))
        return f"{found.json_path}: {found.message}" if found else ""

    return judged


@pytest.fixture
def pipeline() -> Pipeline:
    read: Pipeline = yaml.safe_load((ROOT / "azure-pipelines.yml").read_text(encoding="utf-8"))
    return read


def step(pipeline: Pipeline, task: str, stage: int = 0) -> dict[str, Any]:
    job = pipeline["stages"][stage]["jobs"][0]
    steps = job["steps"] if "steps" in job else job["strategy"]["runOnce"]["deploy"]["steps"]
    found: dict[str, Any] = next(one for one in steps if one.get("task") == task)
    return found


def test_the_pipeline_is_one_by_the_published_schema(judge: Callable[[Pipeline], str], pipeline: Pipeline) -> None:
    assert judge(pipeline) == ""


def test_every_task_that_is_used_is_judged(pipeline: Pipeline) -> None:
    text = json.dumps(pipeline)
    assert {part.partition('"')[0] for part in text.split('"task": "')[1:]} == {*USED, AWS_SHELL_SCRIPT}


MISTAKES: dict[str, Callable[[Pipeline], object]] = {
    "unknown key of a pipeline": lambda it: it.update(triggers={"branches": {"include": ["*"]}}),
    "unknown key of a stage": lambda it: it["stages"][1].update(dependOn="checks"),
    "unknown key of a job": lambda it: it["stages"][0]["jobs"][0].update(timeout=5),
    "a list where a mapping belongs": lambda it: it.update(stages={"checks": it["stages"][0]}),
    "a parameter of an unknown type": lambda it: it["parameters"][0].update(type="text"),
    "a trigger without branches": lambda it: it.update(trigger={"branch": ["*"]}),
    "unknown strategy": lambda it: it["stages"][1]["jobs"][0].update(strategy={"runTwice": {}}),
    "unknown task": lambda it: step(it, USED[0]).update(task="UsePythonVersions@0"),
    "unknown input of a task": lambda it: step(it, USED[0])["inputs"].update(version="3.11"),
    "unknown input of the AWS task": lambda it: step(it, AWS_SHELL_SCRIPT, 1)["inputs"].update(inline="true"),
    "a script that is too long": lambda it: step(it, AWS_SHELL_SCRIPT, 1)["inputs"].update(inlineScript="#" * 5001),
    "a key before the task": lambda it: it["stages"][0]["jobs"][0]["steps"].insert(
        0, {"displayName": "Python", "task": USED[0]}
    ),
    "unknown key of a step": lambda it: step(it, USED[0]).update(name_shown="Python"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_found(judge: Callable[[Pipeline], str], pipeline: Pipeline, mistake: str) -> None:
    MISTAKES[mistake](pipeline)

    assert judge(pipeline)

"""Run what a schedule starts, as EventBridge Scheduler does: its target's command, with what its container has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any


def run_as_scheduled(
    client: Any, url: str, name: str, *, ended_at: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the schedule `name` of dev once; `client` returns a boto3 client of a service of the account at `url`.

    With `ended_at` it is killed, as a task may be, once it has written this.
    """
    target = client("scheduler").get_schedule(GroupName="orderops-dev", Name=name)["Target"]
    definition = client("ecs").describe_task_definition(taskDefinition=target["EcsParameters"]["TaskDefinitionArn"])
    (container,) = definition["taskDefinition"]["containerDefinitions"]
    (override,) = json.loads(target["Input"])["containerOverrides"]
    assert override["name"] == container["name"]
    variables = {variable["name"]: variable["value"] for variable in container["environment"]}
    with subprocess.Popen(
        [sys.executable, *override["command"][1:]],
        env={**os.environ, **variables, "AWS_ENDPOINT_URL": url},
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout
        said = []
        for line in process.stdout:
            said.append(line)
            if ended_at and ended_at in line:
                process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, "".join(said))

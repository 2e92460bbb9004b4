"""What an unchanged `orderops infra plan` costs in calls and seconds, for 1, 5 and 20 services.

    python benchmarks/plan.py

Each number of services has an emulated account of its own; the time is of the whole command, the interpreter's start
included.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import boto3

from orderops.aws.client import Aws
from orderops.config.environment import load_environment
from orderops.infra.plan import make_plan
from orderops.infra.workspace import Workspace
from slow_aws import SlowAws, served

SERVICES = (1, 5, 12)
SERVICE = """
[services.extra-{number:02}]
paths = ["/extra-{number:02}/*"]
priority = {priority}
max_tasks = 1
pool_size = 1
"""
RUNS = 3


def environments(services: int, folder: Path) -> Path:
    """dev with further services beside its first."""
    text = Path("environments/dev.toml").read_text()
    extra = "".join(SERVICE.format(number=number, priority=number) for number in range(1, services))
    (folder / "dev.toml").write_text(
        text.replace("[services.order-processor]\n", "[services.order-processor]\npriority = 1000\n") + extra
    )
    return folder


def calls_of_a_plan(folder: Path, url: str) -> int:
    """Calls to AWS that one plan makes."""
    session = boto3.Session(region_name="ap-southeast-2")
    calls: list[str] = []
    session.events.register("after-call", lambda model, **_: calls.append(model.name))
    workspace = Workspace(load_environment("dev", folder), Aws("ap-southeast-2", endpoint_url=url, session=session))
    plan = make_plan(workspace)
    assert not plan.differs, [step.address for step in plan.changes]
    return len(calls)


def main() -> None:
    """Print a line for each number of services."""
    os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test")
    for services in SERVICES:
        with served(SlowAws(0.0, {})) as url, tempfile.TemporaryDirectory() as place:
            folder = environments(services, Path(place))
            env = {**os.environ, "AWS_ENDPOINT_URL": url}
            orderops = [sys.executable, "-m", "orderops", "infra"]
            words = ["--env", "dev", "--environments", str(folder)]
            subprocess.run([*orderops, "apply", *words, "--yes"], env=env, check=True, capture_output=True)
            took: list[float] = []
            for _ in range(RUNS):
                begun = time.monotonic()
                subprocess.run([*orderops, "plan", *words], env=env, check=True, capture_output=True)
                took.append(time.monotonic() - begun)
            calls = calls_of_a_plan(folder, url)
        print(f"{services:3} services: {calls:4} calls, {min(took):.2f} s (best of {RUNS})")


if __name__ == "__main__":
    main()

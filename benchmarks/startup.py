"""What short commands cost as a ratio to `aws --version`, in CPU and in wall time, all run in turns.

    python benchmarks/startup.py [--aws PATH] [--runs 10] [--latency 0.04]

`aws` is looked for on the PATH; `pip install awscli` in an environment of its own brings one. `infra plan` and `status`
are those of an unchanged dev, in an emulated account whose own CPU does not count; with --latency, in one that takes so
many seconds longer for each call. All runs but the first, which is left out, find the bytecode and the service models
of an earlier one, as an operator's do.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from plan import calls_of_a_plan, environments
from slow_aws import SlowAws, served

UNHEALTHY = (0, 3, 10, 11, 12)
"""Exit codes of a `status`: the server starts no service."""


def main() -> None:
    """Print a line for each command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--aws", default=shutil.which("aws"), help="the AWS CLI to compare with")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds that each call to AWS takes longer")
    options = parser.parse_args()
    if not options.aws:
        sys.exit("no aws on the PATH: name one with --aws")
    with served(SlowAws(options.latency, {})) as url, tempfile.TemporaryDirectory() as place:
        # The bytecode of modules is kept, as in every installation; this machine may have that switched off.
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test")
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "XDG_CACHE_HOME": place}
        env = {**inherited, **keys, "AWS_ENDPOINT_URL": url}
        folder = environments(1, Path(place))
        orderops, of_dev = str(Path(sys.executable).with_name("orderops")), ["--env", "dev", "--environments", place]
        subprocess.run([orderops, "infra", "apply", *of_dev, "--yes"], env=env, check=True, capture_output=True)
        print(f"an unchanged infra plan of dev: {calls_of_a_plan(folder, url)} calls")
        compare(
            {
                "aws --version": [options.aws, "--version"],
                "orderops --help": [orderops, "--help"],
                "orderops infra plan": [orderops, "infra", "plan", *of_dev],
                "orderops status": [orderops, "status", *of_dev],
            },
            options.runs,
            env,
        )


def compare(commands: dict[str, list[str]], runs: int, env: dict[str, str]) -> None:
    """Run the commands in turns and print their medians, and the ratios to the first of them."""
    wall: dict[str, list[float]] = {name: [] for name in commands}
    cpu: dict[str, list[float]] = {name: [] for name in commands}
    for run in range(runs + 1):
        for name, command in commands.items():
            elapsed, used = timed(command, env)
            if run:
                wall[name].append(elapsed)
                cpu[name].append(used)
    first = next(iter(commands))
    for name in commands:
        seconds, used = median(wall[name]), median(cpu[name])
        print(
            f"{name:20} {used * 1000:6.0f} ms CPU, {seconds * 1000:6.0f} ms wall; "
            f"ratio {used / median(cpu[first]):.2f} CPU, {seconds / median(wall[first]):.2f} wall"
        )


def timed(command: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Wall and CPU seconds of one run."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    ended = subprocess.run(command, capture_output=True, env=env)
    elapsed, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if ended.returncode not in UNHEALTHY:
        sys.exit(f"{' '.join(command)} exited with {ended.returncode}: {ended.stderr.decode(errors='replace')}")
    return elapsed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()

"""How long `orderops --help` takes, as a ratio to `aws --version`, the two run in turns.

    python benchmarks/help.py [--aws PATH] [--runs 20]

`aws` is looked for on the PATH; `pip install awscli` in an environment of its own brings one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--aws", default=shutil.which("aws"), help="the AWS CLI to compare with")
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    if not options.aws:
        sys.exit("no aws on the PATH: name one with --aws")
    orderops = str(Path(sys.executable).with_name("orderops"))
    commands = {"orderops --help": [orderops, "--help"], "aws --version": [options.aws, "--version"]}
    wall: dict[str, list[float]] = {name: [] for name in commands}
    cpu: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(options.runs):
        for name, command in commands.items():
            elapsed, used = timed(command)
            wall[name].append(elapsed)
            cpu[name].append(used)
    for name in commands:
        print(f"{name:16} {median(wall[name]) * 1000:6.0f} ms wall, {median(cpu[name]) * 1000:6.0f} ms CPU")
    ours, theirs = commands
    print(f"ratio            {median(wall[ours]) / median(wall[theirs]):6.2f} wall, ", end="")
    print(f"{median(cpu[ours]) / median(cpu[theirs]):.2f} CPU")


def timed(command: list[str]) -> tuple[float, float]:
    """Wall and CPU seconds of one run."""
    before, began = os.times(), time.monotonic()
    # Bytecode is cached, as in every installation; this machine may have that switched off.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    elapsed, after = time.monotonic() - began, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return elapsed, used


if __name__ == "__main__":
    main()

"""Entry point of a task that a schedule starts: runs one command on the environment that the task carries."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from orderops.errors import OrderopsError

NAME = "ORDEROPS_ENVIRONMENT"
"""The environment variable with the name of the environment."""
FILE = "ORDEROPS_ENVIRONMENT_FILE"
"""The environment variable with the text of its file."""


def main(command: list[str]) -> None:
    """Run the command, and exit with its code."""
    from orderops.cli import main as orderops

    name, text = os.environ.get(NAME), os.environ.get(FILE)
    if not (name and text):
        raise SystemExit(_refused())
    # The files inside the image are those of the time when it was built, and of whoever built it.
    with tempfile.TemporaryDirectory(prefix="orderops-") as folder:
        (Path(folder) / f"{name}.toml").write_text(text, encoding="utf-8")
        orderops([*command, "--env", name, "--environments", folder])


def _refused() -> int:
    from orderops.ui import console

    error = OrderopsError(
        "this process carries no environment", "only a schedule starts this module, in a task inside the VPC"
    )
    console.show_error(error)
    return error.exit_code


if __name__ == "__main__":
    main(sys.argv[1:])

"""Install the lowest versions that pyproject.toml admits, and run with them the tests of calls and of the command line.

    python benchmarks/lowest_versions.py [FOLDER] [-- PYTEST ARGUMENTS]

The virtual environment is made in FOLDER, or in a temporary folder. A parameter that the program sends and an older
botocore does not know fails here, and not on an operator's machine.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TESTS = ("tests/aws", "tests/cli", "tests/config", "tests/resources")
USED = ("local", "service", "ci", "tracing")
"""Extras of those who use orderops. What only its tests need asks for newer versions of the same packages."""
TOOLS = ("pytest", "pytest-xdist")
REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:\[[^]]*\])?>=(?P<version>[0-9][0-9A-Za-z.]*)")


def constraints(project: dict[str, Any]) -> Iterator[str]:
    """Yield `NAME==VERSION` for each dependency with a lower bound, those of the extras in USED included."""
    extras = [project["optional-dependencies"][extra] for extra in USED]
    for requirement in [*project["dependencies"], *(requirement for extra in extras for requirement in extra)]:
        match = REQUIREMENT.match(requirement)
        if match:
            yield f"{match['name']}=={match['version']}"
            if match["name"] == "boto3":
                # boto3 admits later patch versions of botocore, whose models may know more parameters.
                yield f"botocore=={match['version']}"


def main(folder: Path, arguments: list[str]) -> int:
    """Make the environment in this folder and run pytest in it; return pytest's exit code."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    file = folder / "constraints.txt"
    file.write_text("\n".join(constraints(project)) + "\n", encoding="utf-8")
    print(file.read_text(encoding="utf-8"))
    venv.create(folder / "venv", with_pip=True)
    python = str(folder / "venv" / "bin" / "python")
    packages = ["--editable", f"{ROOT}[{','.join(USED)}]", *TOOLS]
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--constraint", str(file), *packages], check=True)
    tests = arguments or ["-q", "-n", "auto", *TESTS]
    return subprocess.run([python, "-m", "pytest", *tests], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    before, _, after = " ".join(sys.argv[1:]).partition("-- ")
    if before.strip():
        chosen = Path(before.strip())
        chosen.mkdir(parents=True, exist_ok=True)
        sys.exit(main(chosen, after.split()))
    with tempfile.TemporaryDirectory(prefix="orderops-lowest-") as temporary:
        sys.exit(main(Path(temporary), after.split()))

"""The arguments of the AWS provider, and the check of a configuration by a binary that reads it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from orderops.export.hcl import Blocks

# From `terraform providers schema -json` of hashicorp/aws 5.100.0, as far as something of it is written.
ARGUMENTS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "export" / "arguments.json").read_text())
PLUGINS = os.environ.get("ORDEROPS_TOFU_PLUGINS")
"""A folder with the provider as a mirror, for machines that cannot fetch it."""


def mistakes(where: str, body: Mapping[str, Any], known: Mapping[str, Any]) -> list[str]:
    """Arguments that the provider does not take, and those that it requires and that are missing."""
    given = {key for key, value in body.items() if value is not None and value != Blocks(())}
    unknown = [f"{where}.{key} is unknown" for key in given - known.keys()]
    required = {
        key for key, value in known.items() if "required" in (value.get("") if isinstance(value, dict) else value,)
    }
    missing = [f"{where}.{key} is missing" for key in required - given - {""}]
    nested = [
        mistake
        for key, value in body.items()
        if isinstance(value, Blocks) and isinstance(known.get(key), dict)
        for part in value.bodies
        for mistake in mistakes(f"{where}.{key}", part, {k: v for k, v in known[key].items() if k})
    ]
    plain = [
        f"{where}.{key} is a block, or is none"
        for key in given & known.keys()
        if isinstance(body[key], Blocks) != isinstance(known[key], dict) and body[key] != []
    ]
    return unknown + missing + nested + plain


def refused(folder: Path) -> list[str]:
    """What `validate` finds wrong with a configuration. Skips the test where no binary or no provider can be had."""
    diagnostics = json.loads(_initialised(folder)("validate", "-json"))["diagnostics"]
    return [f"{one['summary']}: {one.get('detail', '')}" for one in diagnostics]


def planned(folder: Path, url: str, services: Iterable[str]) -> str:
    """The last line of a plan of a configuration for the account at a URL, of which these services are used.

    Skips the test where no binary or no provider can be had.
    """
    at = "".join(f'    {service} = "{url}"\n' for service in (*services, "sts"))
    keys = 'access_key = "testing"\n  secret_key = "testing"'
    (folder / "at_override.tf").write_text(f'provider "aws" {{\n  {keys}\n  endpoints {{\n{at}  }}\n}}\n')
    said = _initialised(folder)("plan", "-input=false", "-no-color", "-lock=false")
    return next((line for line in said.splitlines() if line.startswith(("Plan:", "No changes"))), said)


def _initialised(folder: Path) -> Callable[..., str]:
    """What runs the binary in a folder, where the provider is installed, and returns what it says."""
    binary = shutil.which("tofu") or shutil.which("terraform")
    if not binary:
        pytest.skip("neither tofu nor terraform is installed")
    if PLUGINS:
        mirror = f'provider_installation {{\n  filesystem_mirror {{\n    path = "{PLUGINS}"\n  }}\n}}\n'
        (folder / "mirror.tfrc").write_text(mirror)
    environment = {**os.environ, **({"TF_CLI_CONFIG_FILE": str(folder / "mirror.tfrc")} if PLUGINS else {})}

    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        command = [binary, *argv]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)

    made = run("init", "-input=false", "-no-color")
    if made.returncode:
        error = (made.stderr or made.stdout).strip().splitlines()[-1]
        pytest.skip(f"the provider cannot be had: {error}")

    def said(*argv: str) -> str:
        found = run(*argv)
        return found.stdout if argv[0] == "validate" or not found.returncode else found.stderr

    return said

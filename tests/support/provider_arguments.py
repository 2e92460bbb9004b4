"""The arguments of the AWS provider, and the check of a configuration by a binary that reads it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
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
    binary = shutil.which("tofu") or shutil.which("terraform")
    if not binary:
        pytest.skip("neither tofu nor terraform is installed")
    if PLUGINS:
        mirror = f'provider_installation {{\n  filesystem_mirror {{\n    path = "{PLUGINS}"\n  }}\n}}\n'
        (folder / "mirror.tfrc").write_text(mirror)
    more = {"TF_CLI_CONFIG_FILE": str(folder / "mirror.tfrc")} if PLUGINS else {}

    def run(*argv: str) -> str:
        found = subprocess.run(
            [binary, *argv], cwd=folder, env={**os.environ, **more}, capture_output=True, text=True, timeout=300
        )
        return found.stdout if argv[0] == "validate" else "" if found.returncode == 0 else found.stderr or found.stdout

    if error := run("init", "-input=false", "-no-color"):
        pytest.skip(f"the provider cannot be had: {error.strip().splitlines()[-1]}")
    diagnostics = json.loads(run("validate", "-json"))["diagnostics"]
    return [f"{one['summary']}: {one.get('detail', '')}" for one in diagnostics]

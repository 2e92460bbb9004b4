"""Check a pipeline: its file, the branches that it names, and what Azure DevOps keeps beside it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

from orderops.config.environment import Environment, environment_names, load_environment
from orderops.errors import Differences
from orderops.pipelines.azure import AzureProject
from orderops.pipelines.commands import commands_in
from orderops.pipelines.document import PipelineFile, read_pipeline
from orderops.pipelines.rules import PipelineCheck
from orderops.ui import console

GIT_WITHIN = 20.0
"""Seconds for git, which may ask a server."""


def check_pipeline(
    file: Path,
    environments: Path | None,
    known: Mapping[tuple[str, ...], AbstractSet[str]],
    azure: AzureProject | None,
    *,
    as_json: bool,
) -> None:
    """Show what is wrong with a pipeline. Raises Differences if anything is."""
    names = environment_names(environments)
    loaded = {name: load_environment(name, environments) for name in names}
    pipeline = read_pipeline(file)
    branches = branches_of(file.resolve().parent)
    check = PipelineCheck(pipeline, loaded, known, branches)
    findings = check.findings()
    if azure:
        findings += azure.findings(_deployed(pipeline, loaded, known))
    left_out = [] if azure else ["what Azure DevOps keeps (approvals, branch control): --organization and --project"]
    left_out += ["branches: git cannot be asked about them here"] if branches is None else []
    if as_json:
        console.show_json({"findings": [finding.to_dict() for finding in findings], "not_checked": left_out})
    else:
        for finding in findings:
            console.info_folded(f"{finding.where}: {finding.what}")
            console.info_folded(f"    {finding.hint}")
        for text in left_out:
            console.info(f"not checked: {text}")
        console.info(f"{file}: {len(findings)} found" if findings else f"{file}: nothing found")
    if findings:
        raise Differences


def branches_of(folder: Path) -> set[str] | None:
    """The branches on the server of the repository that a folder belongs to; its own, without a server.

    None where they cannot be read. A pipeline's checkout has only its own branch, so that the server is asked.
    """
    remotes = _git(folder, "remote")
    if remotes is None:
        return None
    if "origin" not in remotes.split():
        found = _git(folder, "for-each-ref", "--format=%(refname)", "refs/heads")
    else:
        found = _git(folder, "ls-remote", "--heads", "origin")
    if found is None:
        return None
    names = [line.split()[-1] for line in found.splitlines() if line.strip()]
    return {name.removeprefix("refs/heads/") for name in names}


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints; None if it fails, is not there, or waits for a password."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=GIT_WITHIN,
            check=False,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout


def _deployed(
    pipeline: PipelineFile, environments: Mapping[str, Environment], known: Mapping[tuple[str, ...], AbstractSet[str]]
) -> dict[str, str]:
    """The protected environments that the pipeline changes, each with the branch of its stage."""
    found: dict[str, str] = {}
    for stage in pipeline.stages:
        for command in commands_in(stage.lines, known):
            environment = environments.get(command.environment)
            if command.changes and environment and environment.protected:
                found[command.environment] = next(iter(stage.branches), "")
    return found

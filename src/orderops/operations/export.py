"""`infra export`: what stands of an environment, as a configuration for OpenTofu or Terraform."""

from __future__ import annotations

from pathlib import Path

from orderops.config.files import replace_file
from orderops.engine.resource import Outputs
from orderops.errors import OrderopsError
from orderops.export.configuration import Configuration, configuration_of
from orderops.export.rest_api import with_keys
from orderops.infra.plan import make_plan
from orderops.infra.workspace import Workspace
from orderops.resources.apigateway_keys import api_keys
from orderops.resources.apigateway_usage_plan import ApigatewayUsagePlan
from orderops.ui import console
from orderops.ui.progress import Progress

READABLE = 0o644


def export(workspace: Workspace, folder: Path, *, force: bool, as_json: bool) -> None:
    """Write the configuration into the folder. Raises OrderopsError if one of its files exists, unless `force`."""
    with Progress() as progress:
        planned = make_plan(workspace, running=True, on_wait=progress.watch)
    found = configured(workspace, planned.outputs)
    if not found.parts:
        raise OrderopsError(
            f"nothing of {found.environment} exists in account {found.account}",
            f"orderops up --env {found.environment}",
        )
    write_files(folder, found.files(), force=force)
    if as_json:
        _show_json(found, folder)
    else:
        _show(found, folder)


def configured(workspace: Workspace, outputs: Outputs) -> Configuration:
    """The configuration of what exists, from what a plan has found; API keys are read besides."""
    environment, aws, declared = workspace.environment, workspace.aws, workspace.declared().values()
    for plan in declared:
        if plan.kind == ApigatewayUsagePlan.kind and plan in outputs:
            outputs[plan] = with_keys(outputs[plan], api_keys(aws, environment.name, outputs[plan].id))
    return configuration_of(environment.name, declared, outputs, (aws.region, aws.account))


def write_files(folder: Path, files: dict[str, str], *, force: bool) -> None:
    """Write these files, each at once. Raises OrderopsError, before any is written, if one exists, unless `force`."""
    present = [name for name in files if (folder / name).exists() or (folder / name).is_symlink()]
    if present and not force:
        raise OrderopsError(
            f"{folder / present[0]} exists",
            "write into another folder with --out DIR, or replace the files with --force",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            replace_file(folder / name, text, mode=READABLE)
    except OSError as error:
        raise OrderopsError(f"{folder}: {error.strerror}", "write into another folder with --out DIR") from None


def _show_json(found: Configuration, folder: Path) -> None:
    document = {
        "environment": found.environment,
        "folder": str(folder),
        "resources": [part.to_json() for part in found.parts],
        "left_out": [{"address": address, "reason": reason} for address, reason in found.left_out.items()],
        "missing": found.missing,
        "notes": [{"kind": kind, "note": note} for kind, note in found.notes.items()],
    }
    console.show_json(document)


def _show(found: Configuration, folder: Path) -> None:
    for kind, count in sorted(found.types.items()):
        console.data(f"{count:4} {kind}")
    for address, reason in found.left_out.items():
        console.info(f"not written: {address}: {reason}")
    for address in found.missing:
        console.info(f"not written: {address} does not exist")
    for kind, note in found.notes.items():
        console.info(f"{kind}: {note}")
    console.info(f"{len(found.parts)} imports are written into {folder}; nothing was changed in AWS")
    console.info(f"next, in {folder}: tofu init, then tofu plan: expect imports, nothing to add or destroy")

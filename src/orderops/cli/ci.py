"""orderops ci: the pipeline that runs orderops."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orderops.cli.options import Environments, Json

commands = typer.Typer(no_args_is_help=True, help="The pipeline that runs orderops: check.")


@commands.command()
def check(
    context: typer.Context,
    file: Annotated[Path, typer.Option("--file", help="The pipeline's file.", metavar="FILE", dir_okay=False)] = Path(
        "azure-pipelines.yml"
    ),
    environments: Environments = None,
    organization: Annotated[
        str,
        typer.Option(
            "--organization",
            envvar="SYSTEM_COLLECTIONURI",
            help="URL of the organisation, to check approvals and branches of its environments too.",
            metavar="URL",
        ),
    ] = "",
    project: Annotated[
        str, typer.Option("--project", envvar="SYSTEM_TEAMPROJECT", help="Project of Azure DevOps.", metavar="NAME")
    ] = "",
    as_json: Json = False,
) -> None:
    """Check a pipeline: commands, approvals, branches, credentials, outputs. Exit code 3 if anything is wrong.

    A token for Azure DevOps is read from AZURE_DEVOPS_EXT_PAT, or from SYSTEM_ACCESSTOKEN in a pipeline.
    """
    import os

    from orderops.cli.command_tree import options_below, whole_tree
    from orderops.operations.ci_check import check_pipeline
    from orderops.pipelines.azure import AzureProject

    token = os.environ.get("AZURE_DEVOPS_EXT_PAT") or os.environ.get("SYSTEM_ACCESSTOKEN") or ""
    azure = AzureProject(organization, project, token) if organization and project and token else None
    check_pipeline(file, environments, dict(options_below(whole_tree(context))), azure, as_json=as_json)

"""The laptop environment: an AWS emulator in the background, and the databases, services and balancers behind it."""

from orderops.local.client import (
    LocalEndpoint,
    database_version,
    logs,
    pause_replay,
    psql,
    reset,
    running_endpoint,
    start,
    status,
    stop,
)
from orderops.local.directories import data_directory
from orderops.local.inside import inside_task
from orderops.local.saving import saving_problems
from orderops.local.tools import shell_commands, tool_variables

__all__ = [
    "LocalEndpoint",
    "data_directory",
    "database_version",
    "inside_task",
    "logs",
    "pause_replay",
    "psql",
    "reset",
    "running_endpoint",
    "saving_problems",
    "shell_commands",
    "start",
    "status",
    "stop",
    "tool_variables",
]

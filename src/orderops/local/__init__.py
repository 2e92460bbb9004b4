"""The laptop environment: an AWS emulator in the background, and beside it what makes it real."""

from orderops.local.client import LocalEndpoint, logs, psql, reset, start, status, stop
from orderops.local.directories import data_directory

__all__ = ["LocalEndpoint", "data_directory", "logs", "psql", "reset", "start", "status", "stop"]

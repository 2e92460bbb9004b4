"""The laptop environment: an AWS emulator in the background, and the databases, services and balancers behind it."""

from orderops.local.client import LocalEndpoint, database_version, logs, psql, reset, start, status, stop
from orderops.local.directories import data_directory

__all__ = ["LocalEndpoint", "data_directory", "database_version", "logs", "psql", "reset", "start", "status", "stop"]

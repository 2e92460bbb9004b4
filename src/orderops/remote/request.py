"""The request of a remote job: a JSON document that the operator's orderops writes and the one in the task reads."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from orderops import __version__
from orderops.aws.validation import Malformed, validated
from orderops.errors import OrderopsError

# The image in the task may have another version of orderops than the operator's machine.
FORM = 1
"""Version of the request, of the result and of the marked lines; any other is an error."""
JOB_URL = "ORDEROPS_JOB"
"""The environment variable with the URL of the task's request."""
JOB_ID = "ORDEROPS_JOB_ID"
DATABASE = "database"
"""The key of the environment's own database among a job's databases."""


@dataclass(frozen=True)
class DatabaseEndpoint:
    """How to connect to a database: the name of its pointer secret, or what such a secret holds."""

    pointer: str = ""
    host: str = ""
    port: int = 5432
    dbname: str = ""
    sslmode: str = "verify-full"
    credentials: str = ""
    """The ARN of the secret with user name and password."""


@dataclass(frozen=True)
class JobRequest:
    """A command for a task inside the VPC, with all that it needs."""

    argv: tuple[str, ...]
    databases: Mapping[str, DatabaseEndpoint] = field(default_factory=dict)
    """Databases in addition to the environment's own, which `run_job` adds as `DATABASE`."""
    sql: Mapping[str, str] = field(default_factory=dict)
    """The files of the migrations folder, by name."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What the command needs of the environment file."""
    host: str = ""
    """The operator's machine, for the ledger."""
    options: str = ""
    """Options that select the same environment and files, for commands in hints; `--env NAME` unless given."""
    exclusive: bool = False
    """Whether no other exclusive job may run in the environment."""
    width: int = 80
    """The width of the operator's terminal."""

    # `run_job` fills in the rest.
    id: str = ""
    environment: str = ""
    region: str = ""
    who: str = ""
    """The ARN of the operator."""
    result_url: str = field(default="", repr=False)
    """A signed URL for the result, so that the task needs no permission for the bucket."""
    version: str = __version__

    @property
    def command(self) -> str:
        """The command line without `--yes`: another operator has to agree to it again."""
        return " ".join(shlex.quote(argument) for argument in self.argv if argument != "--yes")

    def to_dict(self) -> dict[str, Any]:
        """Return the request as a JSON document."""
        return {"form": FORM, **asdict(self)}

    def same_as(self, other: JobRequest) -> bool:
        """Return whether both run the same command on the same files and databases."""
        return (self.argv, self.sql, self.databases) == (other.argv, other.sql, other.databases)


def job_request_of(document: Mapping[str, Any]) -> JobRequest:
    """Read a request; raises OrderopsError for another version of the format."""
    if document.get("form") != FORM:
        version = document.get("version", "of an unknown version")
        raise OrderopsError(
            f"this job has format {document.get('form')}, written by orderops {version}; "
            f"orderops {__version__} reads format {FORM}",
            f"use the same orderops in the image as here: orderops up --env {document.get('environment', 'NAME')}",
        )
    # A newer orderops may add fields without changing the format.
    try:
        return validated(document, JobRequest)
    except Malformed as error:
        raise OrderopsError(
            f"the request of a job {error}", "re-run this command once the job has ended, or with its orderops"
        ) from None

"""What an errand says, and what it leaves: two JSON documents, written and read by orderops on either side."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from orderops import __version__
from orderops.errors import OrderopsError

FORM = 1
"""Of the documents and of the lines between them; one that is not known is refused."""
JOB_URL = "ORDEROPS_ERRAND"
"""The variable that tells the inside where its errand is."""
JOB_ID = "ORDEROPS_ERRAND_ID"
DATABASE = "database"
"""The name of the door to the environment's own database."""


@dataclass(frozen=True)
class DatabaseEndpoint:
    """Where a database is and which secret opens it: what the secret `pointer` says, or what is said here."""

    pointer: str = ""
    host: str = ""
    port: int = 5432
    dbname: str = ""
    sslmode: str = "verify-full"
    credentials: str = ""
    """The ARN of the secret that holds user name and password."""


@dataclass(frozen=True)
class JobRequest:
    """A command to be carried out where the databases can be reached, with all that it needs to know."""

    id: str
    argv: tuple[str, ...]
    environment: str
    region: str
    databases: Mapping[str, DatabaseEndpoint]
    sql: Mapping[str, str] = field(default_factory=dict)
    """The files of the folder of migrations, by name."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What the command takes from the environment's file."""
    who: str = ""
    host: str = ""
    """Who agreed to it, and from which machine."""
    lead: str = ""
    """What leads a command of the operator's to the same place again."""
    exclusive: bool = False
    """Whether no other may run beside it."""
    width: int = 80
    result_url: str = field(default="", repr=False)
    """Where the result may be written, for as long as the signature holds."""
    version: str = __version__

    @property
    def command(self) -> str:
        """The words, as the operator would say them: that it was agreed to is not for the next one."""
        return " ".join(shlex.quote(word) for word in self.argv if word != "--yes")

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"form": FORM, **asdict(self)}

    def same_as(self, other: JobRequest) -> bool:
        """Whether both do the same to the same."""
        return (self.argv, self.sql, self.databases) == (other.argv, other.sql, other.databases)


def job_request_of(told: Mapping[str, Any]) -> JobRequest:
    """Read an errand; raises OrderopsError for one of a form that this orderops does not know."""
    if told.get("form") != FORM:
        raise OrderopsError(
            f"this errand is of form {told.get('form')}, by orderops {told.get('version', 'of an unknown version')}; "
            f"orderops {__version__} knows form {FORM}",
            f"let image and machine have the same orderops: orderops up --env {told.get('environment', 'NAME')}",
        )
    fields = {key: value for key, value in told.items() if key in JobRequest.__dataclass_fields__}
    databases = {name: DatabaseEndpoint(**endpoint) for name, endpoint in told["databases"].items()}
    return JobRequest(**{**fields, "argv": tuple(told["argv"]), "databases": databases})

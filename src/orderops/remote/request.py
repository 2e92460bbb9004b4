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
AT = "ORDEROPS_ERRAND"
"""The variable that tells the inside where its errand is."""
ID = "ORDEROPS_ERRAND_ID"
DATABASE = "database"
"""The name of the door to the environment's own database."""


@dataclass(frozen=True)
class Door:
    """Where a database is and which secret opens it: what the secret `pointer` says, or what is said here."""

    pointer: str = ""
    host: str = ""
    port: int = 5432
    dbname: str = ""
    sslmode: str = "verify-full"
    credentials: str = ""
    """The ARN of the secret that holds user name and password."""


@dataclass(frozen=True)
class Errand:
    """A command to be carried out where the databases can be reached, with all that it needs to know."""

    id: str
    words: tuple[str, ...]
    environment: str
    region: str
    doors: Mapping[str, Door]
    sql: Mapping[str, str] = field(default_factory=dict)
    """The files of the folder of migrations, by name."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What the command takes from the environment's file."""
    who: str = ""
    host: str = ""
    """Who agreed to it, and from which machine."""
    lead: str = ""
    """What leads a command of the operator's to the same place again."""
    alone: bool = False
    """Whether no other may run beside it."""
    width: int = 80
    leave: str = field(default="", repr=False)
    """Where the result may be written, for as long as the signature holds."""
    version: str = __version__

    @property
    def command(self) -> str:
        """The words, as the operator would say them: that it was agreed to is not for the next one."""
        return " ".join(shlex.quote(word) for word in self.words if word != "--yes")

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return {"form": FORM, **asdict(self)}

    def same_as(self, other: Errand) -> bool:
        """Whether both do the same to the same."""
        return (self.words, self.sql, self.doors) == (other.words, other.sql, other.doors)


def errand_of(told: Mapping[str, Any]) -> Errand:
    """Read an errand; raises OrderopsError for one of a form that this orderops does not know."""
    if told.get("form") != FORM:
        raise OrderopsError(
            f"this errand is of form {told.get('form')}, by orderops {told.get('version', 'of an unknown version')}; "
            f"orderops {__version__} knows form {FORM}",
            f"let image and machine have the same orderops: orderops up --env {told.get('environment', 'NAME')}",
        )
    fields = {key: value for key, value in told.items() if key in Errand.__dataclass_fields__}
    doors = {name: Door(**door) for name, door in told["doors"].items()}
    return Errand(**{**fields, "words": tuple(told["words"]), "doors": doors})

"""The role that runs the statements of a file: the one it names, the owner of the schema, or the user that logs in."""

from __future__ import annotations

from orderops.database.schema_owner import SchemaOwner
from orderops.migrations.sql.files import SqlFile


def role_of(file: SqlFile, owner: SchemaOwner | None) -> str | None:
    """The role as spelled in SQL; None for the user that logs in. `owner` is that of the database."""
    if file.head.owner:
        return file.head.owner
    return owner.role if owner and _as_owner(file) else None


def become(file: SqlFile, owner: SchemaOwner | None, scope: str) -> str:
    """SQL that changes to the role of a file, with "set" or "set local"; empty if the user that logs in runs it."""
    if file.head.owner:
        return f"{scope} role {file.head.owner}"
    return owner.become(scope) if owner and _as_owner(file) else ""


def _as_owner(file: SqlFile) -> bool:
    # A dump gives its tables to the roles that they belonged to, which the owner of the schema may not.
    return not (file.head.as_login or file.is_dump)

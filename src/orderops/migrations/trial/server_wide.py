"""What a file may not do in a scratch database, since it would reach the rest of the server, or cannot on this one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, LiteralString

from orderops.migrations.sql.locks import MAY_COMMIT, enum_name
from orderops.migrations.sql.parser import Statement

if TYPE_CHECKING:
    from psycopg import Connection

ROLES = "changes roles, which belong to the whole server"
DATABASES = "changes databases of the server"
TABLESPACES = "changes tablespaces, which belong to the whole server"
SETTINGS = "changes settings of the server"
ELSEWHERE = "reaches another server or database"
KINDS = {
    "create_role_stmt": ROLES,
    "alter_role_stmt": ROLES,
    "alter_role_set_stmt": ROLES,
    "drop_role_stmt": ROLES,
    "grant_role_stmt": ROLES,
    "drop_owned_stmt": ROLES,
    "reassign_owned_stmt": ROLES,
    "createdb_stmt": DATABASES,
    "dropdb_stmt": DATABASES,
    "alter_database_stmt": DATABASES,
    "alter_database_set_stmt": DATABASES,
    "alter_database_refresh_coll_stmt": DATABASES,
    "create_table_space_stmt": TABLESPACES,
    "drop_table_space_stmt": TABLESPACES,
    "alter_table_space_options_stmt": TABLESPACES,
    "alter_table_move_all_stmt": TABLESPACES,
    "alter_system_stmt": SETTINGS,
    "create_subscription_stmt": ELSEWHERE,
    "alter_subscription_stmt": ELSEWHERE,
    "drop_subscription_stmt": ELSEWHERE,
    "create_foreign_server_stmt": ELSEWHERE,
    "alter_foreign_server_stmt": ELSEWHERE,
    "create_user_mapping_stmt": ELSEWHERE,
    "import_foreign_schema_stmt": ELSEWHERE,
    "load_stmt": "loads a library into the server",
}
"""Kinds of statements that reach beyond their database."""
OBJECTS = {
    "OBJECT_ROLE": ROLES,
    "OBJECT_DATABASE": DATABASES,
    "OBJECT_TABLESPACE": TABLESPACES,
    "OBJECT_PARAMETER_ACL": SETTINGS,
    "OBJECT_SUBSCRIPTION": ELSEWHERE,
}
OBJECT_FIELDS = ("objtype", "rename_type", "object_type", "remove_type")
"""Where statements such as COMMENT, GRANT and ALTER … OWNER say what they change."""
# In a body or an argument, where the parser sees only text. Words in a value are suspected too: then a file that could
# run is named as not executed, and nothing else happens.
HIDDEN = {
    ROLES: (
        r"\b(?:create|alter|drop)\s+(?:role|user|group)\b|\b(?:reassign|drop)\s+owned\b|\bpg_(?:authid|auth_members)\b"
    ),
    DATABASES: r"\b(?:create|alter|drop|on)\s+database\b|\bpg_(?:database|db_role_setting)\b",
    TABLESPACES: r"\b(?:create|alter|drop|on)\s+tablespace\b",
    SETTINGS: r"\balter\s+system\b|\bpg_(?:reload_conf|rotate_logfile|switch_wal|promote)\b",
    ELSEWHERE: (
        r"\bdblink\w*|\b(?:create|alter|drop)\s+(?:subscription|server)\b|\bpg_\w*(?:replication_slot|_origin)\w*"
    ),
    "ends other sessions": r"\bpg_(?:terminate|cancel)_backend\b",
    "reads or writes files of the server": (
        r"\blo_(?:import|export)\b|\bpg_(?:read|stat|ls|file)_\w+|\bcopy\b[^;]*\b(?:to|from)\s+(?:program\b|')"
    ),
}
WITH_TEXT = ("do_stmt", "create_function_stmt", "select_stmt", "call_stmt", "execute_stmt", "prepare_stmt")
WRITES_ROWS = ("insert_stmt", "update_stmt", "delete_stmt", "merge_stmt")
PATTERNS = {reason: re.compile(pattern, re.IGNORECASE) for reason, pattern in HIDDEN.items()}
SHARED_LOCKS: LiteralString = """
select distinct relation::regclass::text from pg_locks
where pid = pg_backend_pid() and database = 0 and locktype = 'relation' and granted
and mode not in ('AccessShareLock', 'RowShareLock') order by 1
"""
# ROLE "x", TABLESPACE "x" and so on: the server lacks them, and the file is not at fault.
LACKING = re.compile(r'(?:role|tablespace|collation|language|foreign-data wrapper) "[^"]*".* does not exist')
INSUFFICIENT_PRIVILEGE, NOT_AVAILABLE, NO_FILE = "42501", "0A000", "58P01"


def reach_of(script: Sequence[Statement], *, repeatable: bool) -> str:
    """Why the statements of a file must not run in a scratch database, with the line; empty if they may."""
    for statement in script:
        if reason := _reach(statement):
            return f"line {statement.line} {reason}"
        if repeatable and statement.kind in MAY_COMMIT:
            return f"line {statement.line} commits by itself, so a change of the server could not be rolled back"
    return ""


def shared_changes(connection: Connection) -> str:
    """What the open transaction changes for the whole server, in words; empty if nothing.

    A change of a shared catalogue holds its lock until the end of the transaction.
    """
    changed = [name for (name,) in connection.execute(SHARED_LOCKS)]
    return f"changes {', '.join(changed)}, which belongs to the whole server" if changed else ""


def is_lack_of_server(sqlstate: str, message: str) -> bool:
    """Whether an error says that this server or this login lacks something that the files expect around them."""
    if sqlstate in (INSUFFICIENT_PRIVILEGE, NO_FILE):
        return True
    return bool(LACKING.match(message)) or (sqlstate == NOT_AVAILABLE and "is not available" in message)


def _reach(statement: Statement) -> str:
    if reason := KINDS.get(statement.kind):
        return reason
    tree = statement.tree
    fields = tree.DESCRIPTOR.fields_by_name
    for field in OBJECT_FIELDS:
        if field in fields and fields[field].enum_type and (reason := OBJECTS.get(enum_name(tree, field))):
            return reason
    if statement.kind in (*WITH_TEXT, *WRITES_ROWS):
        # What a table holds is no statement, but a function may be called in any.
        text = statement.text
        return next((reason for reason, pattern in PATTERNS.items() if pattern.search(text)), "")
    return ""

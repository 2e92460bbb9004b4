"""Statements that the owner of the schema may not run: a file with one has to run as the user that logs in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orderops.database.schema_owner import OWNER
from orderops.migrations.lint.context import LintContext
from orderops.migrations.lint.finding import Finding
from orderops.migrations.lint.syntax import lines, walk
from orderops.migrations.sql.directives import AS_LOGIN
from orderops.migrations.sql.locks import enum_name
from orderops.migrations.sql.parser import Statement

KINDS = {
    "create_role_stmt": "makes a role",
    "alter_role_stmt": "changes a role",
    "alter_role_set_stmt": "changes a role",
    "drop_role_stmt": "drops a role",
    "grant_role_stmt": "makes a role a member of another",
    "reassign_owned_stmt": "changes what another role owns",
    "drop_owned_stmt": "drops what another role owns",
    "createdb_stmt": "makes a database",
    "dropdb_stmt": "drops a database",
    "create_table_space_stmt": "makes a tablespace",
    "drop_table_space_stmt": "drops a tablespace",
    "alter_system_stmt": "changes a setting of the server",
    "create_event_trig_stmt": "makes an event trigger",
    "create_fdw_stmt": "makes a foreign-data wrapper",
    "create_foreign_server_stmt": "makes a foreign server",
    "create_subscription_stmt": "makes a subscription",
}
"""What needs a right that is given to users of the server, by PostgreSQL's pages of these commands."""
# "trusted = true" in the control files of PostgreSQL's contrib modules: whoever may create in the database installs
# them. The rest needs the master user, who is a member of rds_superuser.
TRUSTED = frozenset(
    [
        "bool_plperl",
        "btree_gin",
        "btree_gist",
        "citext",
        "cube",
        "dict_int",
        "fuzzystrmatch",
        "hstore",
        "intarray",
        "isn",
        "jsonb_plperl",
        "lo",
        "ltree",
        "pg_trgm",
        "pgcrypto",
        "plperl",
        "plpgsql",
        "pltcl",
        "seg",
        "tablefunc",
        "tcn",
        "tsm_system_rows",
        "tsm_system_time",
        "unaccent",
        "uuid-ossp",
    ]
)


def privilege_rules(context: LintContext) -> Iterator[Finding]:
    """Yield a finding for each statement that needs the user that logs in, in a file that runs as another role."""
    if context.head.owner or context.head.as_login or context.file.is_dump:
        return
    for statement in context.statements:
        if what := _needs(statement):
            why = f"this {what}, which {OWNER} may not: where it owns the schema, it runs the files"
            rewrite = lines("-- in a file of its own, with this in its head:", AS_LOGIN)
            yield context.finding("needs-session-user", statement, why, rewrite)


def _needs(statement: Statement) -> str:
    """What the statement does that the owner of the schema may not; empty if it may."""
    tree = statement.tree
    match statement.kind:
        case "create_extension_stmt" if tree.extname not in TRUSTED:
            return f"installs the extension {tree.extname}"
        case "create_publication_stmt" if tree.for_all_tables or (tree.pubobjects and _of_schemas(statement)):
            return "publishes tables that it does not name"
        case "alter_owner_stmt":
            return _given_to(tree.newowner)
        case "alter_table_stmt":
            for command in (node.alter_table_cmd for node in tree.cmds):
                if enum_name(command, "subtype") == "AT_ChangeOwner":
                    return _given_to(command.newowner)
    return KINDS.get(statement.kind, "")


def _of_schemas(statement: Statement) -> bool:
    kinds = {enum_name(node, "pubobjtype") for field, node in walk(statement.tree) if field == "publication_obj_spec"}
    return bool(kinds & {"PUBLICATIONOBJ_TABLES_IN_SCHEMA", "PUBLICATIONOBJ_TABLES_IN_CUR_SCHEMA"})


def _given_to(role: Any) -> str:
    """What an ALTER … OWNER TO does; empty if it gives to the role that runs it."""
    kind = enum_name(role, "roletype")
    if kind == "ROLESPEC_CSTRING" and role.rolename != OWNER:
        return f"gives an object to {role.rolename}"
    return "gives an object to the user that logs in" if kind == "ROLESPEC_SESSION_USER" else ""

"""Which locks a statement takes on tables, and how it has to be run.

Modes and conflicts are from PostgreSQL's documentation, 13.3.1 Table-Level Locks. A statement that is not listed here
still runs under lock_timeout; listing it only lets the lock wait look for blockers first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any

from orderops.frozen import Frozen, replace
from orderops.migrations.sql.parser import Statement

WEAKER = ("AccessShareLock", "RowShareLock", "RowExclusiveLock")
"""Modes that reads and writes of an application take."""


# REINDEX of a schema, the system catalogues or a database, by the parser's numbers (ReindexObjectType).
REINDEX_MANY = (3, 4, 5)


class Mode(StrEnum):
    """A lock mode that conflicts with others, as in pg_locks; weakest first."""

    SHARE_UPDATE_EXCLUSIVE = "ShareUpdateExclusiveLock"
    SHARE = "ShareLock"
    SHARE_ROW_EXCLUSIVE = "ShareRowExclusiveLock"
    EXCLUSIVE = "ExclusiveLock"
    ACCESS_EXCLUSIVE = "AccessExclusiveLock"

    @property
    def keeps_out(self) -> frozenset[str]:
        """The modes that conflict with it."""
        return KEEPS_OUT[self]

    @property
    def stops(self) -> str:
        """What an application cannot do while it is held."""
        if self is Mode.ACCESS_EXCLUSIVE:
            return "reads and writes"
        return "" if self is Mode.SHARE_UPDATE_EXCLUSIVE else "writes"


_SCHEMA_CHANGES = frozenset(mode.value for mode in Mode)
KEEPS_OUT = {
    Mode.SHARE_UPDATE_EXCLUSIVE: _SCHEMA_CHANGES,
    Mode.SHARE: (_SCHEMA_CHANGES | {"RowExclusiveLock"}) - {"ShareLock"},
    Mode.SHARE_ROW_EXCLUSIVE: _SCHEMA_CHANGES | {"RowExclusiveLock"},
    Mode.EXCLUSIVE: _SCHEMA_CHANGES | {"RowExclusiveLock", "RowShareLock"},
    Mode.ACCESS_EXCLUSIVE: _SCHEMA_CHANGES | set(WEAKER),
}


# The modes of LOCK TABLE by the parser's numbers (lockdefs.h).
LOCK_MODES = {
    4: Mode.SHARE_UPDATE_EXCLUSIVE,
    5: Mode.SHARE,
    6: Mode.SHARE_ROW_EXCLUSIVE,
    7: Mode.EXCLUSIVE,
    8: Mode.ACCESS_EXCLUSIVE,
}


class Lock(Frozen):
    """A lock on a table, or on an index and its table."""

    schema: str
    name: str
    mode: Mode
    linked: bool = False
    """Whether the tables that it references are locked as well."""

    @property
    def relation(self) -> str:
        """The relation with its schema, as spelled in the statement."""
        return f"{self.schema}.{self.name}" if self.schema else self.name


MAY_COMMIT = ("do_stmt", "call_stmt")
"""Kinds of statements whose bodies may end a transaction."""


class ExecutionMode(StrEnum):
    """How a statement has to be run."""

    PLAIN = "in a transaction"
    VALIDATE = "in a transaction, without a timeout: it reads a table and blocks no client"
    NON_TRANSACTIONAL = "in no transaction"
    COMMITS = "in no transaction, since it commits by itself; again from its beginning after an interruption"


def execution_mode(statement: Statement, *, repeatable: bool = False) -> ExecutionMode:
    """How a statement has to be run; `repeatable` is the directive of its file."""
    if repeatable and statement.kind in MAY_COMMIT:
        return ExecutionMode.COMMITS
    if is_non_transactional(statement):
        return ExecutionMode.NON_TRANSACTIONAL
    if statement.kind == "alter_table_stmt" and all(
        command == "AT_ValidateConstraint" for command in alter_commands(statement.tree)
    ):
        return ExecutionMode.VALIDATE
    return ExecutionMode.PLAIN


def is_non_transactional(statement: Statement) -> bool:
    """Whether PostgreSQL refuses it inside a transaction."""
    tree = statement.tree
    match statement.kind:
        case "index_stmt":
            return bool(tree.concurrent)
        case "drop_stmt":
            return bool(tree.concurrent)
        case "reindex_stmt":
            return "concurrently" in _options(tree.params) or tree.kind in REINDEX_MANY
        case "vacuum_stmt":
            return bool(tree.is_vacuumcmd)
        case "cluster_stmt":
            return not tree.HasField("relation")
        case "alter_table_stmt":
            return any(
                part.alter_table_cmd.HasField("def") and getattr(part.alter_table_cmd, "def").partition_cmd.concurrent
                for part in tree.cmds
            )
        case "alter_system_stmt" | "createdb_stmt" | "dropdb_stmt" | "create_table_space_stmt":
            return True
        case "drop_table_space_stmt" | "create_subscription_stmt" | "drop_subscription_stmt":
            return True
    return False


def alter_commands(tree: Any) -> list[str]:
    """The commands of an ALTER TABLE by the parser's names, such as AT_AddColumn."""
    return [enum_name(part.alter_table_cmd, "subtype") for part in tree.cmds]


def enum_name(message: Any, field: str) -> str:
    """The name of an enum value in the parser's output."""
    enum = message.DESCRIPTOR.fields_by_name[field].enum_type
    return str(enum.values_by_number[getattr(message, field)].name)


def locks_of(statement: Statement) -> list[Lock]:
    """The locks that a statement takes on relations that it names and that conflict with others'."""
    find = LOCKS.get(statement.kind)
    return list(dict.fromkeys(find(statement.tree))) if find else []


def _rename(tree: Any) -> Iterator[Lock]:
    if tree.HasField("relation"):
        index = enum_name(tree, "rename_type") == "OBJECT_INDEX"
        yield _on(tree.relation, Mode.SHARE_UPDATE_EXCLUSIVE if index else Mode.ACCESS_EXCLUSIVE)


def _relation(mode: Mode) -> Callable[[Any], Iterator[Lock]]:
    """For statements that take one mode on `relation`, if they have one."""

    def find(tree: Any) -> Iterator[Lock]:
        if tree.HasField("relation"):
            yield _on(tree.relation, mode)

    return find


def _policy(tree: Any) -> Iterator[Lock]:
    yield _on(tree.table, Mode.ACCESS_EXCLUSIVE)


def _view(tree: Any) -> Iterator[Lock]:
    if tree.replace:
        yield _on(tree.view, Mode.ACCESS_EXCLUSIVE)


def _sequence(tree: Any) -> Iterator[Lock]:
    yield _on(tree.sequence, Mode.SHARE_ROW_EXCLUSIVE)


def _statistics(tree: Any) -> Iterator[Lock]:
    yield from (_on(relation.range_var, Mode.SHARE_UPDATE_EXCLUSIVE) for relation in tree.relations)


def _publication(tree: Any) -> Iterator[Lock]:
    tables = [published.publication_obj_spec.pubtable for published in tree.pubobjects]
    yield from (_on(table.relation, Mode.SHARE_UPDATE_EXCLUSIVE) for table in tables if table.HasField("relation"))


def _index(tree: Any) -> Iterator[Lock]:
    yield _on(tree.relation, Mode.SHARE_UPDATE_EXCLUSIVE if tree.concurrent else Mode.SHARE)


def _truncate(tree: Any) -> Iterator[Lock]:
    yield from (_on(relation.range_var, Mode.ACCESS_EXCLUSIVE) for relation in tree.relations)


def _lock(tree: Any) -> Iterator[Lock]:
    if mode := LOCK_MODES.get(tree.mode):
        yield from (_on(relation.range_var, mode) for relation in tree.relations)


def _vacuum(tree: Any) -> Iterator[Lock]:
    mode = Mode.ACCESS_EXCLUSIVE if "full" in _options(tree.options) else Mode.SHARE_UPDATE_EXCLUSIVE
    yield from (_on(relation.vacuum_relation.relation, mode) for relation in tree.rels)


def _reindex(tree: Any) -> Iterator[Lock]:
    if tree.HasField("relation"):
        # On the table REINDEX takes SHARE, but ACCESS EXCLUSIVE on its indexes, which every query on the table locks.
        concurrently = "concurrently" in _options(tree.params)
        yield _on(tree.relation, Mode.SHARE_UPDATE_EXCLUSIVE if concurrently else Mode.ACCESS_EXCLUSIVE)


def _refresh(tree: Any) -> Iterator[Lock]:
    yield _on(tree.relation, Mode.EXCLUSIVE if tree.concurrent else Mode.ACCESS_EXCLUSIVE)


LIGHT = {
    "AT_ValidateConstraint",
    "AT_SetStatistics",
    "AT_SetOptions",
    "AT_ResetOptions",
    "AT_ClusterOn",
    "AT_DropCluster",
    "AT_AttachPartition",
    "AT_DetachPartitionFinalize",
}
"""ALTER TABLE commands that block neither reads nor writes."""
UNLINKING = {"AT_DropConstraint", "AT_DropColumn"}
"""Commands that may drop a foreign key, and with it triggers on the other table."""
HEAVY_OPTIONS = {
    "user_catalog_table",
    "security_barrier",
    "security_invoker",
    "check_option",
    "fastupdate",
    "gin_pending_list_limit",
    "buffering",
    "pages_per_range",
    "autosummarize",
}
"""Storage parameters whose change blocks reads."""
MIDDLE = {
    "AT_EnableTrig",
    "AT_EnableAlwaysTrig",
    "AT_EnableReplicaTrig",
    "AT_DisableTrig",
    "AT_EnableTrigAll",
    "AT_DisableTrigAll",
    "AT_EnableTrigUser",
    "AT_DisableTrigUser",
}


def _of_alter_table(tree: Any) -> Iterator[Lock]:
    parts = [command.alter_table_cmd for command in tree.cmds]
    for part in parts:
        value = getattr(part, "def")
        match enum_name(part, "subtype"):
            case "AT_AddConstraint":
                yield from _referenced([value])
            case "AT_AddColumn":
                yield from _referenced(value.column_def.constraints)
            case "AT_AttachPartition" | "AT_DetachPartition":
                yield _on(value.partition_cmd.name, Mode.ACCESS_EXCLUSIVE)
            case "AT_AddInherit":
                yield _on(value.range_var, Mode.SHARE_UPDATE_EXCLUSIVE)
    if parts:
        linked = any(enum_name(part, "subtype") in UNLINKING for part in parts)
        lock = _on(tree.relation, max(map(_mode_of_part, parts), key=list(Mode).index))
        yield replace(lock, linked=linked)


def _mode_of_part(part: Any) -> Mode:
    """The mode of one ALTER TABLE command; several together take the strongest."""
    name, value = enum_name(part, "subtype"), getattr(part, "def")
    if name in ("AT_SetRelOptions", "AT_ResetRelOptions"):
        heavy = HEAVY_OPTIONS & {option.def_elem.defname for option in value.list.items}
        return Mode.ACCESS_EXCLUSIVE if heavy else Mode.SHARE_UPDATE_EXCLUSIVE
    if name in LIGHT or (name == "AT_DetachPartition" and value.partition_cmd.concurrent):
        return Mode.SHARE_UPDATE_EXCLUSIVE
    if name in MIDDLE or (name == "AT_AddConstraint" and value.constraint.HasField("pktable")):
        return Mode.SHARE_ROW_EXCLUSIVE
    return Mode.ACCESS_EXCLUSIVE


def _of_create_table(tree: Any) -> Iterator[Lock]:
    for element in tree.table_elts:
        if element.HasField("column_def"):
            yield from _referenced(element.column_def.constraints)
        elif element.HasField("constraint") and element.constraint.HasField("pktable"):
            yield _on(element.constraint.pktable, Mode.SHARE_ROW_EXCLUSIVE)
    for parent in tree.inh_relations:
        partition = tree.HasField("partbound")
        yield _on(parent.range_var, Mode.ACCESS_EXCLUSIVE if partition else Mode.SHARE_UPDATE_EXCLUSIVE)


def _referenced(constraints: Any) -> Iterator[Lock]:
    for constraint in constraints:
        if constraint.constraint.HasField("pktable"):
            yield _on(constraint.constraint.pktable, Mode.SHARE_ROW_EXCLUSIVE)


def _of_comment(tree: Any) -> Iterator[Lock]:
    kind = enum_name(tree, "objtype")
    parts = [part.string.sval for part in tree.object.list.items]
    if kind == "OBJECT_COLUMN":
        parts = parts[:-1]
    elif kind not in COMMENTED:
        return
    yield Lock("".join(parts[:-1][-1:]), parts[-1], Mode.SHARE_UPDATE_EXCLUSIVE)


COMMENTED = ("OBJECT_TABLE", "OBJECT_INDEX", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_SEQUENCE", "OBJECT_FOREIGN_TABLE")
"""Kinds of objects that COMMENT locks."""


def _of_drop(tree: Any) -> Iterator[Lock]:
    dropped = enum_name(tree, "remove_type")
    for named in tree.objects:
        parts = [part.string.sval for part in named.list.items]
        match dropped:
            case "OBJECT_TABLE":
                yield Lock("".join(parts[:-1][-1:]), parts[-1], Mode.ACCESS_EXCLUSIVE, linked=True)
            case "OBJECT_VIEW" | "OBJECT_MATVIEW" | "OBJECT_SEQUENCE" | "OBJECT_FOREIGN_TABLE":
                yield Lock("".join(parts[:-1][-1:]), parts[-1], Mode.ACCESS_EXCLUSIVE)
            case "OBJECT_INDEX":
                mode = Mode.SHARE_UPDATE_EXCLUSIVE if tree.concurrent else Mode.ACCESS_EXCLUSIVE
                yield Lock("".join(parts[:-1][-1:]), parts[-1], mode)
            case "OBJECT_TRIGGER" | "OBJECT_RULE" | "OBJECT_POLICY":
                yield Lock("".join(parts[:-2][-1:]), parts[-2], Mode.ACCESS_EXCLUSIVE)


def _options(parameters: Any) -> set[str]:
    """Names of the options that are on."""
    off = ("off", "false", "0")
    return {
        option.def_elem.defname
        for option in parameters
        if not option.def_elem.HasField("arg")
        or str(option.def_elem.arg.string.sval or option.def_elem.arg.integer.ival) not in off
    }


def _on(relation: Any, mode: Mode) -> Lock:
    return Lock(relation.schemaname, relation.relname, mode)


LOCKS: dict[str, Callable[[Any], Iterator[Lock]]] = {
    "alter_table_stmt": _of_alter_table,
    "rename_stmt": _rename,
    "alter_object_schema_stmt": _relation(Mode.ACCESS_EXCLUSIVE),
    "rule_stmt": _relation(Mode.ACCESS_EXCLUSIVE),
    "create_policy_stmt": _policy,
    "alter_policy_stmt": _policy,
    "view_stmt": _view,
    "alter_seq_stmt": _sequence,
    "comment_stmt": _of_comment,
    "create_stats_stmt": _statistics,
    "create_publication_stmt": _publication,
    "alter_publication_stmt": _publication,
    "create_trig_stmt": _relation(Mode.SHARE_ROW_EXCLUSIVE),
    "index_stmt": _index,
    "create_stmt": _of_create_table,
    "drop_stmt": _of_drop,
    "truncate_stmt": _truncate,
    "lock_stmt": _lock,
    "vacuum_stmt": _vacuum,
    "cluster_stmt": _relation(Mode.ACCESS_EXCLUSIVE),
    "reindex_stmt": _reindex,
    "refresh_mat_view_stmt": _refresh,
}
"""How the locks of each kind of statement are found."""

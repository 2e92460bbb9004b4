"""Which locks a statement takes on tables, and which statements want a way of their own.

The modes and what they keep out are PostgreSQL's (documentation, 13.3.1 Table-Level Locks). A statement that is not
known here is run like any other, under lock_timeout: knowing it only lets us look before we ask.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from orderops.migrations.sql.parser import Statement

WEAKER = ("AccessShareLock", "RowShareLock", "RowExclusiveLock")
"""What reads and writes of an application take."""


class Mode(StrEnum):
    """A lock that keeps others out, as pg_locks names it; the strongest last."""

    SHARE_UPDATE_EXCLUSIVE = "ShareUpdateExclusiveLock"
    SHARE = "ShareLock"
    SHARE_ROW_EXCLUSIVE = "ShareRowExclusiveLock"
    EXCLUSIVE = "ExclusiveLock"
    ACCESS_EXCLUSIVE = "AccessExclusiveLock"

    @property
    def keeps_out(self) -> frozenset[str]:
        """The modes that cannot be held beside it."""
        return KEEPS_OUT[self]

    @property
    def stops(self) -> str:
        """What an application cannot do beside it."""
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


@dataclass(frozen=True)
class Lock:
    """A lock on a table, or on an index and its table."""

    schema: str
    name: str
    mode: Mode
    linked: bool = False
    """Whether the tables that it references are locked alike."""

    @property
    def relation(self) -> str:
        """The relation, as an operator names it."""
        return f"{self.schema}.{self.name}" if self.schema else self.name


class ExecutionMode(StrEnum):
    """How a statement has to be run."""

    PLAIN = "in a transaction"
    VALIDATE = "in a transaction, without a limit: it reads a table and keeps nobody out"
    NON_TRANSACTIONAL = "in no transaction"


def execution_mode(statement: Statement) -> ExecutionMode:
    """The way a statement goes; raises nothing."""
    if is_non_transactional(statement):
        return ExecutionMode.NON_TRANSACTIONAL
    if statement.kind == "alter_table_stmt" and all(
        command == "AT_ValidateConstraint" for command in alter_commands(statement.tree)
    ):
        return ExecutionMode.VALIDATE
    return ExecutionMode.PLAIN


def is_non_transactional(statement: Statement) -> bool:
    """Whether PostgreSQL refuses it inside of a transaction."""
    tree = statement.tree
    match statement.kind:
        case "index_stmt":
            return bool(tree.concurrent)
        case "drop_stmt":
            return bool(tree.concurrent)
        case "reindex_stmt":
            return "concurrently" in _options(tree.params) or tree.kind in (3, 4, 5)  # a schema, system or database
        case "vacuum_stmt":
            return bool(tree.is_vacuumcmd)
        case "cluster_stmt":
            return not tree.HasField("relation")
        case "alter_table_stmt":
            return any(
                each.alter_table_cmd.HasField("def") and getattr(each.alter_table_cmd, "def").partition_cmd.concurrent
                for each in tree.cmds
            )
        case "alter_system_stmt" | "createdb_stmt" | "dropdb_stmt" | "create_table_space_stmt":
            return True
        case "drop_table_space_stmt" | "create_subscription_stmt" | "drop_subscription_stmt":
            return True
    return False


def alter_commands(tree: Any) -> list[str]:
    """The parts of an ALTER TABLE, in the parser's words, such as AT_AddColumn."""
    return [enum_name(each.alter_table_cmd, "subtype") for each in tree.cmds]


def enum_name(message: Any, field: str) -> str:
    """The name of a value of the parser's."""
    enum = message.DESCRIPTOR.fields_by_name[field].enum_type
    return str(enum.values_by_number[getattr(message, field)].name)


def locks_of(statement: Statement) -> list[Lock]:
    """The locks that keep others out, on relations that a statement names."""
    return list(dict.fromkeys(_locks(statement)))


def _locks(statement: Statement) -> Iterator[Lock]:
    tree = statement.tree
    match statement.kind:
        case "alter_table_stmt":
            yield from _of_alter_table(tree)
        case "rename_stmt" if tree.HasField("relation"):
            index = enum_name(tree, "rename_type") == "OBJECT_INDEX"
            yield _on(tree.relation, Mode.SHARE_UPDATE_EXCLUSIVE if index else Mode.ACCESS_EXCLUSIVE)
        case "alter_object_schema_stmt" | "rule_stmt" if tree.HasField("relation"):
            yield _on(tree.relation, Mode.ACCESS_EXCLUSIVE)
        case "create_policy_stmt" | "alter_policy_stmt":
            yield _on(tree.table, Mode.ACCESS_EXCLUSIVE)
        case "view_stmt" if tree.replace:
            yield _on(tree.view, Mode.ACCESS_EXCLUSIVE)
        case "alter_seq_stmt":
            yield _on(tree.sequence, Mode.SHARE_ROW_EXCLUSIVE)
        case "comment_stmt":
            yield from _of_comment(tree)
        case "create_stats_stmt":
            yield from (_on(each.range_var, Mode.SHARE_UPDATE_EXCLUSIVE) for each in tree.relations)
        case "create_publication_stmt" | "alter_publication_stmt":
            tables = [each.publication_obj_spec.pubtable for each in tree.pubobjects]
            yield from (_on(each.relation, Mode.SHARE_UPDATE_EXCLUSIVE) for each in tables if each.HasField("relation"))
        case "create_trig_stmt":
            yield _on(tree.relation, Mode.SHARE_ROW_EXCLUSIVE)
        case "index_stmt":
            yield _on(tree.relation, Mode.SHARE_UPDATE_EXCLUSIVE if tree.concurrent else Mode.SHARE)
        case "create_stmt":
            yield from _of_create_table(tree)
        case "drop_stmt":
            yield from _of_drop(tree)
        case "truncate_stmt":
            yield from (_on(each.range_var, Mode.ACCESS_EXCLUSIVE) for each in tree.relations)
        case "lock_stmt":
            strong = {
                4: Mode.SHARE_UPDATE_EXCLUSIVE,
                5: Mode.SHARE,
                6: Mode.SHARE_ROW_EXCLUSIVE,
                7: Mode.EXCLUSIVE,
                8: Mode.ACCESS_EXCLUSIVE,
            }
            if tree.mode in strong:
                yield from (_on(each.range_var, strong[tree.mode]) for each in tree.relations)
        case "vacuum_stmt":
            full = "full" in _options(tree.options)
            mode = Mode.ACCESS_EXCLUSIVE if full else Mode.SHARE_UPDATE_EXCLUSIVE
            yield from (_on(each.vacuum_relation.relation, mode) for each in tree.rels)
        case "cluster_stmt" if tree.HasField("relation"):
            yield _on(tree.relation, Mode.ACCESS_EXCLUSIVE)
        case "reindex_stmt" if tree.HasField("relation"):
            # on a table it is SHARE, and ACCESS EXCLUSIVE on its indexes, which every query on the table locks
            concurrently = "concurrently" in _options(tree.params)
            yield _on(tree.relation, Mode.SHARE_UPDATE_EXCLUSIVE if concurrently else Mode.ACCESS_EXCLUSIVE)
        case "refresh_mat_view_stmt":
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
"""Parts of ALTER TABLE that let reads and writes pass."""
UNLINKING = {"AT_DropConstraint", "AT_DropColumn"}
"""Parts that may take a foreign key away, and with it triggers on the other table."""
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
"""What WITH (…) may say, and nobody can read beside its change."""
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
    parts = [each.alter_table_cmd for each in tree.cmds]
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
    """What one part of an ALTER TABLE takes on the table; together they take the strongest."""
    name, value = enum_name(part, "subtype"), getattr(part, "def")
    if name in ("AT_SetRelOptions", "AT_ResetRelOptions"):
        heavy = HEAVY_OPTIONS & {each.def_elem.defname for each in value.list.items}
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
    for each in constraints:
        if each.constraint.HasField("pktable"):
            yield _on(each.constraint.pktable, Mode.SHARE_ROW_EXCLUSIVE)


def _of_comment(tree: Any) -> Iterator[Lock]:
    kind = enum_name(tree, "objtype")
    parts = [part.string.sval for part in tree.object.list.items]
    if kind == "OBJECT_COLUMN":
        parts = parts[:-1]
    elif kind not in COMMENTED:
        return
    yield Lock("".join(parts[:-1][-1:]), parts[-1], Mode.SHARE_UPDATE_EXCLUSIVE)


COMMENTED = ("OBJECT_TABLE", "OBJECT_INDEX", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_SEQUENCE", "OBJECT_FOREIGN_TABLE")
"""Kinds that are locked to be commented on."""


def _of_drop(tree: Any) -> Iterator[Lock]:
    dropped = enum_name(tree, "remove_type")
    for each in tree.objects:
        parts = [part.string.sval for part in each.list.items]
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
    """The names of options that are on."""
    off = ("off", "false", "0")
    return {
        each.def_elem.defname
        for each in parameters
        if not each.def_elem.HasField("arg")
        or str(each.def_elem.arg.string.sval or each.def_elem.arg.integer.ival) not in off
    }


def _on(relation: Any, mode: Mode) -> Lock:
    return Lock(relation.schemaname, relation.relname, mode)

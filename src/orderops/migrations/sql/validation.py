"""What cannot be carried out, told before anything is: each refusal names the file, the line and the way round."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from orderops.errors import UsageError
from orderops.migrations.sql.batches import check_batch
from orderops.migrations.sql.directives import is_directive
from orderops.migrations.sql.files import SqlFile, places
from orderops.migrations.sql.locks import enum_name, is_non_transactional, locks_of
from orderops.migrations.sql.parser import Statement, comments, read_script

OURS = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout", "transaction_timeout")
"""Settings by which nobody waits for long."""
WHO = ("role", "session_authorization")
UTF_8 = ("utf8", "utf-8", "unicode")
OFF = ("off", "false", "no", "0")
LEDGER = "orderops"
SURVIVING_A_CUT = ("index_stmt", "drop_stmt", "reindex_stmt", "vacuum_stmt", "alter_table_stmt")
"""Kinds of which can be seen, or does not matter, whether they were done."""
SETTING = ("variable_set_stmt", "do_stmt", "call_stmt", "select_stmt", "execute_stmt")
"""Kinds that set something, or run what may do so."""


@cache
def checked(file: SqlFile) -> Sequence[Statement]:
    """The statements of a file that can be carried out, found out once; raises UsageError."""
    script = read_script(file)
    for statement in script:
        _check(file, statement)
    _check_directives(file, script)
    if file.head.batch:
        check_batch(file, script)
    return script


def checked_forwards(file: SqlFile) -> Sequence[Statement]:
    """The same for a file that has to do something."""
    script = checked(file)
    if not script:
        raise UsageError(f"{file.path} holds no statement", "write it, or delete it together with its U file")
    return script


def _check_directives(file: SqlFile, script: Sequence[Statement]) -> None:
    """Only the head is read for them."""
    if not script or "orderops" not in file.text[script[0].position :].lower():
        return
    for comment, position in comments(file):
        if position > script[0].position and is_directive(comment.strip()):
            line, column = places(file.text, position)
            raise UsageError(
                f"{file.path}:{line}:{column}: '{comment.strip()}' stands after the first statement",
                "put it into the head of the file",
            )


def _check(file: SqlFile, statement: Statement) -> None:
    place = f"{file.path}:{statement.line}:{statement.column}"
    match statement.kind:
        case "transaction_stmt":
            word = statement.text.split()[0].rstrip(";").upper()
            raise UsageError(
                f"{place}: {word}: a file opens and ends no transaction of its own, it runs in one",
                "take it out; for one transaction a statement: -- orderops: no-transaction",
            )
        case "variable_set_stmt":
            _check_setting(statement, place)
            _check_lasting(file, statement, place)
        case _ if _makes_temporary(statement):
            _check_lasting(file, statement, place)
        case "discard_stmt" if enum_name(statement.tree, "target") == "DISCARD_ALL":
            raise UsageError(f"{place}: DISCARD ALL would let go of the locks of this run", "take it out")
        case "copy_stmt":
            _check_copy(statement, place)
    if _changes_the_ledger(statement):
        raise UsageError(
            f"{place}: {statement.begins}\nthe schema {LEDGER} holds the ledger, and no migration changes it",
            "take it out; to put right what the ledger says: orderops migrate repair",
        )
    if is_non_transactional(statement):
        _check_alone(file, statement, place)


def _check_lasting(file: SqlFile, statement: Statement, place: str) -> None:
    """A file that is gone on with after a cut begins in a new session, which knows nothing of the one before."""
    if file.head.no_transaction:
        raise UsageError(
            f"{place}: {statement.begins}\nwith no-transaction nothing that a session remembers outlives its statement",
            "name schemas in full, and keep what belongs together in a file with a transaction",
        )


def _check_setting(statement: Statement, place: str) -> None:
    tree = statement.tree
    name = tree.name.lower()
    value = tree.args[0].a_const.sval.sval.lower() if tree.args else ""
    if name in OURS:
        hint = {
            "lock_timeout": "-- orderops: lock-timeout 2s",
            "statement_timeout": "-- orderops: statement-timeout 1h",
        }
        said = f"say it in the head: {hint[name]}" if name in hint else "take it out"
        raise UsageError(f"{place}: {name} is set by orderops", said)
    if name in WHO:
        raise UsageError(
            f"{place}: {statement.begins}\none role runs the whole file", "say it in the head: -- orderops: owner ROLE"
        )
    if enum_name(tree, "kind") == "VAR_RESET_ALL":
        raise UsageError(
            f"{place}: RESET ALL would take away the limits under which a migration runs",
            "reset by name, or take it out: what a file sets ends with it",
        )
    if name == "client_encoding" and value and value not in UTF_8:
        raise UsageError(f"{place}: a file is UTF-8 and is sent as that, not as {value}", "take it out")
    if name == "standard_conforming_strings" and value in OFF:
        raise UsageError(f"{place}: a file is read with {name} = on", "take it out; with a backslash: E'a\\nb'")


def _check_copy(statement: Statement, place: str) -> None:
    tree = statement.tree
    if tree.filename or tree.is_program:
        raise UsageError(f"{place}: COPY reads or writes a file of the server's", "use COPY … FROM STDIN")
    if not tree.is_from:
        raise UsageError(f"{place}: COPY … TO STDOUT gives data to nobody here", "take it out")
    if statement.data is None:
        raise UsageError(
            f"{place}: COPY … FROM STDIN without data behind it",
            r"the data begins on the next line and ends with a line \.",
        )


def _changes_the_ledger(statement: Statement) -> bool:
    tree = statement.tree
    schemas = {lock.schema for lock in locks_of(statement)}
    schemas.add(getattr(getattr(tree, "relation", None), "schemaname", ""))
    match statement.kind:
        case "drop_stmt" if enum_name(tree, "remove_type") == "OBJECT_SCHEMA":
            schemas |= {object.string.sval for object in tree.objects}
        case "rename_stmt" if enum_name(tree, "rename_type") == "OBJECT_SCHEMA":
            schemas |= {tree.subname, tree.newname}
        case "create_schema_stmt":
            schemas.add(tree.schemaname)
    return LEDGER in schemas


def _check_alone(file: SqlFile, statement: Statement, place: str) -> None:
    tree = statement.tree
    if statement.kind not in SURVIVING_A_CUT:
        raise UsageError(
            f"{place}: {statement.begins}\nafter a cut nobody could tell whether this was done",
            "run it by hand: a migration is for what is inside of one database",
        )
    if not file.head.no_transaction:
        raise UsageError(
            f"{place}: {statement.begins}\nPostgreSQL runs this in no transaction, and a file runs in one",
            "say it in the head of the file: -- orderops: no-transaction",
        )
    if (statement.kind == "reindex_stmt" and not tree.HasField("relation")) or (
        statement.kind == "vacuum_stmt" and not tree.rels
    ):
        raise UsageError(
            f"{place}: {statement.begins}\nthis takes every table in turn, and nobody can tell whom it keeps out when",
            "name the tables, a statement each",
        )
    if statement.kind == "index_stmt" and not tree.idxname:
        raise UsageError(
            f"{place}: the index has no name: one that was left half built could not be told from others",
            f"name it: CREATE INDEX CONCURRENTLY {tree.relation.relname}_… ON {tree.relation.relname} …",
        )
    if statement.kind == "drop_stmt" and len(tree.objects) > 1:
        raise UsageError(f"{place}: DROP INDEX CONCURRENTLY takes one index", "write one statement for each")


def leaves_settings(script: Sequence[Statement]) -> bool:
    """Whether a statement of a file sets or makes what outlives it, or may do so."""
    return any(each.kind in SETTING or "set_config" in each.text or _makes_temporary(each) for each in script)


def _makes_temporary(statement: Statement) -> bool:
    """Temporary tables live as long as a session, and ours sees many files."""
    match statement.kind:
        case "create_stmt" | "view_stmt":
            relation = statement.tree.relation if statement.kind == "create_stmt" else statement.tree.view
        case "create_seq_stmt":
            relation = statement.tree.sequence
        case "create_table_as_stmt":
            relation = statement.tree.into.rel
        case _:
            return False
    return bool(relation.relpersistence == "t")

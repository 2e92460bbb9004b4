"""Checks of migration files before anything runs: each error names the file, the line and a fix."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from orderops.database.catalog import LEDGER_SCHEMA
from orderops.errors import UsageError
from orderops.migrations.sql.batches import check_batch
from orderops.migrations.sql.directives import Head, is_directive
from orderops.migrations.sql.files import SqlFile, places
from orderops.migrations.sql.locks import MAY_COMMIT, enum_name, is_non_transactional, locks_of
from orderops.migrations.sql.parser import MANAGED_SETTINGS, Statement, comments, read_script

ROLE_SETTINGS = ("role", "session_authorization")
UTF_8 = ("utf8", "utf-8", "unicode")
OFF = ("off", "false", "no", "0")
SAFE_TO_RESUME = ("index_stmt", "drop_stmt", "reindex_stmt", "vacuum_stmt", "alter_table_stmt")
# After an interruption the catalogue shows whether these are done, or repeating them is harmless.


# Plan, data-loss check and run each need the statements. Bounded, since an entry keeps the text of its file.
@lru_cache(maxsize=256)
def checked(file: SqlFile) -> Sequence[Statement]:
    """Parse and check a file, once; raises UsageError if apply could not run it."""
    return check_script(file, read_script(file))


def check_script(file: SqlFile, whole: Sequence[Statement]) -> Sequence[Statement]:
    """Check the statements of a file, and return those to run; raises UsageError if apply could not run them."""
    script = without_own_transaction(whole, file.head)
    for statement in script:
        _check(file, statement)
    _check_directives(file, whole)
    if file.head.batch:
        check_batch(file, script)
    return script


def without_own_transaction(script: Sequence[Statement], head: Head) -> Sequence[Statement]:
    """Leave out a BEGIN at the beginning and a COMMIT at the end: a file is one transaction anyway."""
    if head.no_transaction or len(script) < 2:
        return script
    first, last = script[0], script[-1]
    begins = _controls(first, "TRANS_STMT_BEGIN", "TRANS_STMT_START") and not first.tree.options
    ends = _controls(last, "TRANS_STMT_COMMIT") and not last.tree.chain
    return script[1:-1] if begins and ends else script


def _controls(statement: Statement, *kinds: str) -> bool:
    return statement.kind == "transaction_stmt" and enum_name(statement.tree, "kind") in kinds


def _check_directives(file: SqlFile, script: Sequence[Statement]) -> None:
    # Directives after the first statement are not read, and ignoring them silently would be dangerous.
    if not script or "orderops" not in file.text[script[0].position :].lower():
        return
    for comment, position in comments(file):
        if position > script[0].position and is_directive(comment.strip()):
            line, column = places(file.text, position)
            raise UsageError(
                f"{file.path}:{line}:{column}: '{comment.strip()}' is after the first statement",
                "move it to the head of the file",
            )


def _check(file: SqlFile, statement: Statement) -> None:
    place = f"{file.path}:{statement.line}:{statement.column}"
    match statement.kind:
        case "transaction_stmt":
            word = statement.text.split()[0].rstrip(";").upper()
            raise UsageError(
                f"{place}: {word}: a file already runs in a transaction and cannot begin or end one",
                "remove it; for one transaction per statement: -- orderops: no-transaction",
            )
        case "variable_set_stmt":
            _check_setting(statement, place)
            _check_lasting(file, statement, place)
        case _ if _makes_temporary(statement):
            _check_lasting(file, statement, place)
        case "discard_stmt" if enum_name(statement.tree, "target") == "DISCARD_ALL":
            raise UsageError(f"{place}: DISCARD ALL would release the locks of this run", "remove it")
        case "copy_stmt":
            _check_copy(statement, place)
    if _changes_the_ledger(statement):
        raise UsageError(
            f"{place}: {statement.begins}\nthe schema {LEDGER_SCHEMA} holds the ledger: no migration may change it",
            f"leave it out of the dump: pg_dump --exclude-schema={LEDGER_SCHEMA}"
            if file.is_dump
            else "remove it; to correct the ledger: orderops migrate repair",
        )
    if is_non_transactional(statement):
        _check_alone(file, statement, place)
    if file.head.repeatable and statement.kind in MAY_COMMIT and file.name.startswith("U"):
        raise UsageError(
            f"{place}: {statement.begins}\nwhat commits by itself cannot be rolled back if it removes data, so an undo"
            " cannot check it",
            "write the undo in plain statements, or in batches: -- orderops: batch 5000 by id",
        )


def _check_lasting(file: SqlFile, statement: Statement, place: str) -> None:
    # A resumed file runs in a new session, without the settings and temporary tables of the interrupted one.
    if file.head.no_transaction:
        raise UsageError(
            f"{place}: {statement.begins}\nwith no-transaction, session settings are lost after their statement",
            "qualify names with their schema, or use a file with a transaction",
        )


def _check_setting(statement: Statement, place: str) -> None:
    tree = statement.tree
    name = tree.name.lower()
    value = tree.args[0].a_const.sval.sval.lower() if tree.args else ""
    if name in MANAGED_SETTINGS:
        hint = {
            "lock_timeout": "-- orderops: lock-timeout 2s",
            "statement_timeout": "-- orderops: statement-timeout 1h",
        }
        advice = f"set it in the head: {hint[name]}" if name in hint else "remove it"
        raise UsageError(f"{place}: {name} is set by orderops", advice)
    if name in ROLE_SETTINGS:
        raise UsageError(
            f"{place}: {statement.begins}\na file runs as one role", "set it in the head: -- orderops: owner ROLE"
        )
    if enum_name(tree, "kind") == "VAR_RESET_ALL":
        raise UsageError(
            f"{place}: RESET ALL would remove the timeouts of the migration",
            "reset settings by name, or remove it: settings of a file end with the file",
        )
    # psycopg sends the text as UTF-8; with another client_encoding the server would misread it.
    if name == "client_encoding" and value and value not in UTF_8:
        raise UsageError(f"{place}: a file is sent as UTF-8, not as {value}", "remove it")
    if name == "standard_conforming_strings" and value in OFF:
        raise UsageError(f"{place}: a file is read with {name} = on", "remove it; with a backslash: E'a\\nb'")


def _check_copy(statement: Statement, place: str) -> None:
    tree = statement.tree
    if tree.filename or tree.is_program:
        raise UsageError(f"{place}: COPY reads or writes a file on the server", "use COPY … FROM STDIN")
    if not tree.is_from:
        raise UsageError(f"{place}: COPY … TO STDOUT has no receiver in a migration", "remove it")
    if statement.data is None:
        raise UsageError(
            f"{place}: COPY … FROM STDIN has no data",
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
    return LEDGER_SCHEMA in schemas


def _check_alone(file: SqlFile, statement: Statement, place: str) -> None:
    tree = statement.tree
    if statement.kind not in SAFE_TO_RESUME:
        raise UsageError(
            f"{place}: {statement.begins}\nafter an interruption it would be unknown whether this was done",
            "run it by hand: a migration changes one database only",
        )
    if not file.head.no_transaction:
        raise UsageError(
            f"{place}: {statement.begins}\nPostgreSQL cannot run this in a transaction, and a file runs in one",
            "add to the head of the file: -- orderops: no-transaction",
        )
    if (statement.kind == "reindex_stmt" and not tree.HasField("relation")) or (
        statement.kind == "vacuum_stmt" and not tree.rels
    ):
        raise UsageError(
            f"{place}: {statement.begins}\nthis locks every table in turn, at times that cannot be predicted",
            "name the tables, in one statement for each",
        )
    if statement.kind == "index_stmt" and not tree.idxname:
        raise UsageError(
            f"{place}: the index has no name, so an invalid one left by an interruption could not be found",
            f"name it: CREATE INDEX CONCURRENTLY {tree.relation.relname}_… ON {tree.relation.relname} …",
        )
    # PostgreSQL rejects several; the check gives the position in the file.
    if statement.kind == "drop_stmt" and len(tree.objects) > 1:
        raise UsageError(f"{place}: DROP INDEX CONCURRENTLY takes one index", "write one statement for each")


def _makes_temporary(statement: Statement) -> bool:
    # Temporary objects live as long as the session, which runs many files.
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

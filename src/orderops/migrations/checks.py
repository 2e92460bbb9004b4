"""What cannot be carried out, told before anything is: each refusal names the file, the line and the way round."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from orderops.errors import UsageError
from orderops.migrations.batches import check_batch
from orderops.migrations.files import File
from orderops.migrations.locks import runs_alone
from orderops.migrations.script import Statement, read_script

OURS = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout", "transaction_timeout")


@cache
def checked(file: File) -> Sequence[Statement]:
    """The statements of a file that can be carried out, found out once; raises UsageError."""
    script = read_script(file)
    for statement in script:
        _check(file, statement)
    if file.head.batch:
        check_batch(file, script)
    return script


def checked_forwards(file: File) -> Sequence[Statement]:
    """The same for a file that has to do something."""
    script = checked(file)
    if not script:
        raise UsageError(f"{file.path} holds no statement", "write it, or delete it together with its U file")
    return script


def _check(file: File, statement: Statement) -> None:
    place = f"{file.path}:{statement.line}:{statement.column}"
    if statement.kind == "transaction_stmt":
        word = statement.text.split()[0].rstrip(";").upper()
        raise UsageError(
            f"{place}: {word}: a file opens and ends no transaction of its own, it runs in one",
            "take it out; for one transaction a statement: -- orderops: no-transaction",
        )
    if statement.kind == "variable_set_stmt" and statement.tree.name.lower() in OURS:
        directive = "lock-timeout" if "lock" in statement.tree.name.lower() else "statement-timeout"
        raise UsageError(
            f"{place}: {statement.tree.name} is set by orderops", f"say it in the head: -- orderops: {directive} 2s"
        )
    if statement.kind == "copy_stmt" and (statement.tree.filename or statement.tree.is_program):
        raise UsageError(f"{place}: COPY reads or writes a file of the server's", "use COPY … FROM STDIN")
    if statement.kind == "copy_stmt" and not statement.tree.is_from:
        raise UsageError(f"{place}: COPY … TO STDOUT gives data to nobody here", "take it out")
    if statement.kind == "copy_stmt" and statement.data is None:
        raise UsageError(f"{place}: COPY … FROM STDIN without data behind it", r"end the data with a line \.")
    if runs_alone(statement):
        _check_alone(file, statement, place)


def _check_alone(file: File, statement: Statement, place: str) -> None:
    tree = statement.tree
    if not file.head.no_transaction:
        raise UsageError(
            f"{place}: {statement.begins}\nPostgreSQL runs this in no transaction, and a file runs in one",
            "say it in the head of the file: -- orderops: no-transaction",
        )
    if statement.kind == "index_stmt" and not tree.idxname:
        raise UsageError(
            f"{place}: the index has no name: one that was left half built could not be told from others",
            f"name it: CREATE INDEX CONCURRENTLY {tree.relation.relname}_… ON {tree.relation.relname} …",
        )
    if statement.kind == "drop_stmt" and len(tree.objects) > 1:
        raise UsageError(f"{place}: DROP INDEX CONCURRENTLY takes one index", "write one statement for each")
    if statement.kind not in ("index_stmt", "drop_stmt", "reindex_stmt", "vacuum_stmt", "alter_table_stmt"):
        raise UsageError(
            f"{place}: {statement.begins}\nafter a cut nobody could tell whether this was done",
            "run it by hand: a migration is for what is inside of one database",
        )


def leaves_settings(script: Sequence[Statement]) -> bool:
    """Whether a statement of a file sets what outlives it."""
    return any(each.kind == "variable_set_stmt" or "set_config" in each.text for each in script)

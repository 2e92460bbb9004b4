"""The lint rules: severity and one sentence about each.

Rules of squawk keep their names, so its documentation and its ignore comments apply. A squawk rule that is not here
is either left out on purpose (`squawk.LEFT_OUT`) or new, and then a warning.
"""

from __future__ import annotations

from orderops.frozen import Frozen
from orderops.migrations.lint.finding import Level


class LintRule(Frozen):
    """Severity and description of a rule."""

    level: Level
    about: str


def rule(name: str) -> LintRule | None:
    """Find a rule by its name; None for one that only a newer squawk has."""
    if name in ERRORS:
        return LintRule(Level.ERROR, ERRORS[name])
    if name in WARNINGS:
        return LintRule(Level.WARNING, WARNINGS[name])
    return LintRule(Level.NOTE, NOTES[name]) if name in NOTES else None


ERRORS = {
    # ours
    "syntax-error": "PostgreSQL's own parser cannot read the file.",
    "wrong-directive": "A directive in the head is unknown or has an invalid value.",
    "cannot-be-applied": "apply would reject the file before it starts.",
    "batch-impossible": "batch is for a file that holds exactly one UPDATE or DELETE.",
    "transaction-control": "orderops begins and ends the transaction of a file.",
    "timeout-in-file": "orderops sets the timeouts of every statement; a file sets its own in the head.",
    "needs-no-transaction": "PostgreSQL cannot run the statement in a transaction, and a file runs in one.",
    "update-without-where": "One UPDATE of a whole table locks every row until its end.",
    "delete-without-where": "One DELETE of a whole table locks every row until its end.",
    "truncate": "TRUNCATE removes every row at once, and blocks reads and writes.",
    "vacuum-full": "VACUUM FULL rewrites the table and blocks reads and writes.",
    "cluster": "CLUSTER rewrites the table and blocks reads and writes.",
    "lock-table": "LOCK TABLE holds its lock until the end of the transaction.",
    "volatile-default": "A volatile default rewrites the table and blocks reads and writes.",
    "adding-field-with-check": "A CHECK on a new column reads the whole table and blocks reads and writes.",
    "adding-field-of-domain": "A new column of a domain that refuses values rewrites the table.",
    "schema-and-data-mixed": "A lock on a table is held while the same transaction changes rows.",
    "rewriting-table": "The statement writes the whole table anew and blocks reads and writes.",
    "attaching-partition": "ATTACH PARTITION reads the whole new partition, which it locks against reads and writes.",
    "refresh-materialized-view": "REFRESH MATERIALIZED VIEW without CONCURRENTLY blocks reads of the view.",
    "enabling-row-security": "Row security without a policy hides every row from the running release.",
    "enum-value-in-transaction": "PostgreSQL refuses a new enum value in the transaction that adds it.",
    "apply-fails": "A server refuses the V file, in a scratch database or after its own undo.",
    "undo-fails": "A server refuses the U file in a scratch database.",
    "undo-incomplete": "The U file leaves what the V file creates, or does not restore what it removes.",
    "undo-removes-more": "The U file removes what the V file did not create.",
    "version-gap": "A version is missing: a branch is not merged, or a file is lost.",
    # squawk's
    "adding-required-field": "INSERTs of the running release do not name the new column and fail.",
    "adding-field-with-default": "A volatile default rewrites the table.",
    "adding-foreign-key-constraint": "A foreign key is checked for every row while writes to both tables are blocked.",
    "constraint-missing-not-valid": "A constraint is checked for every row under a strong lock.",
    "disallowed-unique-constraint": "The index of a UNIQUE constraint is built while reads and writes are blocked.",
    "adding-serial-primary-key-field": "The index of a primary key is built while reads and writes are blocked.",
    "adding-not-nullable-field": "SET NOT NULL reads the whole table and blocks reads and writes.",
    "changing-column-type": "Most type changes rewrite the table and block reads and writes.",
    "renaming-column": "The running release uses the old name.",
    "renaming-table": "The running release uses the old name.",
    "ban-drop-column": "The running release may still use it, and no undo restores the values.",
    "ban-drop-table": "The running release may still use it, and no undo restores the rows.",
    "ban-drop-database": "All data is deleted at once.",
    "ban-drop-schema": "Its tables may still be used, and no undo restores the rows.",
    "require-concurrent-index-creation": "CREATE INDEX blocks writes while it builds.",
    "require-concurrent-index-deletion": "DROP INDEX blocks reads and writes, also while it waits for its lock.",
    "require-concurrent-reindex": "REINDEX blocks writes while it builds, and reads that would use the index.",
    "require-concurrent-partition-detach": "DETACH PARTITION blocks reads and writes of the whole table.",
    "ban-duplicate-column-assignments": "PostgreSQL rejects a column that is set twice.",
}
WARNINGS = {
    # ours
    "needless-no-transaction": "Without a transaction, a failure in the middle leaves the file partly applied.",
    "needs-session-user": "The owner of the schema, which runs the file, may not do this; the master user may.",
    "locks-pile-up": "Locks on several tables in one transaction are held until the last one is acquired.",
    "disabling-trigger": "What the trigger or rule does is no longer done.",
    "prefer-jsonb": "json has no equality, so queries that compare whole rows fail.",
    "unreadable-statement": "A block builds a statement from parts, and lint cannot read it.",
    "version-empty": "A V file without a statement changes nothing; its version is recorded as applied.",
    "undo-empty": "An empty undo only forgets that the version was applied.",
    "undo-named-otherwise": "The two files of a version have different descriptions.",
    "version-digits": "Versions with different numbers of digits are listed out of order.",
    # squawk's
    "ban-drop-not-null": "The running release may read NULL where it never did.",
    "ban-drop-constraint": "Invalid rows are no longer rejected, and an ON CONFLICT that names it fails.",
    "ban-drop-default": "INSERTs of the running release may need the default.",
    "ban-drop-view": "The running release may still read it.",
    "ban-drop-function": "The running release, a trigger or a default may still call it.",
    "ban-drop-type": "A column or the running release may still use it.",
    "ban-drop-domain": "A column or the running release may still use it.",
    "ban-drop-sequence": "INSERTs may still use it.",
    "ban-drop-trigger": "What the trigger does is no longer done.",
    "ban-drop-extension": "Its functions and types are dropped with it.",
    "renaming-object": "The running release uses the old name.",
    "ban-set-schema": "The running release expects it in the old schema.",
    "ban-alter-identity": "INSERTs of the running release may set the column, or need its identity.",
    "ban-drop-generated-expression": "The running release expects the column to be computed.",
    "ban-create-domain-with-constraint": "A domain constraint cannot be validated without blocking clients.",
    "ban-alter-domain-with-add-constraint": "A domain constraint cannot be validated without blocking clients.",
    "prefer-bigint-over-int": "A 32-bit key ends at 2,147,483,647; after that every INSERT fails.",
    "prefer-bigint-over-smallint": "A 16-bit key ends at 32,767; after that every INSERT fails.",
    "prefer-timestamp-tz": "A timestamp without time zone drops the offset of its input.",
    "prefer-identity": "The sequence of a serial column needs a grant of its own.",
    "ban-char-field": "char(n) pads with blanks.",
    "identifier-too-long": "PostgreSQL truncates names after 63 bytes, so two may become equal.",
    "unused-ignore": "An ignore comment that names no rule has no effect.",
}
NOTES = {
    "not-executed": "The file was not run in the scratch database, so nothing is proven about it.",
}

"""Every rule: how bad it is, and the idea of it in a sentence.

Names of squawk's rules are squawk's, so that its documentation and its ignore comments hold for them. What squawk has
to say and is not here is either left out on purpose (`lint_squawk.LEFT_OUT`) or new, and then a warning.
"""

from __future__ import annotations

from dataclasses import dataclass

from orderops.migrations.lint.finding import Level


@dataclass(frozen=True)
class LintRule:
    """What a rule is about."""

    level: Level
    about: str


def rule(name: str) -> LintRule | None:
    """A rule by its name; None for one that only a newer squawk knows."""
    if name in ERRORS:
        return LintRule(Level.ERROR, ERRORS[name])
    return LintRule(Level.WARNING, WARNINGS[name]) if name in WARNINGS else None


ERRORS = {
    # ours
    "syntax-error": "PostgreSQL's own parser does not read the file.",
    "wrong-directive": "A directive in the head that orderops does not know, or with a wrong value.",
    "cannot-be-applied": "What apply refuses before it begins.",
    "batch-impossible": "batch is for a file that holds exactly one UPDATE or DELETE.",
    "transaction-control": "orderops opens and ends the transaction of a file.",
    "timeout-in-file": "orderops sets the time limits of every statement; a file asks for its own in the head.",
    "needs-no-transaction": "PostgreSQL refuses the statement in a transaction, and a file runs in one.",
    "update-without-where": "One UPDATE of a whole table holds every row of it until its end.",
    "delete-without-where": "One DELETE of a whole table holds every row of it until its end.",
    "truncate": "TRUNCATE takes every row at once, and keeps everybody out of the table.",
    "vacuum-full": "VACUUM FULL writes the table anew while nobody may read it.",
    "cluster": "CLUSTER writes the table anew while nobody may read it.",
    "lock-table": "A lock taken by hand is held until the end of the transaction.",
    "volatile-default": "A default that differs from row to row writes the table anew while nobody may read it.",
    "adding-field-with-check": "A CHECK that comes with a column reads the whole table while nobody else may.",
    "schema-and-data-mixed": "A lock on a table is held for as long as rows are changed in the same transaction.",
    "undo-incomplete": "The U file leaves behind what the V file makes, or does not bring back what it removes.",
    "undo-removes-more": "The U file removes what the V file did not make.",
    "version-gap": "A version is missing, so a branch is not merged or a file is lost.",
    # squawk's
    "adding-required-field": "INSERTs of the release that runs do not name the new column, and fail.",
    "adding-field-with-default": "A default that differs from row to row writes the table anew.",
    "adding-foreign-key-constraint": "A foreign key is checked for every row while both tables take no writes.",
    "constraint-missing-not-valid": "A constraint is checked for every row under a strong lock.",
    "disallowed-unique-constraint": "The index of a UNIQUE constraint is built while nobody may use the table.",
    "adding-serial-primary-key-field": "The index of a primary key is built while nobody may use the table.",
    "adding-not-nullable-field": "SET NOT NULL reads the whole table while nobody may use it.",
    "changing-column-type": "Most changes of a type write the table anew while nobody may use it.",
    "renaming-column": "The release that runs knows the old name only.",
    "renaming-table": "The release that runs knows the old name only.",
    "ban-drop-column": "The release that runs may still name it, and no undo brings the values back.",
    "ban-drop-table": "The release that runs may still use it, and no undo brings the rows back.",
    "ban-drop-database": "Everything is gone at once.",
    "ban-drop-schema": "What stands in it may still be used, and no undo brings the rows back.",
    "require-concurrent-index-creation": "CREATE INDEX lets nobody write while it builds.",
    "require-concurrent-index-deletion": "DROP INDEX lets nobody read or write the table, from when it begins to wait.",
    "require-concurrent-reindex": "REINDEX lets nobody write while it builds, and keeps out who would use the index.",
    "require-concurrent-partition-detach": "DETACH PARTITION lets nobody read or write the whole table.",
    "ban-duplicate-column-assignments": "PostgreSQL refuses a column that is set twice.",
}
WARNINGS = {
    # ours
    "needless-no-transaction": "Without a transaction a failure in the middle leaves half of the file done.",
    "locks-pile-up": "Locks on several tables in one transaction are held until the last is had.",
    "undo-empty": "An undo that does nothing only forgets that the version was applied.",
    "undo-named-otherwise": "The two files of a version are described differently.",
    "version-digits": "Versions of different lengths are listed out of order.",
    # squawk's
    "ban-drop-not-null": "The release that runs may meet NULL where it never did.",
    "ban-drop-constraint": "What the constraint kept out, or ON CONFLICT that names it, is no longer seen to.",
    "ban-drop-default": "INSERTs of the release that runs may count on the default.",
    "ban-drop-view": "The release that runs may still read it.",
    "ban-drop-function": "The release that runs, a trigger or a default may still call it.",
    "ban-drop-type": "A column or the release that runs may still use it.",
    "ban-drop-domain": "A column or the release that runs may still use it.",
    "ban-drop-sequence": "INSERTs may still draw from it.",
    "ban-drop-trigger": "What it saw to is no longer done.",
    "ban-drop-extension": "Its functions and types go with it.",
    "renaming-object": "The release that runs knows the old name only.",
    "ban-set-schema": "The release that runs looks for it in the old schema.",
    "ban-alter-identity": "INSERTs of the release that runs may name the column, or count on it.",
    "ban-drop-generated-expression": "The release that runs counts on the column being computed.",
    "ban-create-domain-with-constraint": "A constraint of a domain cannot be checked beside the traffic.",
    "ban-alter-domain-with-add-constraint": "A constraint of a domain cannot be checked beside the traffic.",
    "prefer-bigint-over-int": "A key of 32 bits ends at 2,147,483,647; from there on every INSERT fails.",
    "prefer-bigint-over-smallint": "A key of 16 bits ends at 32,767; from there on every INSERT fails.",
    "prefer-timestamp-tz": "A timestamp without a zone drops the offset that it is given.",
    "prefer-identity": "The sequence of a serial column wants a grant of its own.",
    "ban-char-field": "char(n) pads with blanks.",
    "identifier-too-long": "PostgreSQL cuts a name after 63 bytes, so that two may become one.",
    "unused-ignore": "A comment that names no rule silences nothing.",
}

"""Lint: find statements that would harm a running system, from the files alone, each with a safe alternative.

PostgreSQL's parser reads the files; squawk and orderops' own rules check the statements. No database is used: what one
has shown in a trial is passed in.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from orderops.errors import UsageError
from orderops.frozen import replace
from orderops.migrations.lint.blocks import Block, blocks
from orderops.migrations.lint.catalog import rule
from orderops.migrations.lint.context import LintContext, Spot
from orderops.migrations.lint.effects import SchemaObject
from orderops.migrations.lint.executed import Execution, run_findings, with_executed
from orderops.migrations.lint.finding import Finding, Level
from orderops.migrations.lint.implied_scans import implied_scans
from orderops.migrations.lint.naming import name_rules
from orderops.migrations.lint.privileges import privilege_rules
from orderops.migrations.lint.rules import statement_rules
from orderops.migrations.lint.schema_history import SchemaHistory
from orderops.migrations.lint.squawk import SquawkFinding, squawk
from orderops.migrations.lint.suggestions import suggestions
from orderops.migrations.lint.table_rules import table_rules
from orderops.migrations.lint.transactions import file_rules
from orderops.migrations.lint.undo import Origins, undo_rules
from orderops.migrations.sql.directives import Head
from orderops.migrations.sql.files import Migration, SqlFile, unix_lines
from orderops.migrations.sql.parser import Statement, read_script
from orderops.migrations.sql.validation import check_script, without_own_transaction

REFUSED = frozenset(
    {
        "transaction-control",
        "timeout-in-file",
        "needs-no-transaction",
        "batch-impossible",
        "cannot-be-applied",
        "apply-fails",
    }
)
"""Rules that no comment silences: apply rejects the files, or the server does."""
PLACE = re.compile(r":(?P<line>\d+)(?::(?P<column>\d+))?: ")
GIVEN = re.compile(r"[VU]?(?P<version>\d{1,18})(?:__.*)?", re.IGNORECASE)


def lint(
    migrations: Sequence[Migration],
    *,
    pg_version: int | None = None,
    only: Collection[int] | None = None,
    executions: Mapping[int, Execution] | None = None,
    program: Path | None = None,
) -> list[Finding]:
    """Lint these migrations, or the versions `only`; earlier ones are read for their schema.

    `executions` are what a scratch database has shown about versions. `program` is the squawk to run; None searches
    for it.
    """
    migrations = [_with_unix_lines(migration) for migration in migrations]
    versions = {migration.version for migration in migrations} if only is None else set(only)
    findings = [finding for migration, finding in name_rules(migrations) if migration.version in versions]
    contexts, unreadable_or_undo = _read_all(migrations, versions, executions or {})
    findings += unreadable_or_undo
    inner = [block for context in contexts for block in blocks(context)]
    everything = [*contexts, *(block.context for block in inner)]
    by_squawk = squawk(everything, pg_version=pg_version, program=program)
    for context, squawk_findings in zip(contexts, by_squawk[: len(contexts)], strict=True):
        findings += _findings_of(context, squawk_findings)
    for block, squawk_findings in zip(inner, by_squawk[len(contexts) :], strict=True):
        findings += _findings_in(block, squawk_findings)
    return _merged(_sorted(findings, migrations))


def _with_unix_lines(migration: Migration) -> Migration:
    """The migration as squawk and the rewrites read and write it: positions stay, values do not matter here."""
    forwards, back = (replace(file, text=unix_lines(file.text)) for file in (migration.forwards, migration.back))
    return replace(migration, forwards=forwards, back=back)


def _read_all(
    migrations: Sequence[Migration], versions: Collection[int], executions: Mapping[int, Execution]
) -> tuple[list[LintContext], list[Finding]]:
    """Read the files of these versions; also return findings about invalid files and about undos."""
    contexts: list[LintContext] = []
    findings: list[Finding] = []
    history, origins = SchemaHistory(), dict[SchemaObject, Statement]()
    for migration in migrations:
        # Rules see the schema before the file, so the history is copied before the file is learned.
        forwards, wrong = _read(migration.forwards, history.copy(), back=False)
        for statement in forwards.statements if forwards else ():
            history.learn(statement)
        back, wrong_back = _read(migration.back, history.copy(), back=True)
        if migration.version in versions:
            findings += [*wrong, *wrong_back]
            contexts += [
                context for context, problems in ((forwards, wrong), (back, wrong_back)) if context and not problems
            ]
            findings += _of_the_pair(forwards, back, origins, executions.get(migration.version))
        if forwards:
            made = forwards.effects.remade | forwards.effects.made
            origins |= {created: origin.statement for created, origin in made.items()}
    return contexts, findings


def _of_the_pair(
    forwards: LintContext | None, back: LintContext | None, origins: Origins, execution: Execution | None
) -> list[Finding]:
    """Findings about an undo, and about what a scratch database has shown."""
    findings = list(run_findings(execution)) if execution else []
    if forwards and back:
        undo = list(undo_rules(forwards, back, origins))
        findings += with_executed(forwards, back, undo, execution) if execution else undo
    contexts = {context.file.path: context for context in (forwards, back) if context}
    return [
        finding
        for finding in findings
        if finding.rule in REFUSED or finding.file not in contexts or not contexts[finding.file].ignores(finding)
    ]


def _findings_of(context: LintContext, squawk_findings: Sequence[SquawkFinding]) -> list[Finding]:
    findings = [
        *statement_rules(context),
        *table_rules(context),
        *implied_scans(context),
        *file_rules(context),
        *privilege_rules(context),
        *suggestions(context, squawk_findings),
    ]
    findings += _refused(context, findings)
    return [finding for finding in findings if finding.rule in REFUSED or not context.ignores(finding)]


def _findings_in(block: Block, squawk_findings: Sequence[SquawkFinding]) -> list[Finding]:
    """Findings about the statements of a block, where no comment of the file silences them."""
    context = block.context
    inside = [
        *statement_rules(context),
        *table_rules(context),
        *implied_scans(context),
        *suggestions(context, squawk_findings),
    ]
    findings = [block.outside(finding) for finding in inside if finding.rule not in REFUSED]
    findings += block.unreadable_statements()
    assert context.within
    return [finding for finding in findings if not context.within[0].ignores(finding)]


def _sorted(findings: Sequence[Finding], migrations: Sequence[Migration]) -> list[Finding]:
    order = {file.path: number for number, file in enumerate(_files(migrations))}
    return sorted(findings, key=lambda finding: (order[finding.file], finding.line, finding.column, finding.rule))


def chosen(migrations: Sequence[Migration], *, only: Sequence[str] = (), since: str | None = None) -> set[int]:
    """Resolve versions given as V7, 7 or a file name; raises UsageError for an unknown version."""
    after = _version(migrations, since) if since else 0
    meant = {_version(migrations, text) for text in only} if only else {migration.version for migration in migrations}
    return {version for version in meant if version > after}


def fails(findings: Sequence[Finding], *, strict: bool) -> bool:
    """Whether the findings fail a pipeline; notes never do."""
    return any(finding.level is Level.ERROR or (strict and finding.level is Level.WARNING) for finding in findings)


def _version(migrations: Sequence[Migration], text: str) -> int:
    match = GIVEN.fullmatch(text.rpartition("/")[2])
    if not match or int(match["version"]) not in {migration.version for migration in migrations}:
        latest = ", ".join(migration.name.partition("__")[0] for migration in migrations[-5:])
        raise UsageError(f"there is no migration {text!r}", f"the latest are {latest}")
    return int(match["version"])


def _merged(findings: Sequence[Finding]) -> list[Finding]:
    """Merge findings of one line with the same rewrite, and join their messages."""
    merged: dict[object, Finding] = {}
    for finding in findings:
        key = (finding.file, finding.line, finding.level, finding.rewrite or finding)
        first = merged.setdefault(key, finding)
        if finding.message not in first.message:
            merged[key] = replace(first, message=f"{first.message}; {finding.message}")
    return list(merged.values())


def _files(migrations: Sequence[Migration]) -> Iterator[SqlFile]:
    for migration in migrations:
        yield migration.forwards
        yield migration.back


def _read(file: SqlFile, history: SchemaHistory, *, back: bool) -> tuple[LintContext | None, list[Finding]]:
    """Read a file for the rules, or return the findings about why it is invalid."""
    wrong = []
    try:
        head = file.head
    except UsageError as error:
        head = Head()
        wrong.append(_unread(file, "wrong-directive", error))
    try:
        whole = read_script(file)
        return LintContext(file, back, head, without_own_transaction(whole, head), history, whole=whole), wrong
    except UsageError as error:
        return None, [*wrong, _unread(file, "syntax-error", error)]


def _refused(context: LintContext, found: Sequence[Finding]) -> Iterator[Finding]:
    """Find what apply would reject and no other rule has found."""
    try:
        check_script(context.file, context.whole)
    except UsageError as error:
        if not any(finding.rule in REFUSED for finding in found):
            place, message = _place(error)
            yield context.finding("cannot-be-applied", place, message, _comments(error.hint))


def _unread(file: SqlFile, name: str, error: UsageError) -> Finding:
    place, message = _place(error)
    known = rule(name)
    level = known.level if known else Level.ERROR
    return Finding(file.path, place.line, place.column, name, level, message, _comments(error.hint))


def _place(error: UsageError) -> tuple[Spot, str]:
    """Position and message of an error."""
    first, _, rest = error.message.partition("\n")
    match = PLACE.search(first)
    if not match:
        return Spot(), first
    message = first[match.end() :]
    return Spot(int(match["line"]), int(match["column"] or 1)), f"{message}: {rest}" if rest else message


def _comments(text: str) -> str:
    return "\n".join(f"-- {line}" for line in text.splitlines())

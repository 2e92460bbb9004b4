"""Runs squawk once for all files, twice if some run outside a transaction, and parses its findings.

squawk gets only files that PostgreSQL's own parser can read, so its syntax errors are ignored.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from orderops.errors import OrderopsError
from orderops.frozen import Frozen
from orderops.migrations.lint.context import LintContext
from orderops.migrations.sql.files import NAME

LEFT_OUT = (
    # orderops sets both timeouts for every statement, and a file sets others in its head
    "require-lock-timeout",
    "require-statement-timeout",
    # a version is applied once, and an interrupted run resumes after what is done; IF NOT EXISTS would hide another
    # object with that name
    "prefer-robust-stmts",
    # the rules of orderops cover more statements, and suggest the directive
    "transaction-nesting",
    "ban-uncommitted-transaction",
    "ban-concurrent-index-creation-in-transaction",
    # the rule of orderops covers every TRUNCATE
    "ban-truncate-cascade",
    # varchar(n) can be widened without touching a row
    "prefer-text-field",
    # the position of a new enum value matters only where rows are sorted by it
    "require-enum-value-ordering",
)
OPT_IN = ("ban-drop-trigger",)
"""Rules that squawk applies only on demand, and that find a harm to the running release."""
UNREADABLE = "syntax-error"
# squawk's parser lags behind PostgreSQL's, which has read the file already.
TIMEOUT = 60.0
# Seconds. A run takes some hundredths; the limit is for a program that hangs.
INSTALL_HINT = "install it next to orderops: pip install squawk-cli"
VERSION_HINT = "this version is not supported; install a newer one: pip install 'squawk-cli>=2.70'"


class SquawkFinding(Frozen):
    """One finding of squawk."""

    rule: str
    line: int
    """From 1."""
    column: int
    """Characters, from 1."""
    message: str
    help: str


def squawk(
    contexts: Sequence[LintContext], *, pg_version: int | None = None, program: Path | None = None
) -> list[list[SquawkFinding]]:
    """Run squawk on the files; raises OrderopsError if it does not run or its output is not understood."""
    found: list[list[SquawkFinding]] = [[] for _ in contexts]
    with tempfile.TemporaryDirectory(prefix="orderops-lint-") as folder:
        for in_transaction in (True, False):
            chosen = [place for place, context in enumerate(contexts) if context.in_transaction is in_transaction]
            if not chosen:
                continue
            at = contexts[chosen[0]].file.path.parent
            files = {_written(contexts[number], at, Path(folder, f"{number}.sql")): number for number in chosen}
            for raw in _run(program or squawk_program(), folder, at, files, pg_version, in_transaction=in_transaction):
                number, finding = _finding(raw, files, contexts)
                if finding.rule != UNREADABLE:
                    found[number].append(finding)
    return [sorted(findings, key=lambda finding: (finding.line, finding.column)) for findings in found]


def _written(context: LintContext, at: Path, copy: Path) -> str:
    """A file with the text of a context: the migration itself by its name in the folder `at`, else a copy."""
    text, original = context.text_without_data.encode(), context.file.path
    # To create hundreds of files takes longer than squawk itself. Names of migrations hold nothing that it expands.
    with suppress(OSError):
        if original.parent == at and NAME.fullmatch(original.name) and original.read_bytes() == text:
            return original.name
    copy.write_bytes(text)
    return str(copy)


def squawk_program() -> Path:
    """The squawk next to the interpreter, else the one on the PATH."""
    installed = shutil.which("squawk", path=sysconfig.get_path("scripts"))
    if found := installed or shutil.which("squawk"):
        return Path(found)
    raise OrderopsError("squawk is not installed; migrate lint needs it", INSTALL_HINT)


def _run(
    program: Path, folder: str, at: Path, files: Collection[str], pg_version: int | None, *, in_transaction: bool
) -> list[Any]:
    config = Path(folder, "squawk.toml")
    config.touch()  # without it squawk would use a .squawk.toml of a parent folder
    command = [
        str(program),
        "--reporter=json",
        f"--config={config}",
        *(f"--exclude={rule}" for rule in LEFT_OUT),
        *(f"--include={rule}" for rule in OPT_IN),
        *([f"--pg-version={pg_version}"] if pg_version else []),
        "--assume-in-transaction" if in_transaction else "--no-assume-in-transaction",
        *files,
    ]
    try:
        done = subprocess.run(
            command,
            cwd=at if at.is_dir() else folder,
            capture_output=True,
            encoding="utf-8",
            timeout=TIMEOUT,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise OrderopsError(
            f"{program} did not end within {TIMEOUT:.0f} s", "run it by hand: squawk sql/V*.sql"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        why = (getattr(error, "strerror", None) or str(error)).lower()
        raise OrderopsError(f"{program} cannot be run: {why}", INSTALL_HINT) from None
    return _understood(program, done)


def _understood(program: Path, done: subprocess.CompletedProcess[str]) -> list[Any]:
    output = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[0][:200]
    if done.returncode < 0:
        raise OrderopsError(
            f"{program} was terminated by signal {-done.returncode}", "run it by hand: squawk sql/V*.sql"
        )
    try:
        finding = json.loads(done.stdout)
    except ValueError:
        raise OrderopsError(f"{program} exited with {done.returncode}: {output}", VERSION_HINT) from None
    if done.returncode > 1 or not isinstance(finding, list):
        raise OrderopsError(f"{program} exited with {done.returncode}: {output}", VERSION_HINT)
    return finding


def _finding(raw: Any, files: Mapping[str, int], contexts: Sequence[LintContext]) -> tuple[int, SquawkFinding]:
    # squawk counts lines from 0, and columns in bytes.
    try:
        number = files[raw["file"]]
        before = contexts[number].text_lines[raw["line"]].encode()[: raw["column"]].decode(errors="ignore")
        rule, message = str(raw["rule_name"]), str(raw["message"])
        return number, SquawkFinding(rule, raw["line"] + 1, len(before) + 1, message, raw.get("help") or "")
    except (KeyError, TypeError, ValueError, IndexError):
        raise OrderopsError(f"squawk returned a finding in an unknown form: {raw!r}"[:300], VERSION_HINT) from None

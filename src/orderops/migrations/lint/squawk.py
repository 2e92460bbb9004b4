"""squawk, run once for all files (twice where some run in no transaction), and what it finds in our words' form.

What it says of syntax is left to PostgreSQL's own parser: only files that this one reads are shown to squawk.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orderops.errors import OrderopsError
from orderops.migrations.lint.context import LintContext

LEFT_OUT = (
    # orderops sets both limits for every statement, and a file asks for others in its head
    "require-lock-timeout",
    "require-statement-timeout",
    # a version is applied once, and a cut run goes on behind what is done; IF NOT EXISTS would hide that something
    # else stands under the name
    "prefer-robust-stmts",
    # ours say what to write into the head, and know more statements of the kind
    "transaction-nesting",
    "ban-uncommitted-transaction",
    "ban-concurrent-index-creation-in-transaction",
    # ours is for every TRUNCATE
    "ban-truncate-cascade",
    # varchar(n) can be widened without touching a row
    "prefer-text-field",
    # where a new value stands in an enum matters to nobody who does not sort by it
    "require-enum-value-ordering",
)
UNREADABLE = "syntax-error"
"""What squawk's own parser does not know yet; PostgreSQL's read the file."""
PATIENCE = 60.0
"""Seconds; it needs some hundredths."""
LACKING = "install it beside orderops: pip install squawk-cli"
OTHER = "it does not speak as squawk-cli 2.70 does; install that one: pip install 'squawk-cli>=2.70'"


@dataclass(frozen=True)
class SquawkFinding:
    """One finding of squawk's."""

    rule: str
    line: int
    """From 1."""
    column: int
    """Characters, from 1."""
    message: str
    help: str


def squawk(
    readings: Sequence[LintContext], *, pg_version: int | None = None, program: Path | None = None
) -> list[list[SquawkFinding]]:
    """What squawk finds in each file; raises OrderopsError when it cannot be run or understood."""
    found: list[list[SquawkFinding]] = [[] for _ in readings]
    with tempfile.TemporaryDirectory(prefix="orderops-lint-") as folder:
        for in_transaction in (True, False):
            numbers = [place for place, each in enumerate(readings) if each.in_transaction is in_transaction]
            if not numbers:
                continue
            for number in numbers:
                Path(folder, f"{number}.sql").write_text(readings[number].text_without_data, "utf-8", newline="\n")
            for raw in _run(program or squawk_program(), folder, numbers, pg_version, in_transaction=in_transaction):
                number, told = _told(raw, readings)
                if told.rule != UNREADABLE:
                    found[number].append(told)
    return [sorted(each, key=lambda told: (told.line, told.column)) for each in found]


def squawk_program() -> Path:
    """The program beside the interpreter, else the one on the PATH."""
    beside = shutil.which("squawk", path=sysconfig.get_path("scripts"))
    if found := beside or shutil.which("squawk"):
        return Path(found)
    raise OrderopsError("squawk is not installed; migrate lint needs it", LACKING)


def _run(
    program: Path, folder: str, numbers: Sequence[int], pg_version: int | None, *, in_transaction: bool
) -> list[Any]:
    config = Path(folder, "squawk.toml")
    config.touch()  # a .squawk.toml further up would change what is found here
    command = [
        str(program),
        "--reporter=json",
        f"--config={config}",
        *(f"--exclude={rule}" for rule in LEFT_OUT),
        *([f"--pg-version={pg_version}"] if pg_version else []),
        "--assume-in-transaction" if in_transaction else "--no-assume-in-transaction",
        *(f"{number}.sql" for number in numbers),
    ]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, encoding="utf-8", timeout=PATIENCE, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise OrderopsError(
            f"{program} gave no answer within {PATIENCE:.0f} s", "try it by hand: squawk sql/V*.sql"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        why = (getattr(error, "strerror", None) or str(error)).lower()
        raise OrderopsError(f"{program} cannot be run: {why}", LACKING) from None
    return _understood(program, done)


def _understood(program: Path, done: subprocess.CompletedProcess[str]) -> list[Any]:
    said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[0][:200]
    if done.returncode < 0:
        raise OrderopsError(f"{program} was ended by signal {-done.returncode}", "try it by hand: squawk sql/V*.sql")
    try:
        told = json.loads(done.stdout)
    except ValueError:
        raise OrderopsError(f"{program} ended with {done.returncode} and said: {said}", OTHER) from None
    if done.returncode > 1 or not isinstance(told, list):
        raise OrderopsError(f"{program} ended with {done.returncode} and said: {said}", OTHER)
    return told


def _told(raw: Any, readings: Sequence[LintContext]) -> tuple[int, SquawkFinding]:
    """squawk counts lines from 0, and columns in bytes."""
    try:
        number = int(Path(raw["file"]).stem)
        lines = readings[number].text_without_data.split("\n")
        before = lines[raw["line"]].encode()[: raw["column"]].decode(errors="ignore")
        rule, message = str(raw["rule_name"]), str(raw["message"])
        return number, SquawkFinding(rule, raw["line"] + 1, len(before) + 1, message, raw.get("help") or "")
    except (KeyError, TypeError, ValueError, IndexError):
        raise OrderopsError(f"squawk told of a finding in a form that nobody knows: {raw!r}"[:300], OTHER) from None

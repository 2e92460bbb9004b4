"""What the users of a table notice while its schema changes, when somebody else's transaction stands in the way.

    python benchmarks/migrate.py                             every case with every tool, the median of 3 runs
    python benchmarks/migrate.py --case "add column" --tool orderops --tool psql --runs 1

Eight clients read and update a table of 3,000,000 rows, about 800 times a second. A session that read the table (or
wrote it, where a reader is in nobody's way) stays idle in its transaction for 15 s; the migration begins 1 s later.
All tools are given the same SQL. The server is a real one, durable, with the settings of a small RDS.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from big_table import BigTable, big_table
from migrators import Migration, Migrator, Outcome, orderops, psql, yoyo
from traffic import TABLE, Holder, Traffic

HELD = 15.0
STALL_MS, LOST_PERCENT, AFTER_SECONDS = 100.0, 2.0, 1.0
CONTROL = "control"
TOOLS = (CONTROL, "psql", "yoyo", "orderops")


@dataclass(frozen=True)
class Case:
    """A change as a careful author writes it, who is in its way, and what is true once it is done."""

    migration: Migration
    holder_writes: bool
    done: str


INDEX = Migration(
    "index_customer",
    f"CREATE INDEX CONCURRENTLY big_by_customer ON {TABLE} (customer);\n",
    "DROP INDEX IF EXISTS big_by_customer;\n",
    transaction=False,
)
INDEX_IS_THERE = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('big_by_customer')"
CASES = {
    "add column": Case(
        Migration(
            "add_note",
            f"ALTER TABLE {TABLE} ADD COLUMN note text;\n",
            f"ALTER TABLE {TABLE} DROP COLUMN IF EXISTS note;\n",
        ),
        holder_writes=False,
        done=f"SELECT count(*) = 1 FROM pg_attribute WHERE attrelid = '{TABLE}'::regclass AND attname = 'note'",
    ),
    "not null": Case(
        Migration(
            "customer_is_given",
            f"ALTER TABLE {TABLE} ADD CONSTRAINT customer_given CHECK (customer IS NOT NULL) NOT VALID;\n"
            f"ALTER TABLE {TABLE} VALIDATE CONSTRAINT customer_given;\n"
            f"ALTER TABLE {TABLE} ALTER COLUMN customer SET NOT NULL;\n"
            f"ALTER TABLE {TABLE} DROP CONSTRAINT customer_given;\n",
            f"ALTER TABLE {TABLE} DROP CONSTRAINT IF EXISTS customer_given;\n"
            f"ALTER TABLE {TABLE} ALTER COLUMN customer DROP NOT NULL;\n",
            transaction=False,
        ),
        holder_writes=False,
        done="SELECT attnotnull AND NOT EXISTS (SELECT FROM pg_constraint WHERE conname = 'customer_given')"
        f" FROM pg_attribute WHERE attrelid = '{TABLE}'::regclass AND attname = 'customer'",
    ),
    "foreign key": Case(
        Migration(
            "customer_exists",
            f"ALTER TABLE {TABLE} ADD CONSTRAINT customer_exists"
            " FOREIGN KEY (customer) REFERENCES customers (id) NOT VALID;\n"
            f"ALTER TABLE {TABLE} VALIDATE CONSTRAINT customer_exists;\n",
            f"ALTER TABLE {TABLE} DROP CONSTRAINT IF EXISTS customer_exists;\n",
            transaction=False,
        ),
        holder_writes=True,
        done="SELECT convalidated FROM pg_constraint WHERE conname = 'customer_exists'",
    ),
    "index": Case(INDEX, holder_writes=True, done=INDEX_IS_THERE),
    "index, reader": Case(INDEX, holder_writes=False, done=INDEX_IS_THERE),
}


@dataclass(frozen=True)
class Run:
    """What one migration, or the median of several, cost."""

    stall_ms: float
    p99_ms: float
    lost_percent: float
    tps: float
    seconds: float = 0.0
    after_holder: float = 0.0
    failures: int = 0
    refused: str = ""


def main() -> None:
    """Print a line for each case and tool, and whether the bars hold; exit code 1 when they do not."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--case", choices=CASES, action="append", help="this case")
    words.add_argument("--tool", choices=TOOLS, action="append", help="this tool")
    words.add_argument("--rows", type=int, default=3_000_000, help="rows of the table")
    words.add_argument("--runs", type=int, default=3, help="take the median of so many")
    asked = words.parse_args()
    tools = asked.tool or TOOLS
    with ExitStack() as stack:
        migrators: dict[str, Migrator | None] = {CONTROL: None, "psql": psql, "orderops": orderops}
        if "yoyo" in tools:
            migrators["yoyo"] = yoyo(stack)
        table = stack.enter_context(big_table(asked.rows))
        print(f"{'case':12} {'tool':9} {'worst stall':>11} {'corr. p99':>10} {'lost':>7} {'tps':>5} ", end="")
        print(f"{'migration':>10} {'after holder':>12}")
        held = True
        for name in asked.case or CASES:
            medians = {}
            for tool in tools:
                runs = [tried(table, CASES[name], migrators[tool]) for _ in range(asked.runs)]
                medians[tool] = _median(runs)
                print(_line(name, tool, medians[tool]), flush=True)
            held = _judge(name, medians) and held
    sys.exit(not held)


def tried(table: BigTable, case: Case, migrator: Migrator | None) -> Run:
    """Carry the case out once on the table as it was built, with traffic and somebody in the way."""
    table.reset(case.migration.back)
    outcome, begun, ended = Outcome(""), 0.0, 0.0
    with Traffic(table.dsn, table.rows) as traffic, tempfile.TemporaryDirectory() as folder:
        time.sleep(1)
        holder = Holder(table.dsn, writes=case.holder_writes, seconds=HELD)
        holder.start()
        time.sleep(1)
        if migrator:
            begun = time.monotonic()
            outcome = migrator(case.migration, table.dsn, Path(folder))
            ended = time.monotonic()
        holder.join()
        time.sleep(1)
    measured = traffic.measured
    if migrator and not outcome.refused and not table.is_true(case.done):
        outcome = Outcome("said that it was done, and it is not")
    return Run(
        measured.worst_stall_ms,
        measured.corrected_p99_ms,
        measured.lost_percent,
        measured.tps,
        ended - begun,
        ended - holder.ended if migrator else 0.0,
        len(measured.failures),
        outcome.refused,
    )


def _median(runs: list[Run]) -> Run:
    """Each number's median by itself; a refusal or failure in any run stays visible."""
    return Run(
        median(run.stall_ms for run in runs),
        median(run.p99_ms for run in runs),
        median(run.lost_percent for run in runs),
        median(run.tps for run in runs),
        median(run.seconds for run in runs),
        median(run.after_holder for run in runs),
        sum(run.failures for run in runs),
        next((run.refused for run in runs if run.refused), ""),
    )


def _line(case: str, tool: str, run: Run) -> str:
    took = "" if tool == CONTROL else f"{run.seconds:8.2f} s {run.after_holder:+10.2f} s"
    failed = f"  {run.failures} transactions failed" if run.failures else ""
    refused = f"  FAILED: {run.refused}" if run.refused else ""
    return (
        f"{case:12} {tool:9} {run.stall_ms:8.0f} ms {run.p99_ms:7.0f} ms {run.lost_percent:5.1f} %"
        f" {run.tps:5.0f} {took}{failed}{refused}"
    )


def _judge(case: str, medians: Mapping[str, Run]) -> bool:
    """Say whether orderops keeps to the bars.

    What the SQL itself takes once the holder is gone is nobody's waiting: psql, which got its lock at that moment,
    tells how long that is.
    """
    run = medians.get("orderops")
    if run is None:
        return True
    if run.refused or run.failures:
        print(f"{case:12} bars: MISSED: {run.refused or f'{run.failures} transactions failed'}")
        return False
    work = max(0.0, medians["psql"].after_holder) if "psql" in medians else 0.0
    found = {
        f"worst stall {run.stall_ms:.0f} of {STALL_MS:.0f} ms": run.stall_ms <= STALL_MS,
        f"lost {run.lost_percent:.1f} of {LOST_PERCENT:.0f} %": run.lost_percent <= LOST_PERCENT,
        f"done {run.after_holder:+.2f} s after the holder, of {AFTER_SECONDS:.0f} s and {work:.2f} s of work": (
            run.after_holder <= work + AFTER_SECONDS
        ),
    }
    print(f"{case:12} bars: " + "; ".join(f"{'holds' if held else 'MISSED'}: {what}" for what, held in found.items()))
    return all(found.values())


if __name__ == "__main__":
    main()

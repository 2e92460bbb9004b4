"""What 500 small migrations cost `orderops migrate`, beside one psql session that runs the same files.

    python benchmarks/many_migrations.py
    python benchmarks/many_migrations.py --migrations 50 --runs 5

The times are of whole commands, the interpreter's start included, on a durable server and a new database for each run.
psql commits each statement by itself and keeps no ledger. What the ledger says, from the first migration to the last,
is apply without the start of the interpreter, the reading of 1,000 files, and the connections.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import LiteralString

import psycopg

from big_table import durable_server
from migrators import Migration, Outcome, orderops_command, psql_command, run

LEDGER = "from the first to the last"
WHAT = ("info, all pending", "apply", LEDGER, "info, all applied", "psql -f, one session")
AT_WORK = "SELECT extract(epoch FROM max(finished) - min(started))::float8 FROM orderops_ledger.ledger"
TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename LIKE 'part\\_%'"


def main() -> None:
    """Print a line for each command with its median, and the ratio of apply to psql."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--migrations", type=int, default=500, help="how many")
    words.add_argument("--runs", type=int, default=3, help="take the median of so many")
    asked = words.parse_args()
    took: dict[str, list[float]] = {what: [] for what in WHAT}
    refusals: dict[str, str] = {}
    with durable_server() as server, tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        files = [small(number).write(folder, number) for number in range(1, asked.migrations + 1)]
        wanted = sum(file.name.endswith("make.sql") for file in files)
        for number in range(asked.runs):
            ours, theirs = server.create_database(f"ours_{number}"), server.create_database(f"theirs_{number}")
            commands = {
                "info, all pending": orderops_command("info", ours, folder),
                "apply": orderops_command("apply", ours, folder),
                "info, all applied": orderops_command("info", ours, folder),
                "psql -f, one session": psql_command(theirs, files),
            }
            for what, command in commands.items():
                seconds, outcome = timed(command, ours)
                took[what].append(seconds)
                if outcome.refused:
                    refusals[what] = outcome.refused
                elif what == "apply":
                    took[LEDGER].append(asked_of(ours, AT_WORK))
            for what, dsn in (("apply", ours), ("psql -f, one session", theirs)):
                if (found := int(asked_of(dsn, TABLES))) != wanted:
                    refusals.setdefault(what, f"{found} of {wanted} tables are there")
    for what in filter(took.__getitem__, WHAT):
        failed = f"  FAILED: {refusals[what]}" if what in refusals else ""
        print(f"{what:22} {median(took[what]):7.2f} s{failed}")
    if refusals:
        sys.exit(1)
    theirs_took = median(took["psql -f, one session"])
    whole, at_work = (median(took[what]) / theirs_took for what in ("apply", LEDGER))
    print(
        f"{asked.migrations} migrations, median of {asked.runs}: at work {at_work:.2f} times as long as psql, "
        f"{whole:.2f} times with the start of the interpreter and of the libraries"
    )


def small(number: int) -> Migration:
    """One of three kinds in turn: a table, a column on it, an index on it; two or three statements each."""
    table = f"part_{(number + 2) // 3:03}"
    match number % 3:
        case 1:
            return Migration(
                "make",
                f"CREATE TABLE {table} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);\n"
                f"COMMENT ON TABLE {table} IS 'one of many';\n",
                f"DROP TABLE {table};\n",
            )
        case 2:
            return Migration(
                "widen",
                f"ALTER TABLE {table} ADD COLUMN made timestamptz NOT NULL DEFAULT now();\n"
                f"ALTER TABLE {table} ADD COLUMN weight int;\n"
                f"ALTER TABLE {table} ADD CONSTRAINT {table}_weight CHECK (weight > 0);\n",
                f"ALTER TABLE {table} DROP COLUMN weight;\nALTER TABLE {table} DROP COLUMN made;\n",
            )
    return Migration(
        "index",
        f"CREATE INDEX {table}_by_name ON {table} (name);\nINSERT INTO {table} (name, weight) VALUES ('first', 1);\n",
        f"DELETE FROM {table} WHERE name = 'first';\nDROP INDEX {table}_by_name;\n",
    )


def timed(command: list[str], dsn: str) -> tuple[float, Outcome]:
    """Seconds of a command, and how it ended."""
    begun = time.monotonic()
    outcome = run(command, dsn)
    return time.monotonic() - begun, outcome


def asked_of(dsn: str, query: LiteralString) -> float:
    """The number that a query answers."""
    with psycopg.connect(dsn) as session:
        row = session.execute(query).fetchone()
    return float(row[0]) if row else 0.0


if __name__ == "__main__":
    main()

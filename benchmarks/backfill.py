"""A change of every row in batches, under live traffic and killed twice: what is noticed, and is each row changed once?

    python benchmarks/backfill.py                 3,000,000 rows
    python benchmarks/backfill.py --rows 200000 --seed 7
    python benchmarks/backfill.py --plain         for comparison: the same statement by psql, in one piece, not killed

Eight clients read and update other columns of the table, about 800 times a second. The command is killed with SIGKILL
when the batches have come to a random row, and typed again until it is done.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg

from big_table import BigTable, big_table
from migrators import orderops_command, psql_command, with_password
from traffic import TABLE, UNTOUCHED, Measured, Traffic

CHANGE = f"UPDATE {TABLE} SET n = n + 1"
BACKFILL = f"-- orderops: batch 5000 by id\n{CHANGE};\n"
UNDO = f"-- orderops: batch 5000 by id\nUPDATE {TABLE} SET n = n - 1;\n"
FILE = "V001__count_n_up.sql"
TIMES_CHANGED = f"SELECT n - id % 1000 AS times, count(*) FROM {TABLE} GROUP BY times ORDER BY times"
HITS = f"SELECT coalesce(sum(hits), 0) FROM {TABLE} WHERE id > {UNTOUCHED}"
PATIENCE = 1800.0


@dataclass(frozen=True)
class Killed:
    """One run of the command, ended by us when the batches had come to this row, or by itself before that."""

    row: int
    seconds: float
    exit_code: int


def main() -> None:
    """Print what the clients saw and how often each row was changed; exit code 1 when that is not once."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rows", type=int, default=3_000_000, help="rows of the table")
    words.add_argument("--kills", type=int, default=2, help="how often the command is killed")
    words.add_argument("--seed", type=int, default=random.randrange(10_000), help="chooses when")
    words.add_argument("--plain", action="store_true", help="psql and one statement instead")
    asked = words.parse_args()
    chance = random.Random(asked.seed)
    kills = 0 if asked.plain else asked.kills
    with big_table(asked.rows) as table, tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / FILE).write_text(BACKFILL)
        (folder / FILE.replace("V", "U", 1)).write_text(UNDO)
        command = psql_command(table.dsn, [folder / FILE])
        if not asked.plain:
            command = orderops_command("apply", table.dsn, folder)
        print(f"seed {asked.seed}")
        with Traffic(table.dsn, table.rows) as traffic:
            time.sleep(1)
            begun = time.monotonic()
            for row in sorted(chance.randrange(table.rows // 20, table.rows * 19 // 20) for _ in range(kills)):
                _show(_killed_at(row, command, table, chance))
            refused = _finished(command, table)
            took = time.monotonic() - begun
            time.sleep(1)
        right = _judge(table, traffic.measured, took, refused)
    sys.exit(not right)


def _killed_at(row: int, command: list[str], table: BigTable, chance: random.Random) -> Killed:
    """Run the command until this row is changed and a moment longer, and kill it."""
    begun = time.monotonic()
    with tempfile.TemporaryFile() as said, psycopg.connect(table.dsn, autocommit=True) as session:
        process = subprocess.Popen(command, env=with_password(table.dsn), stdout=said, stderr=said)
        while process.poll() is None and time.monotonic() < begun + PATIENCE:
            changed = session.execute(f"SELECT n <> id %% 1000 FROM {TABLE} WHERE id = %s", (row,)).fetchone()
            if changed and changed[0]:
                time.sleep(chance.uniform(0, 0.2))
                break
            time.sleep(0.02)
        process.kill()
        return Killed(row, time.monotonic() - begun, process.wait())


def _finished(command: list[str], table: BigTable) -> str:
    """Run the command to its end; its last words when it refuses."""
    try:
        done = subprocess.run(
            command, env=with_password(table.dsn), capture_output=True, text=True, check=False, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        return f"not done after {PATIENCE:.0f} s"
    return f"exit {done.returncode}: {done.stderr.strip()}" if done.returncode else ""


def _show(killed: Killed) -> None:
    how = "killed" if killed.exit_code < 0 else f"ended by itself with {killed.exit_code} before it could be killed"
    print(f"run of {killed.seconds:.1f} s, to row {killed.row:,}: {how}", flush=True)


def _judge(table: BigTable, measured: Measured, took: float, refused: str) -> bool:
    """Say what the clients saw, and whether every row was changed once and no update of a client was lost."""
    with psycopg.connect(table.dsn) as session:
        times: dict[int, int] = dict(session.execute(TIMES_CHANGED).fetchall())
        (hits,) = session.execute(HITS).fetchone() or (None,)
    print(
        f"{took:.1f} s for {table.rows:,} rows: worst stall {measured.worst_stall_ms:.0f} ms, corrected p99"
        f" {measured.corrected_p99_ms:.0f} ms, lost {measured.lost_percent:.1f} %, {measured.tps:.0f} transactions/s,"
        f" {len(measured.failures)} failed"
    )
    if refused:
        print(f"FAILED: {refused}")
    once = times == {1: table.rows}
    print("every row changed exactly once" if once else f"WRONG: times changed and rows: {times}")
    kept = measured.updates <= hits <= measured.updates + len(measured.failures)
    print(f"{measured.updates:,} updates of the clients are there" if kept else f"WRONG: {hits} of {measured.updates}")
    return once and kept and not refused


if __name__ == "__main__":
    main()

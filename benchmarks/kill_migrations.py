"""kill -9 of `orderops migrate apply` at random moments, then the same command: what is left, beside a run in peace.

    python benchmarks/kill_migrations.py                 30 moments, one kill each
    python benchmarks/kill_migrations.py --moments 10 --kills 3 --seed 17

Ten migrations: in a transaction, CONCURRENTLY, NOT VALID and VALIDATE, REINDEX, and three changes of rows in batches
that show in the rows when a batch is done twice. Compared are the schema, every row, and what the ledger says.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from big_table import durable_server
from support.killed_migrations import killed, undisturbed
from support.ten_migrations import write_ten


def main() -> None:
    """Print a line for each moment and a summary; exit code 1 when one ended otherwise."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--moments", type=int, default=30, help="how many runs")
    words.add_argument("--kills", type=int, default=1, help="kills in each")
    words.add_argument("--seed", type=int, default=20261122)
    asked = words.parse_args()
    random = Random(asked.seed)
    otherwise = reached = 0
    with durable_server() as server, tempfile.TemporaryDirectory() as place:
        folder = write_ten(Path(place) / "sql")
        whole = undisturbed(server.create_database("undisturbed"), folder)
        print(f"undisturbed: {whole.seconds:.2f} s, {len(whole.lines):,} lines to compare")
        for number in range(asked.moments):
            moments = [random.uniform(0.02, whole.seconds) for _ in range(asked.kills)]
            try:
                left = killed(server.create_database(f"killed_{number}"), folder, moments)
                reached += left.killed
                differing = set(left.lines) ^ set(whole.lines)
                told = f"{len(differing)} lines differ: {min(differing)}" if differing else "as if nothing had happened"
            except AssertionError as error:
                differing, told = {"refused"}, f"refused: {error}"
            otherwise += bool(differing)
            print(f"killed after {', '.join(f'{moment:.2f}' for moment in moments)} s: {told}")
            server.drop_database(f"killed_{number}")
    print(f"{otherwise} of {asked.moments} ended otherwise; {reached} kills met a run that was still at work")
    sys.exit(otherwise > 0)


if __name__ == "__main__":
    main()

"""Restores on the laptop whose background process is killed at random times: is each restored instance right?

    python benchmarks/laptop_restore.py             20 restores, each interrupted once
    python benchmarks/laptop_restore.py --restores 100 --seed 7

A client commits a row every few milliseconds. The source is suspended until the emulator has stored the request; then
the restore runs for up to `--within` seconds before the kill.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from orderops import local
from orderops.local.users import scratch
from support.laptop import Laptop
from support.laptop_restores import SECOND, Writer, home, opened, remove, restore, rows, wait_until, window


def main() -> None:
    """Print how long each restore took after the kill; exit code 1 if one has the wrong rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--restores", type=int, default=20, help="number of restores")
    parser.add_argument("--within", type=float, default=0.6, help="longest time before the kill, in seconds")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000), help="seed of the random times")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    print(f"seed {arguments.seed}")
    with scratch("orderops-benchmark-") as folder:
        laptop = Laptop(folder, local.start(Laptop.region, folder))
        try:
            source = laptop.create_database()
            window(laptop, source)
            writer = Writer(laptop.connect(source))
            wait_until(datetime.now(UTC) + 2 * SECOND)
            right = [
                interrupted(laptop, source, writer, chance.uniform(0, arguments.within))
                for _ in range(arguments.restores)
            ]
            writer.end()
        finally:
            local.reset(folder)
    print(f"{sum(right)} of {len(right)} instances have the rows of their point in time")
    sys.exit(0 if all(right) else 1)


def interrupted(laptop: Laptop, source: dict[str, Any], writer: Writer, after: float) -> bool:
    """Restore to the latest whole second, kill the background process meanwhile, and check the rows."""
    server = home(laptop, source).server.process()
    assert server
    moment = window(laptop, source)[1]
    server.suspend()
    name = restore(laptop, source, moment)
    laptop.remembered()
    server.resume()
    time.sleep(after)
    laptop.kill()
    started = time.monotonic()
    laptop.start()
    found = rows(laptop, opened(laptop, name))
    right = found in writer.by(moment)
    took = time.monotonic() - started
    print(f"killed after {after:.2f} s: {len(found)} rows, {'right' if right else 'WRONG'}, {took:.1f} s later")
    remove(laptop, name)
    return right


if __name__ == "__main__":
    main()

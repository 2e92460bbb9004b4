"""A restore on the laptop, its background process killed at random moments of it: is the copy right each time?

    python benchmarks/laptop_restore.py             20 restores, each cut once
    python benchmarks/laptop_restore.py --restores 100 --seed 7

A row is committed each few milliseconds while all this goes on. The source is held until the emulator has written down
that the copy is wanted; then the restore goes on for up to `--within` seconds before the kill.
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
    """Print how long each copy took after the kill; exit code 1 when one is not what was there."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--restores", type=int, default=20, help="how many copies are made")
    words.add_argument("--within", type=float, default=0.6, help="seconds within which the kill comes")
    words.add_argument("--seed", type=int, default=random.randrange(10_000), help="chooses when")
    asked = words.parse_args()
    chance = random.Random(asked.seed)
    print(f"seed {asked.seed}")
    with scratch("orderops-benchmark-") as folder:
        laptop = Laptop(folder, local.start(Laptop.region, folder))
        try:
            source = laptop.create_database()
            window(laptop, source)
            writer = Writer(laptop.connect(source))
            wait_until(datetime.now(UTC) + 2 * SECOND)
            right = [cut(laptop, source, writer, chance.uniform(0, asked.within)) for _ in range(asked.restores)]
            writer.end()
        finally:
            local.reset(folder)
    print(f"{sum(right)} of {len(right)} copies are what was there at their moment")
    sys.exit(0 if all(right) else 1)


def cut(laptop: Laptop, source: dict[str, Any], writer: Writer, after: float) -> bool:
    """Restore to the latest whole second, kill the background process meanwhile, and look at the copy."""
    server = home(laptop, source).server.process()
    assert server
    moment = window(laptop, source)[1]
    server.suspend()
    name = restore(laptop, source, moment)
    laptop.remembered()
    server.resume()
    time.sleep(after)
    laptop.kill()
    began = time.monotonic()
    laptop.start()
    found = rows(laptop, opened(laptop, name))
    right = found in writer.by(moment)
    took = time.monotonic() - began
    print(f"killed after {after:.2f} s: {len(found)} rows, {'right' if right else 'WRONG'}, {took:.1f} s later")
    remove(laptop, name)
    return right


if __name__ == "__main__":
    main()

"""A migration damages data while orders come in: restored, compared, promoted, turned back, thrown away; and killed.

    python benchmarks/restore.py                the scenario, once
    python benchmarks/restore.py --kills 20     then kill -9 of restore, promote, back and discard at random moments

On a laptop environment of its own with a real PostgreSQL. Prints what was seen; exit code 1 when something is not as
it should be. After a kill whose run held the lease, the same command waits 45 s for it.
"""

from __future__ import annotations

import argparse
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.order_client import LaptopEnvironment, OrderWriter, laptop_environment, mismatch, order_numbers

DAMAGE = """-- orderops: statement-timeout 60s
DELETE FROM orders WHERE total_cents % 5 = 0;
UPDATE orders SET currency = 'USD' WHERE total_cents % 5 = 1;
"""
LIVE = "orderops-local-database"


def main() -> None:
    """Both parts, as asked."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--kills", type=int, default=0, help="how many runs are killed")
    words.add_argument("--seed", type=int, default=20261123)
    words.add_argument("--seconds", type=float, default=5, help="how long orders come in before and after the damage")
    asked = words.parse_args()
    wrong: list[str] = []
    with laptop_environment() as laptop:
        for told in scenario(laptop, asked.seconds):
            print(told, flush=True)
            wrong += [told] if told.startswith("WRONG") else []
        if asked.kills:
            for told in killed(laptop, asked.kills, Random(asked.seed)):
                print(told, flush=True)
                wrong += [told] if told.startswith("WRONG") else []
    print(f"{len(wrong)} wrong")
    raise SystemExit(bool(wrong))


def scenario(laptop: LaptopEnvironment, seconds: float) -> Iterator[str]:
    """From the damage to the end of it."""
    writer = OrderWriter(laptop.dsn())
    writer.start()
    time.sleep(seconds)
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    time.sleep((moment - datetime.now(UTC)).total_seconds() + 0.3)
    forget = laptop.migration(3, "tidy_up", DAMAGE)
    laptop("migrate", "apply", "--yes")
    time.sleep(seconds)
    writer.stop()
    live = order_numbers(laptop.dsn())
    yield f"{len(writer.orders)} orders came in, the damage left {len(live)}; T is {moment:%H:%M:%SZ}"

    ended = laptop("restore", "--at", moment.isoformat())
    name = ended.out.strip()
    there = order_numbers(laptop.dsn(name))
    problem = mismatch(writer.orders, moment, there)
    yield _verdict(problem, f"restored in {ended.seconds:.1f} s: {len(there)} orders, exactly those committed by T")

    ended = laptop("restore", "compare", name, "--json")
    told = {table["table"]: table for table in ended.json["tables"]}
    expected = _expected(laptop, name)
    found = {key: told["public.orders"][key] for key in expected}
    yield _verdict(
        "" if found == expected else f"{found} is not {expected}", f"compared in {ended.seconds:.1f} s: {found}"
    )

    forget()
    before = _tasks(laptop)
    ended = laptop("restore", "promote", name)
    answers = f"the service answers from {name}" in ended.err
    yield _verdict("" if answers else ended.err, f"promoted in {ended.seconds:.1f} s; {_said(ended.err)}")
    yield _verdict("" if not before & _tasks(laptop) else "an old task still runs", "no task of before is left")
    yield _up(laptop)
    ended = laptop("restore", "back")
    forget = laptop.migration(3, "tidy_up", DAMAGE)
    answers = f"the service answers from {LIVE}" in ended.err
    yield _verdict("" if answers else ended.err, f"turned back in {ended.seconds:.1f} s; {_said(ended.err)}")
    yield _up(laptop)
    yield _verdict("" if order_numbers(laptop.dsn()) == live else "the original changed", "the original is as it was")
    ended = laptop("restore", "discard", name, "--confirm", name)
    left = [copy["name"] for copy in laptop.instances()]
    yield _verdict(
        "" if left == [LIVE] else f"left: {left}", f"discarded in {ended.seconds:.1f} s; only the primary is left"
    )


def killed(laptop: LaptopEnvironment, kills: int, random: Random) -> Iterator[str]:
    """Round after round of the four commands, each killed once and then typed again."""
    live = order_numbers(laptop.dsn())
    moment = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1)
    name = f"{LIVE}-restored-{moment:%Y%m%d-%H%M%S}"
    takes = {"restore": 3.0, "promote": 4.0, "back": 4.0, "discard": 1.5}
    commands = {
        "restore": ["restore", "--at", moment.isoformat()],
        "promote": ["restore", "promote", name],
        "back": ["restore", "back"],
        "discard": ["restore", "discard", name, "--confirm", name],
    }
    done = 0
    while done < kills:
        for verb, command in commands.items():
            after = random.uniform(0.3, takes[verb])
            process = laptop.start(*command)
            try:
                process.wait(after)
            except Exception:  # it is still at work
                process.kill()
            process.communicate()
            met = process.returncode < 0
            done += met
            yield from _standing(
                laptop, f"{verb} killed after {after:.1f} s" if met else f"{verb} ended before its kill"
            )
            ended = laptop(*command, fails=not met)
            if met and ended.code:
                yield f"WRONG: {verb} again ended with {ended.code}: {ended.err}"
            yield from _ended(laptop, verb, name)
            if verb in ("promote", "back"):
                yield _up(laptop)
    yield _verdict(
        "" if order_numbers(laptop.dsn()) == live else "the original changed",
        f"{done} kills; the original is as it was",
    )


def _standing(laptop: LaptopEnvironment, what: str) -> Iterator[str]:
    primaries = [copy["name"] for copy in laptop.instances() if copy["role"] == "primary"]
    yield _verdict("" if len(primaries) == 1 else f"primaries: {primaries}", f"{what}: the primary is {primaries[0]}")


def _ended(laptop: LaptopEnvironment, verb: str, name: str) -> Iterator[str]:
    there = {copy["name"]: copy["role"] for copy in laptop.instances()}
    wanted = {
        "restore": {LIVE: "primary", name: "restored"},
        "promote": {LIVE: "former", name: "primary"},
        "back": {LIVE: "primary", name: "former"},
        "discard": {LIVE: "primary"},
    }[verb]
    yield _verdict("" if there == wanted else f"{there} and not {wanted}", f"  {verb} again: {len(there)} instances")


def _expected(laptop: LaptopEnvironment, name: str) -> dict[str, int]:
    """The same numbers the slow way: every row of both, side by side."""
    import psycopg

    sides = []
    for dsn in (laptop.dsn(), laptop.dsn(name)):
        with psycopg.connect(dsn) as connection:
            sides.append({row[0]: row for row in connection.execute("select * from orders")})
    live, restored = sides
    return {
        "only_in_live": len(live.keys() - restored.keys()),
        "only_in_restored": len(restored.keys() - live.keys()),
        "changed": sum(live[key] != restored[key] for key in live.keys() & restored.keys()),
    }


def _tasks(laptop: LaptopEnvironment) -> set[str]:
    told = laptop("local", "status", "--json").json
    return {str(task["pid"]) for tasks in told["services"].values() for task in tasks}


def _up(laptop: LaptopEnvironment) -> str:
    ended = laptop("up")
    url = next(line for line in ended.out.splitlines() if line.endswith("/users"))
    with urllib.request.urlopen(url, timeout=5) as answer:
        code = answer.status
    right = "0 changes" in ended.err and code == 200
    return _verdict("" if right else ended.err, "orderops up: 0 changes, and /users answers 200")


def _said(text: str) -> str:
    return next((line for line in text.splitlines() if line.startswith("the service")), "")


def _verdict(problem: str, told: str) -> str:
    return f"WRONG: {problem}" if problem else told


if __name__ == "__main__":
    main()

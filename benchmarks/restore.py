"""A migration damages data while orders arrive: restore, compare, promote, switch back, discard; also when killed.

    python benchmarks/restore.py                the scenario, once
    python benchmarks/restore.py --kills 20     then kill -9 of restore, promote, back and discard at random moments

Runs in its own laptop environment with a real PostgreSQL. Prints each result; exit code 1 if one is wrong. After the
kill of a run that held the lease, the re-run waits 45 s for it.
"""

from __future__ import annotations

import argparse
import subprocess
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
    """Run the requested parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=0, help="how many runs are killed")
    parser.add_argument("--seed", type=int, default=20261123)
    parser.add_argument("--seconds", type=float, default=5, help="how long orders come in before and after the damage")
    arguments = parser.parse_args()
    wrong: list[str] = []
    with laptop_environment() as laptop:
        for line in scenario(laptop, arguments.seconds):
            print(line, flush=True)
            wrong += [line] if line.startswith("WRONG") else []
        if arguments.kills:
            for line in killed(laptop, arguments.kills, Random(arguments.seed)):
                print(line, flush=True)
                wrong += [line] if line.startswith("WRONG") else []
    print(f"{len(wrong)} wrong")
    raise SystemExit(bool(wrong))


def scenario(laptop: LaptopEnvironment, seconds: float) -> Iterator[str]:
    """Damage the data, restore, compare, promote, switch back and discard."""
    writer = OrderWriter(laptop.dsn())
    writer.start()
    time.sleep(seconds)
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    time.sleep((moment - datetime.now(UTC)).total_seconds() + 0.3)
    delete_migration = laptop.migration(5, "tidy_up", DAMAGE)
    laptop("migrate", "apply", "--yes")
    time.sleep(seconds)
    writer.stop()
    live = order_numbers(laptop.dsn())
    yield f"{len(writer.orders)} orders were inserted, the damage left {len(live)}; T is {moment:%H:%M:%SZ}"

    ended = laptop("restore", "--at", moment.isoformat())
    name = ended.out.strip()
    restored = order_numbers(laptop.dsn(name))
    problem = mismatch(writer.orders, moment, restored)
    yield _verdict(problem, f"restored in {ended.seconds:.1f} s: {len(restored)} orders, exactly those committed by T")

    ended = laptop("restore", "compare", name, "--json")
    tables = {table["table"]: table for table in ended.json["tables"]}
    expected = _expected(laptop, name)
    found = {key: tables["public.orders"][key] for key in expected}
    yield _verdict(
        "" if found == expected else f"{found} is not {expected}", f"compared in {ended.seconds:.1f} s: {found}"
    )

    delete_migration()
    before = _tasks(laptop)
    ended = laptop("restore", "promote", name)
    verified = f"the service answers from {name}" in ended.err
    yield _verdict("" if verified else ended.err, f"promoted in {ended.seconds:.1f} s; {_service_line(ended.err)}")
    yield _verdict("" if not before & _tasks(laptop) else "an old task is still running", "no old task is left")
    yield _up(laptop)
    ended = laptop("restore", "back")
    delete_migration = laptop.migration(5, "tidy_up", DAMAGE)
    verified = f"the service answers from {LIVE}" in ended.err
    yield _verdict("" if verified else ended.err, f"switched back in {ended.seconds:.1f} s; {_service_line(ended.err)}")
    yield _up(laptop)
    yield _verdict("" if order_numbers(laptop.dsn()) == live else "the original changed", "the original is as it was")
    ended = laptop("restore", "discard", name, "--confirm", name)
    left = [instance["name"] for instance in laptop.instances()]
    yield _verdict(
        "" if left == [LIVE] else f"left: {left}", f"discarded in {ended.seconds:.1f} s; only the primary is left"
    )


def killed(laptop: LaptopEnvironment, kills: int, random: Random) -> Iterator[str]:
    """Run the four commands in rounds, each killed once and then re-run."""
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
            except subprocess.TimeoutExpired:
                process.kill()
            process.communicate()
            was_killed = process.returncode < 0
            done += was_killed
            yield from _one_primary(
                laptop, f"{verb} killed after {after:.1f} s" if was_killed else f"{verb} ended before its kill"
            )
            ended = laptop(*command, fails=not was_killed)
            if was_killed and ended.code:
                yield f"WRONG: the re-run of {verb} ended with {ended.code}: {ended.err}"
            yield from _ended(laptop, verb, name)
            if verb in ("promote", "back"):
                yield _up(laptop)
    yield _verdict(
        "" if order_numbers(laptop.dsn()) == live else "the original changed",
        f"{done} kills; the original is as it was",
    )


def _one_primary(laptop: LaptopEnvironment, what: str) -> Iterator[str]:
    primaries = [instance["name"] for instance in laptop.instances() if instance["role"] == "primary"]
    yield _verdict("" if len(primaries) == 1 else f"primaries: {primaries}", f"{what}: the primary is {primaries[0]}")


def _ended(laptop: LaptopEnvironment, verb: str, name: str) -> Iterator[str]:
    roles = {instance["name"]: instance["role"] for instance in laptop.instances()}
    wanted = {
        "restore": {LIVE: "primary", name: "restored"},
        "promote": {LIVE: "former", name: "primary"},
        "back": {LIVE: "primary", name: "former"},
        "discard": {LIVE: "primary"},
    }[verb]
    yield _verdict("" if roles == wanted else f"{roles} and not {wanted}", f"  {verb} re-run: {len(roles)} instances")


def _expected(laptop: LaptopEnvironment, name: str) -> dict[str, int]:
    """Count the differences from every row of both databases."""
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
    status = laptop("local", "status", "--json").json
    return {str(task["pid"]) for tasks in status["services"].values() for task in tasks}


def _up(laptop: LaptopEnvironment) -> str:
    ended = laptop("up")
    url = next(line for line in ended.out.splitlines() if line.endswith("/users"))
    with urllib.request.urlopen(url, timeout=5) as answer:
        code = answer.status
    right = "is up to date" in ended.err and code == 200
    return _verdict("" if right else ended.err, "orderops up: up to date, and /users answers 200")


def _service_line(text: str) -> str:
    return next((line for line in text.splitlines() if line.startswith("the service")), "")


def _verdict(problem: str, result: str) -> str:
    return f"WRONG: {problem}" if problem else result


if __name__ == "__main__":
    main()

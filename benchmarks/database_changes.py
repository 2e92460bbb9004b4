"""Requests while everything about the database changes, on a laptop environment of its own.

    python benchmarks/database_changes.py [--rate 20]

The password rotates three times with a grace of 5 s, the master password changes hands, the services change to tokens
of IAM, a replica is added, falls a minute behind, is stopped and is removed, and the class of the instance changes,
which restarts the server. For each change: how long it took, and how many requests failed. Only the change of the class
may fail requests: their seconds are counted. Exit code 1 if another one failed some.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from orderops.local.rds.postgres import PostgresServer
from support.order_client import LaptopEnvironment, laptop_environment
from support.page_traffic import PageTraffic, page_traffic

REPLICA = "orderops-local-database-replica-1"
BEHIND = 60.0
"""Seconds for which the replica replays nothing."""
FOLLOWED = 35.0
"""Seconds within which a service has read the pointer again."""
CHANGES = {'sslmode = "disable"': 'sslmode = "require"\nlogin = "password"', "min_tasks = 2": "min_tasks = 1"}


def main() -> None:
    """Make the changes under load. Exits with 1 if a request failed that need not have failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=20, help="requests a second")
    options = parser.parse_args()
    with laptop_environment(**CHANGES) as laptop:
        url = laptop("infra", "outputs", "--json").json["load_balancer_url"]
        with page_traffic(f"{url}/users", each_second=options.rate) as traffic:
            failed = Changes(laptop, traffic).run()
    print(
        f"{traffic.answered + len(traffic.failed)} requests, {len(traffic.failed)} failed, {failed} of them needlessly"
    )
    for _, problem in traffic.failed[:5]:
        print(f"  {problem}")
    sys.exit(failed > 0)


class Changes:
    """The changes, one after the other."""

    def __init__(self, laptop: LaptopEnvironment, traffic: PageTraffic) -> None:
        self._laptop = laptop
        self._traffic = traffic
        self._file = laptop.folder / "environments" / "local.toml"

    def run(self) -> int:
        """Make all of them; return how many requests failed needlessly."""
        failed = sum(self._timed("database rotate", self._rotate) for _ in range(3))
        failed += self._timed("master = own", lambda: self._apply("[database]", '[database]\nmaster = "own"'))
        failed += self._timed("login = iam", self._to_tokens)
        failed += self._timed("replicas = 1", self._add_replica)
        failed += self._timed(f"replica {BEHIND:.0f} s behind", self._fall_behind)
        failed += self._timed("replica stopped", self._stop_replica)
        failed += self._timed("replicas = 0", self._remove_replica)
        self._timed("database scale", self._scale)
        return failed

    def _rotate(self) -> None:
        self._laptop("database", "rotate", "--grace", "5s")

    def _to_tokens(self) -> None:
        self._edit('login = "password"', 'login = "iam"')
        self._laptop("up", timeout=400)
        time.sleep(2 * FOLLOWED)

    def _add_replica(self) -> None:
        self._apply("[database]", "[database]\nreplicas = 1")
        time.sleep(FOLLOWED)

    def _fall_behind(self) -> None:
        self._laptop("local", "replay", REPLICA, "--pause")
        time.sleep(BEHIND)
        self._laptop("local", "replay", REPLICA, "--resume")

    def _stop_replica(self) -> None:
        # RDS stops no replica by a call: its server dies, is started again by the laptop, and is rebooted.
        rds = self._laptop.client("rds")
        [raw] = rds.describe_db_instances(DBInstanceIdentifier=REPLICA)["DBInstances"]
        PostgresServer(self._laptop.folder / "data" / "databases" / raw["DbiResourceId"] / "server").kill()
        time.sleep(10)
        rds.reboot_db_instance(DBInstanceIdentifier=REPLICA)
        time.sleep(10)

    def _remove_replica(self) -> None:
        self._edit("replicas = 1", "replicas = 0")
        self._laptop("infra", "apply", "--yes", "--prune")

    def _scale(self) -> None:
        result = self._laptop("database", "scale", "--class", "db.t3.small", "--at", "now", "--yes")
        print(re.sub("(?m)^", "    ", result.out + result.err).rstrip())

    def _apply(self, before: str, after: str) -> None:
        self._edit(before, after)
        self._laptop("infra", "apply", "--yes")

    def _edit(self, before: str, after: str) -> None:
        text = self._file.read_text()
        assert before in text, before
        self._file.write_text(text.replace(before, after, 1))

    def _timed(self, what: str, change: Callable[[], None]) -> int:
        began, failed = time.monotonic(), len(self._traffic.failed)
        change()
        # A request that is under way may still fail.
        time.sleep(2)
        mine = self._traffic.failed[failed:]
        seconds = f", between the first and the last {mine[-1][0] - mine[0][0]:.1f} s" if mine else ""
        print(f"{what}: {time.monotonic() - began:.0f} s, {len(mine)} requests failed{seconds}", flush=True)
        return len(mine)


if __name__ == "__main__":
    main()

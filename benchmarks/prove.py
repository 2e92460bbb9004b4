"""Nothing breaks it: kill, cut, race and throttle every workflow at every place, and count what ends otherwise.

    python benchmarks/prove.py                     every crash point of every workflow, and the other disturbances
    python benchmarks/prove.py --only up --jobs 2  one workflow
    python benchmarks/prove.py --schedules 300     random mixes, seeds 0 to 299
    python benchmarks/prove.py --seed 17           one of them again

Each try has an emulated account of its own kind, as strict as AWS, and real processes killed with SIGKILL.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from functools import cache
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from orderops.local.rds.postgres import UNDURABLE, PostgresServer
from orderops.local.users import scratch
from support.faulty_proxy import Fate, passes, served, trouble
from support.proof import (
    Proof,
    Verdict,
    Workflow,
    crash_points,
    disturbed_by,
    every_answer_lost,
    killed_at,
    schedule,
    two_at_once,
    workflows,
)
from support.rotation_proof import RotationProof, change_to_tokens, databases_here, gateway, rotation

NAMES = (
    "up",
    "apply",
    "deploy",
    "blue-green",
    "canary",
    "rollback",
    "ports",
    "api",
    "api alone",
    "api off",
    "rest",
    "rest off",
    "rest waf",
    "rest waf moved",
    "rest waf off",
    "api name",
    "api name moved",
    "api name off",
    "https",
    "https off",
    "replicas",
    "replicas off",
    "waf",
    "waf change",
    "waf off",
    "promote replica",
    "down",
    "restore",
    "promote",
    "back",
    "discard",
    "destroy",
    "rotate",
    "tokens",
    "scale",
    "upgrade",
    "switchover",
    "abandon",
)
WITH_A_SERVER = {"rotate": rotation, "tokens": change_to_tokens}
BESIDE = ("every answer lost", "20 % throttled", "10 % errors", "reads lag 2 s", "two operators")
_open = ExitStack()
Task = tuple[str, str, int, str]
"""Workflow, what is done to it (an action, or one of BESIDE), which time or seed, and the fate."""


def main() -> None:
    """Run the requested tries and report those that end wrong. Exits with 1 if there is one."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--only", choices=NAMES, action="append", help="this workflow")
    words.add_argument("--jobs", type=int, default=4, help="tries at the same time; they mostly wait")
    words.add_argument("--every", type=int, default=1, help="only every nth crash point")
    words.add_argument("--schedules", type=int, help="so many random schedules, instead")
    words.add_argument("--seed", type=int, help="one random schedule, instead")
    options = words.parse_args()
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        if options.seed is not None:
            tasks: list[Task] = [_scheduled(options.seed)]
        elif options.schedules:
            tasks = [_scheduled(seed) for seed in range(options.schedules)]
        else:
            tasks = [
                task for name in options.only or NAMES for task in pool.submit(_tasks, name, options.every).result()
            ]
        futures = [pool.submit(_tried, task) for task in tasks]
        verdicts = list(_shown(len(tasks), (future.result() for future in as_completed(futures))))
        for worker in active_children():  # each has a fork server, and would wait for it
            worker.terminate()
    _table(verdicts)
    sys.exit(any(not verdict.right for verdict in verdicts))


def _tasks(name: str, every: int) -> list[Task]:
    calls = _proof(name).undisturbed(_workflow(name)).calls
    points: list[Task] = [(name, action, nth, fate.name) for action, nth, fate in crash_points(calls)]
    return [*points[::every], *((name, beside, 0, "") for beside in BESIDE)]


def _scheduled(seed: int) -> Task:
    return NAMES[seed % len(NAMES)], "schedule", seed, ""


def _tried(task: Task) -> Verdict:
    name, what, number, fate = task
    proof, workflow = _proof(name), _workflow(name)
    description = f"{what} {number} {fate}".strip()
    return proof.tried(workflow, description, _disturbance(proof, workflow, what, number, fate))


def _disturbance(
    proof: Proof, workflow: Workflow, what: str, number: int, fate: str
) -> Callable[[Proof, Workflow], bool]:
    if what == "schedule":
        return schedule(number, len(proof.undisturbed(workflow).calls))
    beside = {
        "every answer lost": disturbed_by(every_answer_lost()),
        "20 % throttled": disturbed_by(trouble(1, throttled=0.2)),
        "10 % errors": disturbed_by(trouble(1, broken=0.1)),
        "reads lag 2 s": disturbed_by(passes, lag=2.0),
        "two operators": two_at_once,
    }
    return beside[what] if what in beside else killed_at(what, number, Fate[fate])


def _proof(name: str) -> Proof:
    return _rotation_proof(by_tokens=name == "tokens") if name in WITH_A_SERVER else _account_proof()


@cache
def _account_proof() -> Proof:
    """One account for each process of the pool, kept until the process ends."""
    return Proof(_open.enter_context(served()), Path(tempfile.mkdtemp(prefix="proof-logs-")))


@cache
def _rotation_proof(*, by_tokens: bool) -> RotationProof:
    """The same with a database that is a server on this machine."""
    _open.enter_context(databases_here())
    account = _open.enter_context(served())
    return RotationProof(account, Path(tempfile.mkdtemp(prefix="proof-logs-")), _server(), by_tokens=by_tokens)


@cache
def _server() -> PostgresServer:
    server = PostgresServer(_open.enter_context(scratch("proof-postgres-")) / "server", settings=UNDURABLE)
    server.start()
    _open.callback(server.kill)
    signal.signal(signal.SIGTERM, _end)
    return server


def _end(*_: object) -> NoReturn:
    """End a worker that is terminated, and its server, which would go on."""
    _open.close()
    os._exit(0)


def _workflow(name: str) -> Workflow:
    return _with_a_server(name) if name in WITH_A_SERVER else _workflows()[name]


@cache
def _workflows() -> dict[str, Workflow]:
    return workflows(Path(tempfile.mkdtemp(prefix="proof-environments-")))


@cache
def _with_a_server(name: str) -> Workflow:
    return WITH_A_SERVER[name](Path(tempfile.mkdtemp(prefix="proof-environments-")) / name, _port())


@cache
def _port() -> int:
    return _open.enter_context(gateway(_server(), Path(tempfile.mkdtemp(prefix="proof-certificate-"))))


def _shown(count: int, verdicts: Iterable[Verdict]) -> Iterator[Verdict]:
    for place, verdict in enumerate(verdicts, 1):
        if not verdict.right:
            print(f"\n{verdict.workflow}: {verdict.disturbance}")
            print(f"  doubled {list(verdict.doubled)} orphaned {list(verdict.orphaned)}\n  {verdict.differs}")
        print(f"\r{place} of {count}", end="", flush=True)
        yield verdict
    print()


def _table(verdicts: list[Verdict]) -> None:
    print(f"{'workflow':15} {'tries':>6} {'killed at':>10} {'differing':>10} {'doubled':>8} {'orphaned':>9}")
    for name in NAMES:
        mine = [verdict for verdict in verdicts if verdict.workflow == name]
        if mine:
            killed = sum(verdict.reached and verdict.disturbance.endswith(("UNDONE", "UNANSWERED")) for verdict in mine)
            differing = sum(bool(verdict.differs) for verdict in mine)
            doubled, orphaned = (
                sum(len(verdict.doubled) for verdict in mine),
                sum(len(verdict.orphaned) for verdict in mine),
            )
            print(f"{name:15} {len(mine):6} {killed or '-':>10} {differing:10} {doubled:8} {orphaned:9}")


if __name__ == "__main__":
    main()

"""A migration run that is killed, again and again, and what is left once the same command has ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from support.killable_process import Victim
from support.ten_migrations import WHAT_IS_LEFT


@dataclass(frozen=True)
class Left:
    """What a database holds after a run."""

    lines: Sequence[str]
    seconds: float
    """From the start of the command to its end."""
    killed: int = 0
    """Runs before it that were still at work when they were ended."""


def apply(dsn: str, folder: Path, *more: str) -> Victim:
    """`orderops migrate apply` in a process of its own."""
    return Victim("migrate", "apply", "--sql", str(folder), "--yes", *more, ORDEROPS_DSN=dsn)


def undisturbed(dsn: str, folder: Path) -> Left:
    """What a run leaves that nobody disturbs."""
    return _ended(dsn, folder)


def killed(dsn: str, folder: Path, moments: Sequence[float], then: Callable[[Victim], None] = Victim.kill) -> Left:
    """The same after runs that were killed, each so many seconds after its start, or ended by other means."""
    at_work = 0
    for moment in moments:
        victim = apply(dsn, folder)
        victim.wait(moment)
        at_work += victim.alive
        then(victim)
    return replace(_ended(dsn, folder), killed=at_work)


def _ended(dsn: str, folder: Path) -> Left:
    began = time.monotonic()
    run = apply(dsn, folder)
    code = run.ended(within=60)
    assert code == 0, run.said
    seconds = time.monotonic() - began
    with psycopg.connect(dsn, autocommit=True) as connection:
        return Left([row[0] for row in connection.execute(WHAT_IS_LEFT)], seconds)
